import torch

from amr_edge.preprocess import Clip
from amr_edge.training.config import EncoderConfig
from amr_edge.training.data.batch import to_batch
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder

CPU = torch.device("cpu")


def small() -> Classifier:
    torch.manual_seed(0)
    return Classifier(Encoder(EncoderConfig(width=32, depth=2, heads=4), frames=16, joints=5), 3).eval()


def clips(people: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips with that many of two persons in them, one joint of one person unseen for a while."""
    values = torch.randn(len(people), 2, 16, 5, 3)
    present = torch.zeros(len(people), 2, 16, 5, dtype=torch.bool)
    for index, count in enumerate(people):
        present[index, :count] = True
    present[0, 0, 3:9, 2] = False
    return values * present[..., None], present


def test_the_list_of_present_bodies_answers_as_the_padded_clips_do() -> None:
    model = small()
    values, present = clips([2, 1, 2, 0])
    batch = to_batch(Clip(values.numpy(), present.numpy()), CPU)
    assert len(batch.body) == 5
    torch.testing.assert_close(model.classify(batch), model(values, present), atol=1e-5, rtol=1e-4)


def test_an_empty_second_person_changes_nothing() -> None:
    model = small()
    values, present = clips([1])
    torch.testing.assert_close(model(values, present), model(values[:, :1], present[:, :1]), atol=1e-6, rtol=1e-5)


def test_a_clip_without_anyone_gets_the_bias() -> None:
    model = small()
    values, present = clips([0])
    torch.testing.assert_close(model(values, present)[0], model.head.bias)


def test_the_order_of_the_persons_does_not_matter() -> None:
    model = small()
    values, present = clips([2])
    torch.testing.assert_close(model(values, present), model(values.flip(1), present.flip(1)), atol=1e-6, rtol=1e-5)
