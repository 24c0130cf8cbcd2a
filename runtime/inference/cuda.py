"""What TensorRT leaves to us on the GPU: memory, copies and a stream, every call checked.

NVIDIA's `cuda-bindings` (`cuda.bindings.runtime`; `cuda.cudart` in older cuda-python) is all that is needed.
"""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.errors import MissingError

# Newest first; the second name is that of cuda-python before 12.6.
MODULES = ("cuda.bindings.runtime", "cuda.cudart")


class Cuda:
    """The CUDA runtime on the first visible GPU.

    Args:
        api: The module of the bindings.
    """

    def __init__(self, api: Any) -> None:
        self.api = api

    def checked(self, answer: tuple[Any, ...], doing: str) -> Any:
        """The value that a call returned.

        Args:
            answer: Error code first, as every function of the bindings returns it.
            doing: What was tried, for the sentence.

        Raises:
            MissingError: If the code is not 0; CUDA's own words are in the sentence.
        """
        code, *values = answer
        if int(code) != 0:
            _, words = self.api.cudaGetErrorString(code)
            text = words.decode() if isinstance(words, bytes) else str(words)
            raise MissingError(
                f"CUDA failed with code {int(code)} ({text}) while {doing}; check with nvidia-smi (tegrastats on a "
                "Jetson) that the GPU works and has free memory, or run the ONNX file on the CPU instead"
            )
        return values[0] if values else None

    def compute_capability(self) -> str:
        """Of the first visible GPU: "8.7"."""
        kinds = self.api.cudaDeviceAttr
        major, minor = (
            self.checked(self.api.cudaDeviceGetAttribute(kind, 0), "asking for a GPU")
            for kind in (kinds.cudaDevAttrComputeCapabilityMajor, kinds.cudaDevAttrComputeCapabilityMinor)
        )
        return f"{major}.{minor}"

    def version(self) -> str:
        """Of the runtime library: 12060 is "12.6"."""
        number = int(self.checked(self.api.cudaRuntimeGetVersion(), "asking for its version"))
        return f"{number // 1000}.{number % 1000 // 10}"

    def stream(self) -> Any:
        """A new stream."""
        return self.checked(self.api.cudaStreamCreate(), "creating a stream")

    def memory(self, size: int) -> int:
        """Address of `size` new bytes on the GPU."""
        return int(self.checked(self.api.cudaMalloc(size), f"taking {size:,} bytes of GPU memory"))

    def upload(self, address: int, array: NDArray[Any], stream: Any) -> None:
        """Start copying a contiguous array to the GPU."""
        kind = self.api.cudaMemcpyKind.cudaMemcpyHostToDevice
        answer = self.api.cudaMemcpyAsync(address, array.ctypes.data, array.nbytes, kind, stream)
        self.checked(answer, "copying to the GPU")

    def download(self, array: NDArray[Any], address: int, stream: Any) -> None:
        """Start copying from the GPU into a contiguous array."""
        kind = self.api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        answer = self.api.cudaMemcpyAsync(array.ctypes.data, address, array.nbytes, kind, stream)
        self.checked(answer, "copying from the GPU")

    def wait(self, stream: Any) -> None:
        """Until everything in the stream is done; errors of kernels come to light here."""
        self.checked(self.api.cudaStreamSynchronize(stream), "waiting for the GPU")

    def release(self, addresses: dict[str, int], stream: Any) -> None:
        """Give memory and stream back.

        The codes are not looked at: this runs when a session is dropped, perhaps after the GPU was lost.
        """
        for address in addresses.values():
            self.api.cudaFree(address)
        self.api.cudaStreamDestroy(stream)


def open_cuda(wanted_by: str) -> Cuda:
    """The bindings that are installed.

    Args:
        wanted_by: What needs CUDA, as the subject of the sentence.

    Raises:
        MissingError: If none are.
    """
    newest, older = MODULES
    try:
        return Cuda(import_module(newest))
    except (ImportError, OSError) as cause:
        try:
            return Cuda(import_module(older))
        except (ImportError, OSError):
            raise MissingError(
                f"{wanted_by} needs NVIDIA's CUDA bindings for Python ({cause}); type: pip install cuda-python, "
                "in the version of the installed CUDA (nvcc --version)"
            ) from cause


def contiguous(array: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """The array as one block of memory of another type, copied only if it must be."""
    return np.ascontiguousarray(array, dtype=kind)
