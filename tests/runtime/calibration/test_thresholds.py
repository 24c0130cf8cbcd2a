"""Temperatures and thresholds are what they are called, and the file that keeps them stays sound."""

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.card import Card
from amr_edge.cli import run
from amr_edge.data.recording import Recording, Span
from amr_edge.data.store import write_store
from amr_edge.errors import CheckFailedError, ConfigError, DataError
from amr_edge.runtime.calibration.thresholds import PredictedRecording, answered, calibrate, keep, score_predictions
from amr_edge.runtime.inference.onnx_metadata import checksum, read_onnx, sealed, with_card
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.recognizer import Prediction
from amr_edge.temperature import apply_temperature, fit_temperature, nll

CardOf = Callable[..., Card]
WriteModel = Callable[..., Path]
People = Callable[..., Recording]
CLASSES = ("none", "wave", "sit")  # of the tiny model


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def labelled(seed: int, true_temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from logits at a temperature, beside the probabilities of a model that takes it for 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3.0, size=(20_000, 4))
    honest = softmax(logits / true_temperature)
    labels = (honest.cumsum(axis=1) > rng.random((len(honest), 1))).argmax(axis=1)
    return softmax(logits), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    probs, labels = labelled(0, temperature)
    assert fit_temperature(probs, labels) == pytest.approx(temperature, rel=0.05)


def test_no_temperature_nearby_is_likelier() -> None:
    probs, labels = labelled(1, 1.7)
    best = fit_temperature(probs, labels)
    assert nll(probs, labels, best) <= min(nll(probs, labels, best * 0.98), nll(probs, labels, best * 1.02))


def test_a_likelihood_worked_by_hand() -> None:
    probs = np.array([[0.5, 0.5], [0.2, 0.8]])
    assert nll(probs, np.array([0, 1]), 1.0) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
    # At a temperature of 2 the odds of 4 become 2.
    assert nll(probs, np.array([0, 1]), 2.0) == pytest.approx(-(np.log(0.5) + np.log(2 / 3)) / 2)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 6.0))
