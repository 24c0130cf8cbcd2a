"""How much work does this machine do in all: several callers at once, none of them waiting."""

import threading
from array import array
from collections.abc import Callable, Sequence

from amr_edge.errors import ConfigError
from amr_edge.runtime.bench.measure import Timed, Turn


def measure_throughput(
    asks: Sequence[Callable[[], object]],
    *,
    seconds: float,
    warmup_s: float,
    now: Callable[[], float],
) -> tuple[Timed, float]:
    """Let several threads ask as fast as they can.

    Args:
        asks: One forward each, of a thread of its own; engines release Python's lock while they compute.
        seconds: For so long.
        warmup_s: Before that, uncounted.
        now: Seconds on a fine clock, shared by the threads.

    Returns:
        Every run, in order of its end, and runs per second of the whole.

    Raises:
        AmrError: What a run refused; the other threads stop.
    """
    if not asks:
        raise ConfigError("a load needs at least one client")
    begun_s = now()
    warmup = 0
    while now() - begun_s < warmup_s or warmup < 2:
        for ask in asks:
            ask()
        warmup += 1
    runs: list[list[tuple[float, float]]] = [[] for _ in asks]
    failures: list[Exception] = []
    begun_s = now()

    def work(which: int) -> None:
        try:
            while not failures:
                before_s = now()
                if before_s - begun_s >= seconds:
                    return
                asks[which]()
                after_s = now()
                runs[which].append((after_s, (after_s - before_s) * 1e3))
        except Exception as cause:  # noqa: BLE001 - handed to the caller's thread, where it is raised again
            failures.append(cause)

    threads = [threading.Thread(target=work, args=(which,), daemon=True) for which in range(len(asks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    ended_s = now()
    ordered = sorted(run for part in runs for run in part)
    timed = Timed(times_ms=array("d", [ms for _, ms in ordered]), warmup=warmup)
    timed.turns.append(Turn(begun_s, ended_s, 0, len(ordered)))
    return timed, len(ordered) / (ended_s - begun_s)
