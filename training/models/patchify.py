"""How clips become tokens: `frames` consecutive frames of one joint each, time-major, and back."""

from torch import Tensor


def patchify(body: Tensor, frames: int) -> Tensor:
    """Cut every joint's path into patches.

    Args:
        body: (B, T, V, C).
        frames: Frames in a patch; divides T.

    Returns:
        (B, L, frames * C) with L = T / frames * V; token t * V + v is joint v in patch-time t.
    """
    B, T, V, C = body.shape
    cut = body.reshape(B, T // frames, frames, V, C)
    cut = cut.permute(0, 1, 3, 2, 4)  # (B, T / frames, V, frames, C)
    return cut.reshape(B, T // frames * V, frames * C)


def unpatchify(tokens: Tensor, frames: int, joints: int) -> Tensor:
    """Undo `patchify`: (B, L, frames * C) -> (B, T, V, C)."""
    B, L, P = tokens.shape
    cut = tokens.reshape(B, L // joints, joints, frames, P // frames)
    cut = cut.permute(0, 1, 3, 2, 4)  # (B, T / frames, frames, V, C)
    return cut.reshape(B, L // joints * frames, joints, P // frames)


def token_present(present: Tensor, frames: int) -> Tensor:
    """Mask of existing tokens: those whose joint was seen in every frame; (B, T, V) bool -> (B, L) bool."""
    B, T, V = present.shape
    return present.reshape(B, T // frames, frames, V).all(dim=2).reshape(B, T // frames * V)