def test_a_temperature_changes_no_answer_and_keeps_sums(seed: int, temperature: float) -> None:
    probs = softmax(np.random.default_rng(seed).normal(size=(5, 7))).astype(np.float32)
    warm = apply_temperature(probs, temperature)
    np.testing.assert_array_equal(warm.argmax(axis=1), probs.argmax(axis=1))
    np.testing.assert_allclose(warm.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(apply_temperature(warm, 1 / temperature), probs, atol=1e-4)


def sequence(*stretches: tuple[float, tuple[float, float, float]], spans: tuple[Span, ...] = ()) -> PredictedRecording:
    """Four answers a second, stretch after stretch of the same probabilities; windows of one second."""
    answers, now_s = [], 1.0
    for seconds, probs in stretches:
        for _ in range(round(seconds * 4)):
            answers.append(
                Prediction(
                    start_s=now_s - 1.0,
                    time_s=now_s,
                    person=0,
                    people=(0,),
                    classes=CLASSES,
                    probs=np.float32(probs),
                )
            )
            now_s += 0.25
    return PredictedRecording(spans, 0.0, now_s - 0.25, tuple(answers))


NONE, WAVE, SIT, PHANTOM = (0.98, 0.01, 0.01), (0.1, 0.85, 0.05), (0.1, 0.3, 0.6), (0.22, 0.08, 0.7)


def day(count: int = 20) -> list[PredictedRecording]:
    """Waves that are seen surely, sitting that is seen hesitantly, and idleness that looks like sitting at times."""
    made = []
    for k in range(count):
        quiet = 6.0, (NONE if k % 2 else PHANTOM)
        made.append(
            sequence(
                (3.0, NONE), (2.0, WAVE), (3.0, NONE), (2.0, SIT), (3.0, NONE), quiet, (3.0, NONE),
                spans=(Span(3.5, 5.5, "wave"), Span(8.5, 10.5, "sit")),
            )
        )  # fmt: skip
    return made


def test_what_is_kept_keeps_the_request(card_of: CardOf) -> None:
    card, everything = card_of(threshold=0.3), day()
    fitted = calibrate(everything, card, 2.0)
    assert fitted.before.alarms_per_hour > 60
    assert fitted.after.alarms_per_hour <= 2.0
    kept = fitted.card(card, "a day")
    assert score_predictions(everything, kept).to_dict() == fitted.after.to_dict()
    assert kept.calibration["false_positives_requested"] == 2.0


def test_without_a_request_the_best_threshold_is_taken(card_of: CardOf) -> None:
    fitted = calibrate([each for k, each in enumerate(day()) if k % 2], card_of(), 1e9)
    assert (fitted.after.precision, fitted.after.recall) == (1.0, 1.0)
    assert fitted.after.f1 >= fitted.before.f1


def test_a_class_that_alarms_gets_a_higher_threshold_of_its_own(card_of: CardOf) -> None:
    never = (0.1, 0.05, 0.85)
    hesitant = (0.25, 0.5, 0.25)
    everything = [
        sequence(
            (3.0, NONE), (2.0, hesitant), (3.0, NONE), (2.0, never), (4.0, NONE),
            spans=(Span(3.5, 5.5, "wave"),),
        )
        for _ in range(10)
    ]  # fmt: skip
    few = calibrate(everything, card_of(), 100.0)  # 3 or 4 alarms would be allowed: no evidence about classes
    assert few.thresholds == ()
    assert few.after.recall == 0.0
    fitted = calibrate(everything, card_of(), 170.0)  # 5 or 6
    kept = fitted.card(card_of(), "a day")
    assert kept.threshold_of(2) > kept.threshold_of(1)
    assert (fitted.after.recall, fitted.after.alarms) == (1.0, ())


def test_what_no_threshold_can_keep_is_refused_with_a_way_out(card_of: CardOf) -> None:
    sure = (0.0, 0.0, 1.0)
    everything = [sequence((4.0, sure), (4.0, NONE), (2.0, WAVE), spans=(Span(8.0, 10.0, "wave"),))]
    with pytest.raises(CheckFailedError, match=r"even a threshold of 0.98 gives .* train a none class"):
        calibrate(everything, card_of(), 1.0)


def test_recordings_that_teach_nothing_are_refused(card_of: CardOf, people: People, write_model: WriteModel) -> None:
    with pytest.raises(DataError, match="no window of the recordings clearly shows"):
        calibrate([sequence((3.0, NONE), spans=(Span(0.0, 9.0, "fly"),))], card_of(), 1.0)
    with pytest.raises(DataError, match="labelled actions and idleness"):
        calibrate([sequence((3.0, NONE))], card_of(), 1.0)
    with pytest.raises(ConfigError, match="at least 0"):
        calibrate(day(1), card_of(), -1.0)
    with pytest.raises(DataError, match="of one person, got 2"):
        list(answered([people(np.random.default_rng(0), persons=2)], open_session(write_model())))


def test_the_file_keeps_the_card_and_stays_sealed(write_model: WriteModel, card_of: CardOf) -> None:
    path = write_model()
    path.write_bytes(sealed(path.read_bytes()))
    path.chmod(0o640)
    before = read_onnx(path)
    card = replace(before.card, temperature=1.5, thresholds=(0.5, 0.62, 0.9), calibration={"data": "a day"})
    for each in (card, replace(card, classes=card.classes, recipe={"words": "x" * 70_000}), card):
        keep(path, each)
        after = read_onnx(path)  # refuses what is not sealed
        assert after.card == each
        assert (after.inputs, after.outputs, after.opset) == (before.inputs, before.outputs, before.opset)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    clip, seen = np.ones((1, 1, 16, 20, 3), np.float32), np.ones((1, 1, 16, 20), bool)
    plain = open_session(write_model(name="plain.onnx"), threads=1)
    np.testing.assert_array_equal(open_session(path, threads=1).probs(clip, seen), plain.probs(clip, seen))


def test_a_card_that_is_written_twice_gives_the_same_bytes(write_model: WriteModel, card_of: CardOf) -> None:
    once = with_card(write_model().read_bytes(), card_of(temperature=2.0))
    assert with_card(once, card_of(temperature=2.0)) == once
    assert checksum(once) == checksum(sealed(once))


def test_a_disk_that_fills_up_leaves_the_old_file(
    write_model: WriteModel, card_of: CardOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model()
    content = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep(path, card_of(temperature=2.0))
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_from_a_store_to_a_calibrated_file_by_one_command(
    write_model: WriteModel, people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = write_model(), tmp_path / "long.npz"
    long = []
    for subject in (1, 2):
        still = people(np.random.default_rng(subject), seconds=30.0)
        moving = (still.times_s % 10) >= 6
        still.poses[:, ~moving] = still.poses[:, :1]
        spans = tuple(Span(10.0 * k + 6, 10.0 * k + 9.9, "wave") for k in range(3))
        long.append(replace(still, subject=subject, spans=spans))
    write_store(data, long, dataset="mine", terms="mine")
    asked = ["calibrate", str(path), "--data", str(data), "--threads", "1", "--json"]
    assert run([*asked, "--subjects", "1", "--false-alarms", "3600"]) == 0
    said = json.loads(capsys.readouterr().out)
    card = read_onnx(path).card
    assert (card.temperature, card.threshold) == (said["temperature"], said["threshold"])
    assert card.calibration["data"] == "long.npz subjects 1"
    assert said["after"]["false_alarms_per_hour"] <= 3600
    assert run([*asked, "--as-is"]) == 0
    assert json.loads(capsys.readouterr().out)["actions"] == 6
    assert read_onnx(path).card == card
    assert run([*asked, "--subjects", "9"]) == 4
    assert "no subject 9" in capsys.readouterr().err
    assert run([*asked, "--subjects", "x"]) == 2
