"""Watts are those of the meters that count, joules those of a subject's own turns; throttling is evidence."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amr_edge.errors import ConfigError
from amr_edge.runtime.bench.energy import energy_per_inference
from amr_edge.runtime.bench.measure import Timed, Turn
from amr_edge.runtime.hardware.power import Counter, Gauge, Trace, Watch, counted, idle_watts, rapl, watch

Tree = Callable[..., Path]


def timed(*turns: Turn) -> Timed:
    return Timed(turns=list(turns))


def test_joules_of_one_run_worked_by_hand() -> None:
    trace = Trace(times_s=[0.5, 1.5, 2.5, 3.5], watts={"VDD_IN": [4.0, 10.0, 6.0, 10.0], "VDD_SOC": [1.0, 1, 1, 1]})
    mine = timed(Turn(1.0, 2.0, 0, 20), Turn(3.0, 4.0, 20, 40))
    found = energy_per_inference(trace, mine, idle_watts=3.0)
    assert found is not None
    assert found["watts"] == 10.0  # the samples at 1.5 and 3.5 s; VDD_SOC lies behind VDD_IN
    assert found["joules_per_inference"] == pytest.approx(10.0 * 2.0 / 40)
    assert (found["idle_watts"], found["samples"], found["counted"]) == (3.0, 2, ["VDD_IN"])


def test_a_subject_without_a_sample_in_its_turns_has_no_watts() -> None:
    trace = Trace(times_s=[0.5], watts={"VDD_IN": [4.0]})
    assert energy_per_inference(trace, timed(Turn(1.0, 2.0, 0, 1))) is None
    assert energy_per_inference(Trace(times_s=[1.5], watts={}), timed(Turn(1.0, 2.0, 0, 1))) is None


def test_a_counter_gives_watts_between_readings_and_survives_its_overflow() -> None:
    joules = iter([90.0, 95.0, 5.0])
    counter = Counter("rapl", lambda: next(joules), wraps_at_j=100.0)
    assert counter.watts_at(0.0) is None
    assert counter.watts_at(1.0) == pytest.approx(5.0)
    assert counter.watts_at(3.0) == pytest.approx(5.0)  # 95 -> 100 -> 5 is 10 J in 2 s
    with pytest.raises(ConfigError, match="above 0 J"):
        Counter("rapl", lambda: 0.0, wraps_at_j=0.0)


def test_energy_counters_of_packages_are_read_and_those_inside_them_are_not(tmp_path: Path) -> None:
    for name, what, uj in (("intel-rapl:0", "package-0", 5_000_000), ("intel-rapl:0:0", "core", 3_000_000)):
        folder = tmp_path / "sys/class/powercap" / name
        folder.mkdir(parents=True)
        (folder / "name").write_text(what)
        (folder / "max_energy_range_uj").write_text("262143328850")
        (folder / "energy_uj").write_text(str(uj))
    (counter,) = rapl(tmp_path)
    assert counter.name == "rapl package-0 0"
    assert counter.watts_at(0.0) is None
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("8000000")
    assert counter.watts_at(2.0) == pytest.approx(1.5)


def test_a_jetsons_meters_are_its_rails(jetson_tree: Tree) -> None:
    eyes = watch(jetson_tree("orin-nano"))
    assert eyes.meters == ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")
    assert counted(eyes.meters) == ("VDD_IN",)
    eyes.look(0.0)
    assert eyes.trace.watts["VDD_IN"] == [pytest.approx(6.5)]
    assert eyes.trace.temperatures["tj-thermal"] == 49.5


def test_throttling_while_it_runs_is_seen_even_if_it_is_over_at_the_end(jetson_tree: Tree) -> None:
    root = jetson_tree("orin-nano")
    eyes = watch(root)
    state = root / "sys/class/thermal/cooling_device1/cur_state"
    with eyes.running(time.perf_counter, every_s=0.005):
        state.write_text("1\n")
        time.sleep(0.1)
        state.write_text("0\n")
    assert eyes.trace.slowed == {"cpu-throttle-alert"}
    assert len(eyes.trace.times_s) > 3


def test_a_counter_that_rose_is_throttling_and_one_that_stood_high_before_is_not(jetson_tree: Tree) -> None:
    root = jetson_tree("agx-orin")
    counts = root / "sys/class/hwmon/hwmon3/oc3_event_cnt"
    counts.write_text("813\n")
    eyes = watch(root)
    with eyes.running(time.perf_counter):
        pass
    assert eyes.trace.slowed == set()
    with eyes.running(time.perf_counter):
        counts.write_text("820\n")
    assert eyes.trace.slowed == {"over-current oc3 (+7)"}


def test_a_machine_without_meters_is_watched_without_a_thread(tmp_path: Path) -> None:
    eyes = Watch(tmp_path)
    assert not eyes.meters
    with eyes.running(time.perf_counter):
        pass
    assert idle_watts(eyes, now=time.perf_counter, sleep=time.sleep, seconds=1.0) is None


def test_idle_watts_are_the_mean_before_the_run(tmp_path: Path) -> None:
    values = iter([2.0, 4.0] * 200)
    eyes = Watch(tmp_path, gauges=[Gauge("VDD_IN", lambda: next(values))])
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    assert idle_watts(eyes, now=lambda: clock[0], sleep=sleep, seconds=1.0) == pytest.approx(3.0, abs=0.05)
