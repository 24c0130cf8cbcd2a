"""The array operations that NumPy and torch spell differently, behind one interface.

`amr_edge.preprocess.Normalization` and `amr_edge.motion_energy` are written once in terms of these, of Python's
operators and of the methods that both kinds of array have: `reshape`, `swapaxes`, `sum`, `mean`, `any` and `clip`.
This package imports only NumPy; `amr_edge.training.data.torch_backend` has the operations of torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy.ndarray or torch.Tensor; all arrays of one call are of the same kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayBackend:
    """The operations of one array library. Axes and arguments are given by position.

    Attributes:
        where: (condition, yes, no).
        sqrt: (values).
        hypot: (x, y).
        isfinite: (values).
        stack: (arrays, axis).
        concat: (arrays, axis).
        sort: (values, axis), rising.
        take: (values, indices, axis), one-dimensional indices.
        repeat: (values, times, axis), each entry so many times in a row.
        first_true: (mask, axis), index of the first True; 0 where there is none.
        arange: (n, like), int64 from 0 to n - 1 on the device of `like`.
        integers: (values, like), a sequence as int64 on the device of `like`.
        cast: (values, like), in the data type of `like`.
        double: (values), as float64.
    """

    where: Callable[[Array, Array, Array], Array]
    sqrt: Callable[[Array], Array]
    hypot: Callable[[Array, Array], Array]
    isfinite: Callable[[Array], Array]
    stack: Callable[[list[Array], int], Array]
    concat: Callable[[list[Array], int], Array]
    sort: Callable[[Array, int], Array]
    take: Callable[[Array, Array, int], Array]
    repeat: Callable[[Array, int, int], Array]
    first_true: Callable[[Array, int], Array]
    arange: Callable[[int, Array], Array]
    integers: Callable[[list[int], Array], Array]
    cast: Callable[[Array, Array], Array]
    double: Callable[[Array], Array]


NUMPY = ArrayBackend(
    where=np.where,
    sqrt=np.sqrt,
    hypot=np.hypot,
    isfinite=np.isfinite,
    stack=np.stack,
    concat=np.concatenate,
    sort=np.sort,
    take=np.take,
    repeat=np.repeat,
    first_true=np.argmax,
    arange=lambda n, _: np.arange(n),
    integers=lambda values, _: np.array(values, dtype=np.int64),
    cast=lambda values, like: values.astype(like.dtype),
    double=lambda values: values.astype(np.float64),
)
