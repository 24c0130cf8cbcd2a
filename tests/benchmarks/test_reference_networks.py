"""The networks for scale have the published sizes, and the continual one answers as it does on the whole clip."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def reference_networks() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        import reference_networks as module  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(FOLDER))
    return module


@pytest.mark.parametrize(("name", "millions"), [("st_gcn", 3.1), ("ctr_gcn", 1.46), ("st_gcn_pp", 1.39)])
def test_a_network_has_as_many_parameters_as_was_published(
    reference_networks: ModuleType, name: str, millions: float
) -> None:
    network = getattr(reference_networks, name)()
    found = sum(part.numel() for part in network.parameters() if part.requires_grad)
    assert found / 1e6 == pytest.approx(millions, rel=0.011)


def test_the_graph_gives_each_joint_the_mean_of_itself_and_its_neighbors(reference_networks: ModuleType) -> None:
    own, nearer, farther = reference_networks.partitions()
    whole = own + nearer + farther
    torch.testing.assert_close(whole.sum(dim=0), torch.ones(25))
    assert not ((own > 0) & (nearer > 0)).any()
    # The head (3) hangs from the neck (2), which hangs from the upper spine (20), the centre.
    assert float(whole[2, 3]) == 0.5
    assert float(nearer[2, 3]) == 0.5
    assert float(farther[3, 2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("name", "frames"), [("st_gcn", 32), ("ctr_gcn", 16), ("st_gcn_pp", 16)])
def test_a_network_halves_time_twice_and_answers_for_sixty_classes(
    reference_networks: ModuleType, name: str, frames: int
) -> None:
    network = reference_networks.shaken(getattr(reference_networks, name)())
    with torch.inference_mode():
        x = torch.randn(1, 3, frames, 25, generator=torch.Generator().manual_seed(0))
        shapes = []
        y = x
        for block in network.blocks:
            y = block(y)
            shapes.append(y.shape[2])
        assert shapes == [frames] * 4 + [frames // 2] * 3 + [frames // 4] * 3
        assert network(x).shape == (1, 60)


def test_a_network_over_channels_mixes_them_as_the_formula_says(reference_networks: ModuleType) -> None:
    # One channel's relation by hand: sum over the three graphs of features @ (refined + shared)^T.
    space = reference_networks.shaken(reference_networks.RefinedGraph(3, 4))
    torch.nn.init.constant_(space.strength, 0.7)
    x = torch.randn(1, 3, 5, 25, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        total = torch.zeros(1, 4, 5, 25)
        for k in range(3):
            one, other = (part[k](x).mean(dim=2) for part in (space.one, space.other))  # (1, R, V)
            pairs = torch.tanh(one[:, :, :, None] - other[:, :, None, :])
            graph = space.refine[k](pairs) * 0.7 + space.graph[k]
            total += torch.einsum("ncuv,nctv->nctu", graph, space.features[k](x))
        expected = (space.norm(total) + space.shortcut(x)).relu()
        torch.testing.assert_close(space(x), expected, atol=1e-5, rtol=1e-5)


def test_the_continual_network_fed_frame_by_frame_equals_the_whole_clip(reference_networks: ModuleType) -> None:
    network = reference_networks.shaken(reference_networks.Continual(reference_networks.st_gcn(), pooled=5))
    assert reference_networks.Continual(reference_networks.st_gcn()).receptive == 300
    assert sum(p.numel() for p in network.parameters()) == sum(
        p.numel() for p in reference_networks.st_gcn().parameters()
    )
    torch.nn.init.normal_(network.network.head.weight, generator=torch.Generator().manual_seed(2))
    extra = 3  # frames before the receptive field, which must be forgotten
    clip = torch.randn(1, 3, network.receptive + extra, 25, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        caches = network.caches()
        for t in range(clip.shape[2]):
            answer, caches = network(clip[:, :, t : t + 1], caches)
        torch.testing.assert_close(answer, network.clipwise(clip[:, :, extra:]), atol=1e-4, rtol=0)
        assert float((answer - network.clipwise(clip[:, :, :-extra])).abs().max()) > 1e-2


@pytest.mark.slow
def test_the_file_of_the_continual_network_answers_as_torch_does(
    reference_networks: ModuleType, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = reference_networks.shaken(reference_networks.Continual(reference_networks.st_gcn(), pooled=3))
    path = reference_networks.write(network, 1, tmp_path / "continual.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    theirs: list[np.ndarray] = [cache.numpy() for cache in network.caches()]
    caches = network.caches()
    clip = torch.randn(1, 3, 12, 25, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        for t in range(12):
            frame = clip[:, :, t : t + 1]
            ours, caches = network(frame, caches)
            logits, *theirs = session.run(None, dict(zip(names, [frame.numpy(), *theirs], strict=True)))
            np.testing.assert_allclose(logits, ours.numpy(), atol=1e-4)
