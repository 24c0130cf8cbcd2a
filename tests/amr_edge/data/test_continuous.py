"""Clips in a row stay what they were, and between them is nothing that was not recorded."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.cli import run
from amr_edge.data.continuous import JoinConfig, join, joined_by_subject, training_windows
from amr_edge.data.recording import Recording
from amr_edge.data.store import open_store, write_store
from amr_edge.errors import ConfigError, DataError

REST = np.zeros((20, 3), np.float32)
REST[:, 1] = np.linspace(0, 1.7, 20)


def clip(
    label: str | None = "wave", seed: int = 0, *, frames: int = 40, noise: float = 0.002, **said: object
) -> Recording:
    """Somebody who stands, lifts a hand in the middle and stands again."""
    rng = np.random.default_rng(seed)
    poses = np.repeat(REST[None], frames, axis=0) + rng.normal(0, noise, (frames, 20, 3)).astype(np.float32)
    poses[:, 7, 0] += 0.5 * np.sin(np.linspace(0, np.pi, frames), dtype=np.float32) ** 2
    said = {"subject": 1, "source": f"clip{seed}", **said}
    return Recording(
        poses=poses[None].astype(np.float32),
        times_s=np.arange(frames) / 30,
        layout="kinect20",
        label=label,
        **said,  # type: ignore[arg-type]
    )


def joined(clips: Sequence[Recording], seed: int = 0, **config: object) -> list[Recording]:
    return list(join(clips, np.random.default_rng(seed), JoinConfig(**config)))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 6), seed=st.integers(0, 1000), low=st.floats(0.2, 2.0), more=st.floats(0, 2.0))
def test_every_clip_lies_in_its_span_as_it_was_recorded(count: int, seed: int, low: float, more: float) -> None:
    clips = {f"act{k}": clip(f"act{k}", k, frames=30 + k) for k in range(count)}
    (whole,) = joined(list(clips.values()), seed, idle_s=(low, low + more))
    assert sorted(span.label for span in whole.spans) == sorted(clips)
    edges_s = [0.0]
    for span in whole.spans:
        mine = clips[span.label]
        inside = (whole.times_s >= span.start_s - 1e-9) & (whole.times_s <= span.end_s + 1e-9)
        there = whole.poses[0, inside]
        shift = there[0, 0] - mine.poses[0, 0, 0]
        assert shift[1] == pytest.approx(0, abs=1e-6)  # never off the floor
        np.testing.assert_allclose(there, mine.poses[0] + shift, atol=1e-5)
        np.testing.assert_allclose(whole.times_s[inside] - span.start_s, mine.times_s, atol=1e-9)
        edges_s += [span.start_s, span.end_s]
    edges_s.append(whole.duration_s)
    pauses_s = np.diff(edges_s)[::2]
    assert (pauses_s >= low - 0.05).all()
    assert (pauses_s <= low + more + 0.1).all()


def test_nothing_jumps_where_clips_meet() -> None:
    clips = [clip(f"a{k}", k, noise=0.0) for k in range(4)]
    for k, each in enumerate(clips):
        each.poses[:] += np.float32([0.3 * k, 0, -0.2 * k])  # everybody stood somewhere else
    (whole,) = joined(clips, 3)
    within = max(float(np.abs(np.diff(each.poses[0], axis=0)).max()) for each in clips)
    assert np.abs(np.diff(whole.poses[0], axis=0)).max() <= within + 1e-6


def test_idleness_jitters_as_the_clips_do_at_their_ends() -> None:
    (whole,) = joined([clip(f"a{k}", k, frames=60, noise=0.004) for k in range(5)], 1)
    acting = np.zeros(len(whole.times_s), bool)
    for span in whole.spans:
        acting |= (whole.times_s >= span.start_s) & (whole.times_s <= span.end_s)
    step = np.diff(whole.poses[0, :, 0], axis=0)  # of a joint that does nothing
    quiet, busy = step[~acting[1:] & ~acting[:-1]].std(), step[acting[1:] & acting[:-1]].std()
    assert 0.5 * busy < quiet < 1.3 * busy


def test_the_same_chance_joins_the_same_and_another_does_not() -> None:
    clips = [clip(f"a{k}", k) for k in range(6)]
    one, same, other = (joined(clips, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.poses, same.poses)
    assert one.spans == same.spans
    assert one.spans != other.spans


def test_a_clip_that_begins_seated_begins_another_recording() -> None:
    seated = [clip("read", k) for k in range(2)]
    for each in seated:
        each.poses[..., :10, 2] += 0.9
    found = joined([clip("wave", 5), *seated, clip("wave", 6)])
    assert sorted({span.label for span in whole.spans} == {"read"} for whole in found) == [False, True]
    assert sum(len(whole.spans) for whole in found) == 4


def test_a_joint_that_is_never_seen_stays_absent() -> None:
    clips = [clip(f"a{k}", k) for k in range(3)]
    for each in clips:
        each.poses[:, :, 11] = np.nan
    (whole,) = joined(clips)
    assert np.isnan(whole.poses[:, :, 11]).all()
    assert np.isfinite(np.delete(whole.poses, 11, axis=2)).all()


def test_recordings_end_near_the_length_that_was_asked_for() -> None:
    found = joined([clip(f"a{k}", k) for k in range(12)], longest_s=10.0)
    assert len(found) > 1
    assert max(whole.duration_s for whole in found) < 20


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (clip(None), "only clips with one label"),
        (clip("a", subject=2), "expected a clip of"),
        (clip("a", frames=1), "two frames or more"),
    ],
)
def test_what_cannot_be_joined_is_refused(wrong: Recording, words: str) -> None:
    with pytest.raises(DataError, match=words):
        joined([clip("b", 1), wrong])


@pytest.mark.parametrize("wrong", [{"idle_s": (3, 1)}, {"idle_s": (0, 1)}, {"reach": 0}, {"choose_from": 0}])
def test_limits_without_meaning_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        JoinConfig(**wrong)  # type: ignore[arg-type]


def test_people_are_not_mixed() -> None:
    clips = [clip("a", k, subject=k % 2) for k in range(6)] + [clip(None, 7)]
    found = list(joined_by_subject(clips, np.random.default_rng(0)))
    assert [whole.subject for whole in found] == [0, 1]
    with pytest.raises(DataError, match="no clip with a label and a subject"):
        list(joined_by_subject([clip(None)], np.random.default_rng(0)))


def test_windows_of_nothing_are_at_most_their_share() -> None:
    found = joined([clip(f"a{k}", k) for k in range(8)], idle_s=(3.0, 5.0))

    def cut(share: float) -> list[str | None]:
        rng = np.random.default_rng(0)
        made = training_windows(lambda: found, rng, window_s=1.0, stride_s=0.5, none_class="none", none_share=share)
        return [window.label for window in made]

    everything, few, none = cut(0.9), cut(0.25), cut(0.0)
    assert everything.count("none") > len(everything) / 2
    assert few.count("none") == pytest.approx(len(few) / 4, abs=1)
    assert "none" not in none
    assert len(none) == len([label for label in everything if label != "none"])
    with pytest.raises(ConfigError, match="none_share"):
        cut(1.0)


def test_an_action_that_is_called_nothing_is_refused() -> None:
    found = joined([clip("none")])
    with pytest.raises(DataError, match="the name of the none class"):
        list(
            training_windows(
                lambda: found, np.random.default_rng(0), window_s=1, stride_s=1, none_class="none", none_share=0.1
            )
        )


def test_from_clips_to_windows_by_two_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [clip("wave" if k % 2 else "sit", k, subject=1 + k // 6) for k in range(12)]
    store, long, cut = (tmp_path / name for name in ("clips.npz", "long.npz", "cut.npz"))
    write_store(store, clips, dataset="mine", terms="mine")
    assert run(["data", "join", str(store), str(long), "--idle", "1", "2", "--rounds", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["actions"], len(open_store(long))) == (24, said["recordings"])
    assert run(["data", "windows", str(long), str(cut), "--window", "1.5", "--none", "nothing", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    made = open_store(cut)
    assert made.classes == ("sit", "wave", "nothing")
    assert {made.classes[label]: count for label, count in enumerate(np.bincount(made.labels))} == said["clips"]
    assert set(made.subjects.tolist()) == {1, 2}
    assert run(["data", "join", str(store), str(store)]) == 2
    assert run(["data", "windows", str(store), str(tmp_path / "none.npz")]) == 4
