"""An output never replaces an input: the file itself, a link to it in either direction, a file of an input folder."""

import os
from pathlib import Path
from tempfile import gettempdir

import pytest

from amr_edge.errors import ConfigError
from amr_edge.output_paths import check_outputs, home_folder


def test_the_input_itself_and_links_to_it_are_refused_by_the_name_of_the_option(tmp_path: Path) -> None:
    film, link, hard = tmp_path / "film.mp4", tmp_path / "link.mp4", tmp_path / "hard.mp4"
    film.write_bytes(b"film")
    link.symlink_to(film)
    os.link(film, hard)
    for output in (film, link, hard):
        for given in (film, link):
            with pytest.raises(ConfigError, match=rf"--save: .*{output.name} would replace"):
                check_outputs({"--save": output}, [given])


def test_a_file_of_an_input_folder_is_refused_and_a_new_one_beside_it_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.jsonl").write_text("x")
    with pytest.raises(ConfigError, match="--to"):
        check_outputs({"--to": folder / "a.jsonl"}, [folder])
    check_outputs(
        {"--to": folder / "new.jsonl", "--save": None}, [folder, None, "udp://127.0.0.1:9", tmp_path / "none"]
    )


def test_a_user_without_a_home_has_the_folder_of_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    assert home_folder() == Path.home()
    monkeypatch.setattr(Path, "home", homeless)
    assert home_folder() == Path(gettempdir())
