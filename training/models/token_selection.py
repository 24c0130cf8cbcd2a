"""Which of a body's tokens are worth looking at, and what looking at them costs.

The encoder was pre-trained on a tenth of the tokens, so it need not see all of them to recognise. Those that move most
come first, and the most moving one of each joint and of each moment counts for more, so that a small budget is spread
over the body and the window; what stands quite still may stay unseen all the same. The choice is part of what is
deployed: torch and any engine compute it alike.
"""

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.skeleton import layout
from amr_edge.training.config import EncoderConfig
from amr_edge.training.models.motion_energy import EPSILON_M2

# How much more the energy of the best of a joint or moment counts: docs/token-budget.md has what was measured. A power
# of two, so that it leaves the digits alone that tell tokens apart.
BEST_COUNTS = 16.0
# Tokens that move alike are ordered by their place: energies are rounded to float32, whose neighbours are 2^-24 apart,
# and a place weighs 2^-40 each in the spare digits of a double.
PLACE = 2.0**-40
# A path of 1 m leaves errors of about 1e-16 m^2 in a double. A quantum of 1.8e-12 is a movement of 1.3 micrometres.
QUANTA_PER_M2 = 2.0**39
MOST_TOKENS = 2**15
CHANNELS = 3


class TokenSelector(nn.Module):
    """The tokens of a body to look at on a budget.

    The energies are those of `amr_edge.motion_energy.token_energy`, which tests hold them to, in a form that inference
    engines run fast: two matrix products; one sums up every window of every length,
    one shares the windows' energies out to the tokens. They are computed in double precision, because an order that
    torch and an engine must agree on leaves no room for the last digit of a float.

    Args:
        frames: T of the clips.
        joints: V of the clips.
        patch_frames: Frames in a token; divides T.
        windows: Frames in the windows of the energies; each divides T.
        dtype: Of the energies; float32 for engines without doubles, where near ties may fall either way.

    Raises:
        ConfigError: If a window or the patch does not divide the frames.
    """

    def __init__(
        self,
        *,
        frames: int,
        joints: int,
        patch_frames: int,
        windows: Sequence[int],
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.patch_frames = patch_frames
        self.steps, self.joints = frames // patch_frames, joints
        self.tokens = self.steps * joints
        if not windows or any(frames % length for length in (patch_frames, *windows)) or self.tokens > MOST_TOKENS:
            raise ConfigError(
                f"tokens are ranked by windows that divide the {frames} frames of a clip, up to {MOST_TOKENS} tokens; "
                f"got windows of {tuple(windows)} and patches of {patch_frames} frames of {joints} joints"
            )
        shared = gcd(*windows)  # frames that no window cuts
        sums, shares = [], []
        for length in windows:
            inside = torch.eye(frames // length, dtype=dtype)  # (T / length, T / length)
            sums.append(inside.repeat_interleave(length // shared, dim=1))  # (T / length, T / shared)
            of_token = inside.repeat_interleave(length, dim=1).reshape(-1, self.steps, patch_frames).mean(dim=2)
            shares.append(of_token.T / len(windows))  # (T / patch_frames, T / length)
        self.sums = nn.Buffer(torch.cat(sums), persistent=False)  # (W, T / shared)
        self.shares = nn.Buffer(torch.cat(shares, dim=1), persistent=False)  # (T / patch_frames, W)
        joint_of = torch.arange(joints).repeat_interleave(CHANNELS)  # (V * C,)
        self.spread = nn.Buffer((torch.arange(joints)[:, None] == joint_of).to(dtype), persistent=False)  # (V, V * C)
        place = torch.arange(self.tokens, dtype=dtype)
        self.place = nn.Buffer(1 + (self.tokens - 1 - place) * PLACE, persistent=False)  # (L,)
        self.absent = nn.Buffer(-1 - place, persistent=False)  # (L,)

    def energy(self, body: Tensor, present: Tensor) -> Tensor:
        """Multi-scale motion energy of every token: (B, T, V, C), 0 where absent, -> (B, L), squared metres."""
        return self._energy(body, present.to(self.sums.dtype))

    def _energy(self, body: Tensor, seen: Tensor) -> Tensor:
        """As `energy`, with presence (B, T, V) as 0 and 1."""
        T, V, C = body.shape[1:]
        path = body.reshape(-1, T, V * C).to(self.sums.dtype)
        # About its own middle a path is small, so that squares of it can be subtracted from each other. The product
        # with `spread` writes the middle wherever the joint is seen; a product has no broadcasting to pay for.
        path = path - seen @ (path.mean(dim=1, keepdim=True) * self.spread)  # (B, T, V * C)
        squares = (path * path).reshape(-1, T, V, C).sum(dim=-1)  # (B, T, V)
        moments = torch.cat([path, squares, seen], dim=-1)  # (B, T, V * (C + 2))
        # First over the frames that all windows share, then over windows: few large sums instead of many.
        parts = moments.reshape(-1, self.sums.shape[1], T // self.sums.shape[1], V * (C + 2)).sum(dim=2)
        sums = self.sums @ parts  # (B, W, V * (C + 2))
        first, second, count = torch.split(sums, [V * C, V, V], dim=-1)  # (B, W, V * C), (B, W, V), (B, W, V)
        count = count.clamp(min=1)  # (B, W, V)
        middle = (first * first).reshape(-1, len(self.sums), V, C).sum(dim=-1)  # (B, W, V)
        variance = (second - middle / count) / count
        return (self.shares @ variance).reshape(-1, self.tokens)

    def keys(self, body: Tensor, present: Tensor) -> Tensor:
        """(B, L) what tokens are ordered by, the first the largest: all distinct, and below 0 for absent ones."""
        seen = present.to(self.sums.dtype)
        # To whole quanta: what engines sum up in another order differs by a ten-thousandth of one, so tokens that move
        # alike stay alike, above all those that do not move. The float32 does the same for large energies.
        quanta = torch.round(self._energy(body, seen) * QUANTA_PER_M2)
        # What moves less than the floor is still. In quanta, because the exporter leaves out a sum with 1e-8.
        energy = (quanta + EPSILON_M2 * QUANTA_PER_M2).float().to(self.sums.dtype)
        whole = seen.reshape(-1, self.steps, self.patch_frames, self.joints).amin(dim=2).reshape(-1, self.tokens) > 0
        keys = torch.where(whole, energy * self.place, self.absent)
        grid = keys.reshape(-1, self.steps, self.joints)
        # What is not below both maxima is one of them.
        best = grid >= torch.minimum(grid.amax(dim=1, keepdim=True), grid.amax(dim=2, keepdim=True))
        return torch.where(best, grid * BEST_COUNTS, grid).reshape(-1, self.tokens)

    def forward(self, body: Tensor, present: Tensor, ranks: Tensor) -> Tensor:
        """Choose.

        Args:
            body: (B, T, V, C), 0 where absent.
            present: (B, T, V) bool.
            ranks: (K,) int64, the places in the order to look at; 0 to K - 1 for a budget of K tokens.

        Returns:
            (B, K) token indices; of 0 to K - 1, absent ones only where a body has fewer than K others.
        """
        return self.first(body, present, ranks)[0]

    def first(self, body: Tensor, present: Tensor, ranks: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and which of the chosen tokens exist: (B, K) indices and (B, K) bool."""
        ordered, order = self.keys(body, present).topk(self.tokens, dim=1)  # (B, L) each
        return order.index_select(1, ranks), ordered.index_select(1, ranks) > 0


def choice_of(card: Card, dtype: torch.dtype = torch.float64) -> TokenSelector:
    """Token selector of a model, by its card."""
    return TokenSelector(
        frames=card.prepare.frames,
        joints=len(layout(card.prepare.layout)),
        patch_frames=card.patch_frames,
        windows=card.energy_windows,
        dtype=dtype,
    )


def macs(encoder: EncoderConfig, tokens: int) -> int:
    """Multiply-accumulates of the encoder's blocks for one body.

    A block costs (4 + 2 r) D^2 for each token (query, key, value, output; two linears of the feed-forward of ratio r)
    and 2 K^2 D for attention among K tokens. Embedding, head and choice, about a thousandth, are left out.

    Args:
        encoder: Width D, depth and ratio.
        tokens: K, that are looked at.

    >>> round(macs(EncoderConfig(), 750) / 1e6)
    7023
    """
    D = encoder.width
    return encoder.depth * ((4 + 2 * encoder.mlp_ratio) * D * D * tokens + 2 * tokens * tokens * D)
