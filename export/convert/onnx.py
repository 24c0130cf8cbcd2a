"""One self-contained ONNX file: dynamic in clips, persons and tokens, the card inside."""

import logging
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from amr_edge.card import CARD_KEY, Card
from amr_edge.errors import CheckFailedError, ConfigError
from amr_edge.export.convert.deploy_module import Deployed
from amr_edge.export.convert.optimized_graph import OptimizedGraph
from amr_edge.runtime.inference.onnx_metadata import CHECKSUM_KEY, sealed
from amr_edge.skeleton import layout
from amr_edge.training.models.classifier import Classifier
from amr_edge.training.models.transformer import Encoder

OPSET = 20
ATTENTION_OPSET = 23  # the first that has attention as one node


def write_onnx(
    classifier: Classifier, card: Card, path: Path, *, opset: int = OPSET, tokens: int | None = None
) -> Path:
    """Write a classifier as ONNX.

    The graph takes `clip` float32 (N, M, T, V, 3) and `present` bool (N, M, T, V), N and M free, and gives `logits`
    and `probs` float32 (N, classes); the card stands in its metadata. How many tokens of a body it looks at is a third
    input, `ranks` int64 (K,): 0 to K - 1 for the K tokens that move most. docs/token-budget.md has the contract. A
    graph network looks at everything and has no such input.

    Args:
        classifier: The weights, on the CPU.
        card: What they are.
        path: The file; written whole or not at all.
        opset: ONNX operator set.
        tokens: Fixes K and leaves out `ranks`, for engines that want it constant (TensorRT); the ranking is then
            computed in float32, and the card in the file says how many tokens it looks at.

    Returns:
        The path.

    Raises:
        CheckFailedError: If the file that came out is not what was requested.
        ConfigError: If there are not so many tokens.
    """
    if tokens is not None:
        if not 1 <= tokens <= card.tokens:
            raise ConfigError(
                f"a file for '{card.name}' may look at 1 to {card.tokens} tokens, {tokens} were requested"
            )
        card = replace(card, fixed_tokens=tokens, budget=tokens / card.tokens)
    # Two clips of two persons: the exporter takes sizes 0 and 1 for constants.
    shape = (2, 2, card.prepare.frames, len(layout(card.prepare.layout)))
    clip, present = torch.zeros(*shape, 3), torch.ones(shape, dtype=torch.bool)
    N, M = torch.export.Dim("clips"), torch.export.Dim("persons")
    free = {0: N, 1: M}
    arguments: list[torch.Tensor] = [clip, present]
    dynamic = {"clip": free, "present": free}
    if tokens is None and card.has_budget:
        arguments.append(torch.arange(min(2, card.tokens)))
        dynamic["ranks"] = {0: torch.export.Dim("tokens", max=card.tokens)}
    # The exporter warns and logs about its own internals and about packages that are not needed.
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _graph_form(classifier, card, tokens, opset),
            tuple(arguments),
            dynamo=True,
            opset_version=opset,
            input_names=list(dynamic),
            output_names=["logits", "probs"],
            dynamic_shapes=dynamic,
            external_data=False,
            verbose=False,
        )
    exporter_log.setLevel(level)
    if program is None:
        raise CheckFailedError("the ONNX exporter returned nothing; try another opset")
    model = program.model_proto
    written = {entry.domain: entry.version for entry in model.opset_import}.get("", 0)
    if written != opset:
        raise CheckFailedError(f"opset {opset} was requested, the exporter wrote {written}; give --opset {written}")
    _forget_sources(model)
    _spell_masks(model)
    return save_onnx(model, card, path)


def _graph_form(classifier: Classifier, card: Card, tokens: int | None, opset: int) -> Deployed | OptimizedGraph:
    """The transformer in the form that engines run fastest, anything else as it stands."""
    encoder = classifier.eval().encoder
    if not isinstance(encoder, Encoder):
        return Deployed(classifier, card, tokens)
    return OptimizedGraph(classifier, encoder, card, tokens, fused_attention=opset >= ATTENTION_OPSET)


def save_onnx(model: onnx.ModelProto, card: Card, path: Path) -> Path:
    """Write a graph with its card and its checksum, whole or not at all.

    Raises:
        CheckFailedError: If the graph is not valid.
    """
    kept = [entry for entry in model.metadata_props if entry.key not in (CARD_KEY, CHECKSUM_KEY)]
    card_entry = onnx.StringStringEntryProto(key=CARD_KEY, value=card.to_json())
    del model.metadata_props[:]
    model.metadata_props.extend([*kept, card_entry])
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as cause:
        raise CheckFailedError(
            f"{path}: the graph to write is not valid ({' '.join(str(cause).split())[:200]}); try another opset"
        ) from cause
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(sealed(model.SerializeToString()))
        os.replace(part, path)  # noqa: PTH105  (atomic)
    finally:
        part.unlink(missing_ok=True)
    return path


def _forget_sources(model: onnx.ModelProto) -> None:
    """Drop the lines and folders of our source code that the exporter writes beside every node: half a megabyte."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def _spell_masks(model: onnx.ModelProto) -> None:
    """Give every mask of opset 23's Attention its rows: ONNX broadcasts (B, 1, 1, K), ONNX Runtime refuses to."""
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Attention" and len(node.input) > 3 and node.input[3]:
            rows, sizes, mask = (f"{node.name}_{word}" for word in ("rows", "sizes", "mask"))
            one = f"{node.name}_one"
            model.graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), one))
            nodes += [
                helper.make_node("Shape", [node.input[0]], [rows], start=2, end=3),  # (B, H, Q, D / H) -> Q
                helper.make_node("Concat", [one, one, rows, one], [sizes], axis=0),
                helper.make_node("Expand", [node.input[3], sizes], [mask]),  # (B, 1, Q, K)
            ]
            node.input[3] = mask
        nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
