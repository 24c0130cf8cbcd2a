"""Answer one clip with ONNX Runtime and NumPy alone: python infer.py model.onnx clip.npy [budget].

clip.npy holds float32 (T, V, 3) or (M, T, V, 3), prepared as docs/graph-contract.md says, NaN where a joint is absent.
"""

import json
import sys

import numpy as np
import onnxruntime

CARD_KEY = "amr_edge.card"


def feed(card: dict, inputs: set, poses: np.ndarray, budget: float | None) -> dict[str, np.ndarray]:
    """The inputs of the graph: zeros and False where a joint is absent, one clip as a batch of one."""
    clip = np.asarray(poses, dtype=np.float32)
    clip = clip[None] if clip.ndim == 3 else clip  # (M, T, V, 3)
    if clip.ndim != 4 or clip.shape[1] != card["prepare"]["frames"] or clip.shape[3] != 3:
        sys.exit(f"expected (M, {card['prepare']['frames']}, V, 3), got {clip.shape}")
    present = np.isfinite(clip).all(axis=-1)  # (M, T, V)
    clip = np.where(present[..., None], clip, np.float32(0))
    tensors = {"clip": clip[None], "present": present[None]}
    if "ranks" in inputs:  # the budget: 0 to K - 1 for K of the L tokens of each body
        L = clip.shape[1] // card["patch_frames"] * clip.shape[2]
        share = card["budget"] if budget is None else budget
        tensors["ranks"] = np.arange(max(1, round(share * L)), dtype=np.int64)
    elif budget is not None:
        sys.exit(f"this file always looks at {card['fixed_tokens']} tokens")
    return tensors


def answer(model: str, poses: np.ndarray, budget: float | None = None) -> tuple[dict, np.ndarray]:
    """The card of the model and the probability of each of its classes."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map[CARD_KEY])
    inputs = {tensor.name for tensor in session.get_inputs()}
    (probs,) = session.run(["probs"], feed(card, inputs, poses, budget))
    return card, probs[0]


def main() -> None:
    """Print the classes, the most probable first."""
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    budget = float(sys.argv[3]) if len(sys.argv) == 4 else None
    card, probs = answer(sys.argv[1], np.load(sys.argv[2], allow_pickle=False), budget)
    for k in np.argsort(-probs):
        print(f"{probs[k]:.6f} {card['classes'][k]}")


if __name__ == "__main__":
    main()
