"""Number of watts, how hot, how throttled while it ran: meters that are sampled beside the measurement."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from amr_edge.errors import ConfigError
from amr_edge.runtime.hardware import jetson, nvml
from amr_edge.runtime.hardware.jetson import number_of, text_of

EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Gauge:
    """A meter that shows watts."""

    name: str
    watts: Callable[[], float | None]


class Counter:
    """A meter that counts joules; its watts are those since it was last read."""

    def __init__(self, name: str, joules: Callable[[], float | None], wraps_at_j: float) -> None:
        """A counter.

        Args:
            name: What it counts.
            joules: Reads it.
            wraps_at_j: It starts again from 0 there.
        """
        if not wraps_at_j > 0:
            raise ConfigError(f"{name}: an energy counter must wrap above 0 J, got {wraps_at_j}")
        self.name = name
        self._joules = joules
        self._wraps_at_j = wraps_at_j
        self._last: tuple[float, float] | None = None

    def watts_at(self, time_s: float) -> float | None:
        """Mean watts since the last reading; None for the first."""
        joules = self._joules()
        if joules is None:
            return None
        last, self._last = self._last, (time_s, joules)
        if last is None or time_s <= last[0]:
            return None
        return ((joules - last[1]) % self._wraps_at_j) / (time_s - last[0])


@dataclass(slots=True)
class Trace:
    """Samples taken during a measurement.

    Attributes:
        times_s: When, on the clock of the measurement.
        watts: {meter: watts at those times}, NaN where it did not answer.
        temperatures: {zone: the hottest it was}.
        slowed: What slowed the machine down.
    """

    times_s: list[float] = field(default_factory=list)
    watts: dict[str, list[float]] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    slowed: set[str] = field(default_factory=set)


class Watch:
    """Meters, temperatures and throttling of one machine."""

    def __init__(
        self, root: Path = Path("/"), *, gauges: Sequence[Gauge] = (), counters: Sequence[Counter] = ()
    ) -> None:
        """A watch.

        Args:
            root: Where `/sys` is looked for.
            gauges: Meters that show watts.
            counters: Meters that count joules.
        """
        self._root = root
        self._gauges = list(gauges)
        self._counters = list(counters)
        self._counts = jetson.throttle_counts(root)
        self.trace = Trace()
        self._hot = bool(jetson.temperatures(root)) or bool(list((root / "sys/class/thermal").glob("cooling_device*")))
        self._cards = bool(nvml.cards())

    @property
    def meters(self) -> tuple[str, ...]:
        """Names of the meters."""
        return (*(gauge.name for gauge in self._gauges), *(counter.name for counter in self._counters))

    @property
    def has_eyes(self) -> bool:
        """False if there is nothing here to look at while something runs."""
        return bool(self.meters) or self._hot or bool(self._counts) or self._cards

    def look(self, time_s: float) -> None:
        """Read everything once."""
        self.trace.times_s.append(time_s)
        for gauge in self._gauges:
            self._note(gauge.name, gauge.watts())
        for counter in self._counters:
            self._note(counter.name, counter.watts_at(time_s))
        for zone, degrees in jetson.temperatures(self._root).items():
            self.trace.temperatures[zone] = max(degrees, self.trace.temperatures.get(zone, degrees))
        self.trace.slowed |= jetson.slowed_now(self._root) | nvml.slowed_now()
        for name, count in jetson.throttle_counts(self._root).items():
            if count > self._counts.get(name, count):
                self.trace.slowed.add(f"{name} (+{count - self._counts[name]})")

    def _note(self, meter: str, watts: float | None) -> None:
        self.trace.watts.setdefault(meter, []).append(float("nan") if watts is None else watts)

    @contextmanager
    def running(self, now: Callable[[], float], every_s: float = EVERY_S) -> Iterator[None]:
        """Look again and again in a thread of its own, from before the work to after it."""
        self.look(now())
        if not self.has_eyes:
            yield
            self.look(now())
            return
        stop = threading.Event()

        def keep_looking() -> None:
            while not stop.wait(every_s):
                self.look(now())

        thread = threading.Thread(target=keep_looking, name="amr-edge bench watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.look(now())


def rapl(root: Path) -> list[Counter]:
    """Intel's and AMD's energy counters: packages and memory, as far as this user may read them."""
    found = []
    for domain in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        name, wraps = text_of(domain / "name"), number_of(domain / "max_energy_range_uj")
        path = domain / "energy_uj"
        # Cores and graphics lie inside their package and would count twice.
        if name is None or not (name.startswith("package") or name == "dram") or number_of(path) is None or not wraps:
            continue

        def joules(path: Path = path) -> float | None:
            value = number_of(path)
            return None if value is None else value * 1e-6

        found.append(Counter(f"rapl {name} {domain.name.partition(':')[2]}", joules, wraps * 1e-6))
    return found


def unreadable_rapl(root: Path) -> bool:
    """True if the counters are there and only rights are missing."""
    domains = list((root / "sys/class/powercap").glob("intel-rapl:*/energy_uj"))
    return bool(domains) and all(number_of(path) is None for path in domains)


def watch(root: Path = Path("/")) -> Watch:
    """A watch of every meter that this machine has."""
    gauges = [Gauge(rail.name, rail.watts) for rail in jetson.rails(root)]
    gauges += [Gauge(name, watts) for name, watts in nvml.meters()]
    return Watch(root, gauges=gauges, counters=rapl(root))


def counted(meters: Sequence[str]) -> tuple[str, ...]:
    """The meters whose sum is the machine's power as far as it is measured: inputs of a Jetson, else all."""
    return jetson.inputs(meters) or tuple(name for name in meters if name.startswith(("rapl", "nvidia")))


def idle_watts(
    watch: Watch, *, now: Callable[[], float], sleep: Callable[[float], None], seconds: float
) -> float | None:
    """Idle power of the machine; None without meters."""
    if not counted(watch.meters):
        return None
    begun_s = now()
    while now() - begun_s < seconds:
        watch.look(now())
        sleep(EVERY_S)
    means = [float(np.nanmean(watch.trace.watts[name])) for name in counted(watch.meters)]
    return sum(means) if np.isfinite(means).all() else None
