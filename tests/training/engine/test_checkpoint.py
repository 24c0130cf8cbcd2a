from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from amr_edge.card import Card
from amr_edge.errors import CardError, LayoutError, ReadError
from amr_edge.preprocess import PrepareConfig
from amr_edge.training.config import EncoderConfig
from amr_edge.training.engine.checkpoint import load_classifier, load_encoder, load_weights, save_weights
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder

CONFIG = EncoderConfig(width=16, depth=1, heads=2)
CARD = Card(name="t", kind="classifier", classes=("a", "b"), prepare=PrepareConfig(frames=8), encoder=asdict(CONFIG))


def classifier() -> Classifier:
    return Classifier(Encoder(CONFIG, frames=8, joints=25), 2)


def test_a_classifier_comes_back_bit_for_bit_with_its_card(tmp_path: Path) -> None:
    model = classifier()
    save_weights(tmp_path / "a.safetensors", model, CARD)
    again, card = load_classifier(tmp_path / "a.safetensors")
    assert card == CARD
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_an_encoder_is_taken_out_of_a_classifier(tmp_path: Path) -> None:
    model = classifier()
    save_weights(tmp_path / "a.safetensors", model, CARD)
    fresh = Encoder(CONFIG, frames=8, joints=25)
    load_encoder(tmp_path / "a.safetensors", fresh, CARD)
    assert torch.equal(fresh.embed.weight, model.encoder.embed.weight)


def test_an_encoder_of_another_skeleton_or_size_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "a.safetensors", classifier(), CARD)
    other = replace(CARD, prepare=PrepareConfig(layout="coco17", frames=8))
    with pytest.raises(LayoutError, match="coco17"):
        load_encoder(tmp_path / "a.safetensors", Encoder(CONFIG, frames=8, joints=17), other)
    wider = EncoderConfig(width=32, depth=1, heads=2)
    with pytest.raises(CardError, match="recipe"):
        load_encoder(
            tmp_path / "a.safetensors", Encoder(wider, frames=8, joints=25), replace(CARD, encoder=asdict(wider))
        )


def test_a_pre_trained_encoder_does_not_answer(tmp_path: Path) -> None:
    save_weights(tmp_path / "a.safetensors", classifier(), replace(CARD, kind="encoder", classes=()))
    with pytest.raises(CardError, match="fine-tune"):
        load_classifier(tmp_path / "a.safetensors")


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, classifier(), CARD)
    whole = path.read_bytes()
    {
        "missing": path.unlink,
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("not weights"),
        "truncated": lambda: path.write_bytes(whole[: len(whole) // 2]),
    }[damage]()
    with pytest.raises(ReadError, match=r"a\.safetensors"):
        load_weights(path)


def test_weights_of_another_shape_than_the_card_says_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "a.safetensors", classifier(), replace(CARD, classes=("a", "b", "c")))
    with pytest.raises(CardError, match="damaged"):
        load_classifier(tmp_path / "a.safetensors")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, classifier(), CARD)
    before = path.read_bytes()

    def disk_full(*_: object, **__: object) -> None:
        (tmp_path / "a.safetensors.part").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("amr_edge.training.engine.checkpoint.save_file", disk_full)
    with pytest.raises(OSError, match="space"):
        save_weights(path, classifier(), CARD)
    assert path.read_bytes() == before
    assert not path.with_name("a.safetensors.part").exists()
