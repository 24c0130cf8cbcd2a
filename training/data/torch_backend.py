"""The operations of torch for the shared preprocessing; see `amr_edge.array_backend`."""

import torch

from amr_edge.array_backend import ArrayBackend

TORCH = ArrayBackend(
    where=torch.where,
    sqrt=torch.sqrt,
    hypot=torch.hypot,
    isfinite=torch.isfinite,
    stack=torch.stack,
    concat=torch.cat,
    sort=lambda values, axis: values.sort(dim=axis).values,
    take=lambda values, indices, axis: values.index_select(axis, indices),
    repeat=torch.repeat_interleave,
    first_true=lambda mask, axis: mask.byte().argmax(dim=axis),
    arange=lambda n, like: torch.arange(n, device=like.device),
    integers=lambda values, like: torch.tensor(values, device=like.device),
    cast=lambda values, like: values.to(like.dtype),
    double=lambda values: values.double(),
)
