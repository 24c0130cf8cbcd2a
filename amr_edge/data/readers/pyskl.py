"""Any data set that PYSKL prepared: one pickle with the clips of all splits, 3-D (NTU-25) or 2-D (COCO-17).

The pickle is `{'split': {name: [frame_dir, ...]}, 'annotations': [{...}, ...]}`; an annotation has `frame_dir`,
`label`, `total_frames`, `keypoint` (M, T, V, C) and, for 2-D, `keypoint_score` (M, T, V) and `img_shape` (height,
width). 3-D coordinates are metres in Kinect camera space in half precision: 4 m away they step by 2 mm. 2-D ones
are pixels with y down; here y points up, from the image's lower edge, and a joint of score 0 is absent. A clip's
parts are the splits that name it ("xsub_train", "xsub_val"). No clock comes along: `FPS` is NTU's and assumed
for the others. Class names are not in the file either: NTU's are known, any other class is "class 007".

A pickle is a program. The unpickler here runs none: the few names that NumPy arrays need stand for plain records
of their own, which are checked before an array is made of them; any other name is refused.

Source: PYSKL (Duan, Wang, Chen and Lin, ACM Multimedia 2022), data/README.
"""

import math
import pickle  # noqa: TID251 - the one restricted unpickler: find_class below knows no name that runs anything
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amr_edge.data.npz import Array
from amr_edge.data.readers import ntu
from amr_edge.data.readers.joints import FARTHEST, at_rate, joints
from amr_edge.data.readers.reader import Clip, clip_or_error
from amr_edge.data.recording import Recording
from amr_edge.errors import ReadError
from amr_edge.skeleton import COCO17, NTU25, present_joints

NAME = "pyskl"
TITLE = "PYSKL pickle"
TERMS = "those of the data set that was prepared"
CLASSES: tuple[str, ...] | None = None

FPS = 30.0
_SNIFF = 1 << 16
_KINDS = re.compile(r"[biuf][1248]|b1")


class _Type:
    """Stands for numpy.dtype: keeps its arguments and knows plain numbers only."""

    def __init__(self, kind: object, *_: object) -> None:
        if not isinstance(kind, str) or not _KINDS.fullmatch(kind):
            raise pickle.UnpicklingError(f"an array of {kind!r:.20}, expected plain numbers")
        self.kind, self.order = kind, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ("<", ">", "|", "=") else "="

    def dtype(self) -> np.dtype[Any]:
        """The type itself."""
        return np.dtype(self.kind if self.order == "|" else self.order + self.kind)


def _filled(data: object, shape: object, kind: object, order: object) -> Array:
    """The array, once its bytes are as many as its shape promises."""
    if isinstance(data, str):
        data = data.encode("latin-1")  # Python 2 wrote bytes as text
    if not isinstance(kind, _Type) or not isinstance(shape, tuple) or not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("an array of something else than numbers")
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise pickle.UnpicklingError(f"an array of shape {shape!r:.40}")
    dtype = kind.dtype()
    if math.prod(shape) * dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} with {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if order in (True, "F") else "C")  # as promised


class _Array:
    """Stands for numpy.ndarray while it is unpickled."""

    array: Array | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        self.array = _filled(data, shape, kind, fortran)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(kind: object, data: object) -> object:
    return _filled(data, (), kind, False).item()  # noqa: FBT003 - NumPy's own order of arguments


def _frombuffer(data: object, kind: object, shape: object, order: object) -> _Array:
    found = _Array()
    found.array = _filled(data, shape, kind, order)
    return found


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in an odd encoding")
    return text.encode("latin-1")


# NumPy 2 renamed numpy.core to numpy._core; old files say the one, new files the other.
_NAMES: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Knows the names of `_NAMES` and no other."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which poses do not need")
        return _NAMES[module, name]


def recognizes(path: Path) -> bool:
    """True if a pickle holds annotations."""
    if path.suffix not in (".pkl", ".pickle"):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFF)
    except OSError:
        return False
    # A large split list can push the annotations out of sight, so one of the words is enough.
    return not start or any(word in start for word in (b"annotations", b"frame_dir", b"split"))


def _unpickled(path: Path) -> object:
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="latin-1").load()
    except OSError:
        raise  # the path is wrong, not what lies there
    except Exception as cause:
        # Damaged bytes are a damaged program: it can fail in any way that a program can.
        raise ReadError(
            f"{path}: expected a PYSKL pickle, which cannot be read safely ({type(cause).__name__}: {cause}); "
            "the file is damaged or foreign"
        ) from cause


