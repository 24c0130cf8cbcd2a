import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amr_edge.data.splits import split
from amr_edge.data.store import Store
from amr_edge.errors import AmrError, ConfigError, DataError, ReadError
from amr_edge.training.data.label_subsets import draw, load_subset, require_all_classes, resolve_subset, save_subset


def everyone(store: Store) -> np.ndarray:
    return np.ones(len(store), dtype=np.bool_)


def test_every_class_gives_its_share_and_at_least_one(tiny_store: Store) -> None:
    half = draw(tiny_store, everyone(tiny_store), "all", 0.5, 0)
    assert np.bincount(tiny_store.labels[list(half.positions)]).tolist() == [8, 8]
    least = draw(tiny_store, everyone(tiny_store), "all", 0.001, 0)
    assert sorted(least.labels) == ["left", "right"]


@settings(max_examples=20, deadline=None)
@given(st.floats(0.001, 1), st.integers(0, 1000))
def test_a_subset_lies_in_the_training_part_and_depends_on_nothing_else(
    tiny_store: Store, share: float, seed: int
) -> None:
    train = split(tiny_store, "xsub").train
    first, again = (draw(tiny_store, train, "xsub", share, seed) for _ in range(2))
    assert first == again
    assert first.sha256 == again.sha256
    assert train[list(first.positions)].all()
    assert first.names == tuple(tiny_store.names[i] for i in first.positions)


def test_another_seed_split_or_data_draws_other_clips(tiny_store: Store) -> None:
    train = everyone(tiny_store)
    first = draw(tiny_store, train, "all", 0.25, 0)
    assert draw(tiny_store, train, "all", 0.25, 1).positions != first.positions
    assert draw(tiny_store, train, "random", 0.25, 0).positions != first.positions
    assert draw(replace(tiny_store, terms="others"), train, "all", 0.25, 0).positions != first.positions


def test_another_process_draws_the_same_subset(tiny_store: Store) -> None:
    code = """
import sys
import numpy as np
from amr_edge.data.store import open_store
from amr_edge.training.data.label_subsets import draw
store = open_store(sys.argv[1])
print(draw(store, np.ones(len(store), dtype=bool), "all", 0.3, 7).sha256)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_store.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == draw(tiny_store, everyone(tiny_store), "all", 0.3, 7).sha256


def test_a_stored_subset_comes_back_and_names_its_clips_line_by_line(tiny_store: Store, tmp_path: Path) -> None:
    train = split(tiny_store, "xsub").train
    drawn = draw(tiny_store, train, "xsub", 0.25, 3)
    path = save_subset(drawn, tmp_path / "labels.json")
    assert resolve_subset(str(path), tiny_store, train, "xsub", seed=99) == drawn
    for name in drawn.names:
        assert sum(name in line for line in path.read_text().splitlines()) == 1
    assert json.loads(path.read_text())["sha256"] == drawn.sha256


@pytest.mark.parametrize(
    ("change", "kind", "named"),
    [
        (lambda said: said.update(data_hash="0" * 64), DataError, "other data"),
        (lambda said: said.update(split="random"), DataError, "split 'random', not 'xsub'"),
        (lambda said: said["clips"].append([0, "stranger", "left"]), DataError, "changed by hand"),
        (lambda said: said["clips"].append([10**9, "stranger", "left"]), DataError, "changed by hand"),
        (lambda said: said["clips"].clear(), DataError, "labelled clips"),
        (lambda said: said.pop("clips"), ReadError, "not a subset"),
        (lambda said: said.update(schema=2), ReadError, "schema 1"),
        (lambda said: said.update(clips="many"), ReadError, "not a subset"),
    ],
)
def test_a_subset_that_does_not_belong_here_is_refused_with_the_way_out(
    change: object, kind: type[AmrError], named: str, tiny_store: Store, tmp_path: Path
) -> None:
    train = split(tiny_store, "xsub").train
    path = save_subset(draw(tiny_store, train, "xsub", 0.25, 3), tmp_path / "labels.json")
    said = json.loads(path.read_text())
    change(said)  # type: ignore[operator]
    path.write_text(json.dumps(said))
    with pytest.raises(kind, match=named) as refusal:
        load_subset(path, tiny_store, train, "xsub")
    assert "--labels SHARE" in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("share", ["0", "-0.1", "1.5", "nan", "inf"])
def test_a_share_that_is_none_is_refused(share: str, tiny_store: Store) -> None:
    with pytest.raises(ConfigError, match="--labels expects a share"):
        resolve_subset(share, tiny_store, everyone(tiny_store), "all", 0)


def test_what_is_neither_a_share_nor_a_file_is_refused(tiny_store: Store) -> None:
    with pytest.raises(ReadError, match="no such file"):
        resolve_subset("a tenth", tiny_store, everyone(tiny_store), "all", 0)


def test_a_class_that_nobody_teaches_is_refused_by_name(tiny_store: Store) -> None:
    require_all_classes(tiny_store, everyone(tiny_store), "all")
    with pytest.raises(ConfigError, match="--split mine: no clip of the training part shows right"):
        require_all_classes(tiny_store, tiny_store.labels == 0, "mine")
