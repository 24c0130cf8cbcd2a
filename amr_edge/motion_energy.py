"""Motion energy of bodies, of joints in windows, and of tokens: one definition for NumPy and torch.

Source: AMR (Sun et al., CVPR 2026), the focused reconstruction loss.
"""

from collections.abc import Sequence

from amr_edge.array_backend import Array, ArrayBackend


def body_energy(values: Array, present: Array, xp: ArrayBackend) -> Array:
    """(B,) float64: squared steps from frame to frame, summed over frames and joints, of which persons are ranked.

    Args:
        values: (B, T, V, C), any finite number where absent.
        present: (B, T, V) bool; steps from or to an absent joint do not count.
        xp: The array operations.
    """
    steps = xp.double(values[:, 1:]) - values[:, :-1]  # (B, T - 1, V, C)
    return ((steps * steps).sum(axis=-1) * (present[:, 1:] & present[:, :-1])).sum(axis=(1, 2))


def window_energy(values: Array, present: Array, frames: int, xp: ArrayBackend) -> tuple[Array, Array]:
    """Mean squared distance of a joint from its mean over windows of `frames` frames.

    Args:
        values: (B, T, V, C), metres, any finite number where absent.
        present: (B, T, V) bool; absent frames do not count.
        frames: Window length; divides T.
        xp: The array operations.

    Returns:
        Energy (B, T / frames, V) in squared metres, 0 where a joint is absent from the whole window, and a bool
        of the same shape that is True where it is not.
    """
    B, T, V, C = values.shape
    path = values.reshape(B, T // frames, frames, V, C)
    seen = xp.cast(present, values).reshape(B, T // frames, frames, V, 1)
    count = seen.sum(axis=2)  # (B, T / frames, V, 1)
    some = count.clip(min=1)
    mean = (path * seen).sum(axis=2) / some  # (B, T / frames, V, C)
    away = path - mean[:, :, None]  # (B, T / frames, frames, V, C)
    return (away * away * seen).sum(axis=(2, 4)) / some[..., 0], count[..., 0] > 0


def token_energy(values: Array, present: Array, patch_frames: int, windows: Sequence[int], xp: ArrayBackend) -> Array:
    """Motion energy of every token, meaned over the window lengths: what a budget ranks tokens by.

    Args:
        values: (B, T, V, C), metres, any finite number where absent.
        present: (B, T, V) bool.
        patch_frames: Frames in a token; divides T.
        windows: Window lengths in frames; each divides T.
        xp: The array operations.

    Returns:
        (B, T / patch_frames, V), squared metres: the mean over a token's own frames.
    """
    B, T, V, _ = values.shape
    total: Array = 0.0
    for frames in windows:
        energy, _ = window_energy(values, present, frames, xp)
        total = total + xp.repeat(energy, frames, 1) / len(windows)  # (B, T, V)
    return total.reshape(B, T // patch_frames, patch_frames, V).mean(axis=2)