def _parts(path: Path, content: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """frame_dir -> the splits that name it."""
    splits = content.get("split", {})
    if not isinstance(splits, dict) or not all(isinstance(names, list | tuple) for names in splits.values()):
        raise ReadError(f"{path}: expected 'split' as names with lists of clips; the file is damaged or foreign")
    found: dict[str, tuple[str, ...]] = {}
    for part, names in splits.items():
        for name in names:
            found[str(name)] = (*found.get(str(name), ()), str(part))
    return found


def _array(value: object, where: str, what: str, dimensions: int) -> Array:
    if not isinstance(value, _Array) or value.array is None or value.array.ndim != dimensions:
        shape = value.array.shape if isinstance(value, _Array) and value.array is not None else type(value).__name__
        raise ReadError(f"{where}: expected '{what}' as an array of {dimensions} dimensions, got {shape}")
    return value.array


def _height(shape: object) -> float:
    """The first of (height, width); 0 if there is none."""
    first = shape[0] if isinstance(shape, tuple | list) and shape else 0
    return float(first) if isinstance(first, int | float) else 0.0


def _recording(annotation: object, path: Path, number: int, parts: Mapping[str, tuple[str, ...]]) -> Recording:
    """One annotation as a recording."""
    if not isinstance(annotation, dict) or "frame_dir" not in annotation:
        raise ReadError(f"{path}: annotation {number} is no clip with a 'frame_dir'; the file is damaged or foreign")
    name = str(annotation["frame_dir"])
    where = f"{path}#{name}"
    if "keypoint" not in annotation:
        raise ReadError(f"{where}: the clip has no 'keypoint'; files that keep them elsewhere cannot be read")
    keypoint = _array(annotation["keypoint"], where, "keypoint", 4)
    skeleton = {(len(NTU25), 3): NTU25, (len(COCO17), 2): COCO17}.get(keypoint.shape[2:])
    if skeleton is None:
        raise ReadError(
            f"{where}: expected keypoint (M, T, 25, 3) or (M, T, 17, 2), got {keypoint.shape}; "
            "PYSKL's other skeletons are not known here"
        )
    with np.errstate(invalid="ignore"):  # damaged bytes can be signalling NaN
        values = keypoint.astype(np.float64)  # (M, T, V, C)
    height: float = 0
    if skeleton is COCO17:
        shape = annotation.get("img_shape")
        height = _height(shape)
        if not 0 < height < FARTHEST:
            raise ReadError(f"{where}: expected 'img_shape' (height, width) beside pixels, got {shape!r:.40}")
        lost = (values == 0).all(axis=-1)
        if "keypoint_score" in annotation:
            score = _array(annotation["keypoint_score"], where, "keypoint_score", 3)
            if score.shape != values.shape[:3]:
                raise ReadError(f"{where}: the scores have the shape {score.shape}, the keypoints {values.shape}")
            lost |= ~(score > 0)
        values[lost] = np.nan
    frames = values.shape[1] if values.size else 0  # a shape can promise frames that take no bytes
    poses = np.empty((1, 0, *values.shape[2:]), dtype=np.float32)
    if values.size:
        poses = joints(values, Path(where), zero_is_absent=skeleton is NTU25)
        seen = np.asarray(present_joints(poses).any(axis=(1, 2)))  # (M,)
        seen[0] |= not seen.any()
        poses = poses[seen]
    if skeleton is COCO17:
        poses[..., 1] = height - poses[..., 1]
    number_of_class = annotation.get("label")
    label, subject, camera = ntu.named(name)
    if number_of_class is None:
        label = None
    elif isinstance(number_of_class, bool) or not isinstance(number_of_class, int) or number_of_class < 0:
        raise ReadError(f"{where}: expected a class number from 0, got {number_of_class!r:.40}; the file is damaged")
    elif (label,) != (ntu.CLASSES or ())[number_of_class : number_of_class + 1]:
        label = f"class {number_of_class:03d}"
    return Recording(
        poses=poses,
        times_s=at_rate(frames, FPS),
        layout=skeleton.name,
        units="m" if skeleton is NTU25 else "px",
        label=label,
        subject=subject,
        camera=camera,
        source=f"{path.name}#{name}",
        parts=parts.get(name, ()),
    )


def read(path: Path) -> Iterator[Clip]:
    """Every clip of a pickle.

    Yields:
        Poses (M, T, 25, 3) in layout ntu25, metres, or (M, T, 17, 2) in layout coco17, pixels; an error for each clip
        that is damaged or of another skeleton.

    Raises:
        ReadError: If the pickle is damaged, asks for anything but arrays, or holds no list of clips.
    """
    content = _unpickled(path)
    annotations = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(annotations, list):
        raise ReadError(
            f"{path}: expected a dict with 'annotations', got {type(content).__name__}; the file is foreign"
        )
    if not annotations:
        raise ReadError(f"{path}: the file holds no clip at all; leave it out")
    parts = _parts(path, content if isinstance(content, dict) else {})
    for number, annotation in enumerate(annotations):
        yield clip_or_error(f"{path}#{number}", partial(_recording, annotation, path, number, parts))
