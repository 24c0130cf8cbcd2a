"""One self-contained ONNX file: dynamic in clips and persons, the card inside."""

import logging
import os
import warnings
from pathlib import Path

import onnx
import torch

from amr_edge.card import CARD_KEY, Card
from amr_edge.errors import CheckFailedError
from amr_edge.export.deploy import Deployed
from amr_edge.skeleton import layout
from amr_edge.training.classifier import Classifier

OPSET = 20


def write_onnx(classifier: Classifier, card: Card, path: Path, *, opset: int = OPSET) -> Path:
    """Write a classifier as ONNX.

    The graph takes `clip` float32 (N, M, T, V, 3) and `present` bool (N, M, T, V), N and M free, and gives `logits`
    and `probs` float32 (N, K); the card stands in its metadata.

    Args:
        classifier: The weights, on the CPU.
        card: What they are.
        path: The file; written whole or not at all.
        opset: ONNX operator set.

    Returns:
        The path.

    Raises:
        CheckFailedError: If the file that came out is not what was asked for.
    """
    # Two clips of two persons: the exporter takes sizes 0 and 1 for constants.
    shape = (2, 2, card.prepare.frames, len(layout(card.prepare.layout)))
    clip, present = torch.zeros(*shape, 3), torch.ones(shape, dtype=torch.bool)
    N, M = torch.export.Dim("clips"), torch.export.Dim("persons")
    # The exporter warns and logs about its own internals and about packages that nobody asked for.
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Deployed(classifier),
            (clip, present),
            dynamo=True,
            opset_version=opset,
            input_names=["clip", "present"],
            output_names=["logits", "probs"],
            dynamic_shapes={"clip": {0: N, 1: M}, "present": {0: N, 1: M}},
            external_data=False,
            verbose=False,
        )
    exporter_log.setLevel(level)
    if program is None:
        raise CheckFailedError("the ONNX exporter returned nothing; try another opset")
    model = program.model_proto
    written = {entry.domain: entry.version for entry in model.opset_import}.get("", 0)
    if written != opset:
        raise CheckFailedError(f"opset {opset} was asked for, the exporter wrote {written}; ask for --opset {written}")
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, card.to_json()
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        onnx.save_model(model, part)
        os.replace(part, path)  # noqa: PTH105  (atomic)
    finally:
        part.unlink(missing_ok=True)
    return path
