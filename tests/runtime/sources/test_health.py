"""Faults that are survived are counted each, told once, and never grow."""

from amr_edge.runtime.sources.health import Health, Status


def status(state: str, source: str = "camera 0") -> Status:
    return Status(source=source, state=state, sentence=f"{source}: {state}", time_s=1.23456789)  # type: ignore[arg-type]


def test_a_flood_of_bad_lines_is_told_once_and_counted_all() -> None:
    told: list[Status] = []
    health = Health(told.append)
    for _ in range(1000):
        health.add(status("malformed"))
    assert len(told) == 1
    assert health.losses == {"malformed": 1000}


def test_every_loss_of_a_camera_is_told_and_every_return() -> None:
    told: list[Status] = []
    health = Health(told.append)
    for state in ("lost", "back", "lost", "back"):
        health.add(status(state))
    assert [each.state for each in told] == ["lost", "back", "lost", "back"]
    assert health.losses == {"lost": 2}  # to come back is no loss


def test_each_source_has_a_first_time_of_its_own() -> None:
    told: list[Status] = []
    health = Health(told.append)
    for source in ("a", "b", "a"):
        health.add(status("failed", source))
    assert [each.source for each in told] == ["a", "b"]
    assert health.losses == {"failed": 3}
