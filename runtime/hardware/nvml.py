"""What an NVIDIA card says through its driver's library; quiet where there is no card or no nvidia-ml-py."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

# NVML's bits that mean "slower than it could be because of heat or power".
THROTTLED = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


def _library() -> Any:
    """NVML, initialised; None without the package, a driver or a card."""
    if find_spec("pynvml") is None:
        return None
    pynvml = import_module("pynvml")

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def cards() -> list[dict[str, Any]]:
    """Name, driver and memory of every card."""
    nvml = _library()
    if nvml is None:
        return []
    found = []
    for place in range(nvml.nvmlDeviceGetCount()):
        card = nvml.nvmlDeviceGetHandleByIndex(place)
        found.append(
            {
                "name": _text(nvml.nvmlDeviceGetName(card)),
                "driver": _text(nvml.nvmlSystemGetDriverVersion()),
                "memory_mb": int(nvml.nvmlDeviceGetMemoryInfo(card).total) // 2**20,
            }
        )
    return found


def meters() -> list[tuple[str, Callable[[], float | None]]]:
    """(name, watts now) of every card that tells."""
    nvml = _library()
    if nvml is None:
        return []

    def watts_of(card: Any) -> Callable[[], float | None]:
        def watts() -> float | None:
            try:
                return float(nvml.nvmlDeviceGetPowerUsage(card)) / 1e3
            except nvml.NVMLError:
                return None

        return watts

    handles = [nvml.nvmlDeviceGetHandleByIndex(place) for place in range(nvml.nvmlDeviceGetCount())]
    found = [(f"nvidia {place}", watts_of(card)) for place, card in enumerate(handles)]
    return [(name, watts) for name, watts in found if watts() is not None]


def slowed_now() -> set[str]:
    """Why the cards are slower than they could be at this moment."""
    nvml = _library()
    if nvml is None:
        return set()
    found = set()
    for place in range(nvml.nvmlDeviceGetCount()):
        try:
            reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(nvml.nvmlDeviceGetHandleByIndex(place))
        except nvml.NVMLError:
            continue  # a card that does not tell is not known to be slowed
        found |= {f"nvidia {place} {words}" for bit, words in THROTTLED.items() if reasons & bit}
    return found
