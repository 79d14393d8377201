"""Files under names that senders chose."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from airflow_email_conn.hooks.downloads import Downloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """The directory; what lies beside it stays as it is."""
    directory = tmp_path / "in"
    directory.mkdir()
    (tmp_path / "beside").write_text("untouched")
    yield directory
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside", "in"]
    assert (tmp_path / "beside").read_text() == "untouched"
    assert not list(directory.glob(".*.part"))


def content(data: str) -> Callable[[IO[bytes]], object]:
    """Writes it."""
    return lambda file: file.write(data.encode())


def save(directory: Path, *files: tuple[str, str], overwrite: bool = True) -> dict[str, str]:
    """What lies there when these came: name and content."""
    with Downloads(directory, overwrite=overwrite) as downloads:
        for name, data in files:
            downloads.add(name, content(data))
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "name", ["report 12:30 <a>.csv", "rechnung märz.csv", "a\\b.csv", ".hidden", "NUL", "...", "n" * 240]
)
def test_the_senders_name_is_kept(place: Path, name: str) -> None:
    """As the official hook does, whatever another system thinks of it."""
    assert save(place, (name, "1")) == {name: "1"}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../beside", "beside"),
        ("../../../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("sub/x.csv", "x.csv"),
        ("..", "attachment"),
        (".", "attachment"),
        ("", "attachment"),
        ("a\0b.csv", "a b.csv"),
        ("\ud800.csv", "?.csv".replace("?", "_")),
        ("n" * 300 + ".csv", "n" * 146 + ".csv"),
    ],
)
def test_what_is_no_file_name_becomes_one(
    place: Path, name: str, stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Kept, in the directory, and told."""
    assert save(place, (name, "1")) == {stored: "1"}
    assert f"saved as {stored!r}" in caplog.text


def test_overwrite(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last one of a name remains; the log says so only when both came now."""
    assert save(place, ("a.csv", "old")) == {"a.csv": "old"}
    assert save(place, ("a.csv", "1")) == {"a.csv": "1"}
    assert caplog.text == ""
    assert save(place, ("a.csv", "2"), ("a.csv", "3")) == {"a.csv": "3"}
    assert "'a.csv' replaces another" in caplog.text


def test_numbers(place: Path) -> None:
    """overwrite=False keeps all, those of earlier runs too."""
    save(place, ("a.tar.gz", "0"), ("b", "0"), overwrite=False)
    assert save(place, ("a.tar.gz", "1"), ("a.tar.gz", "2"), ("b", "1"), overwrite=False) == {
        "a.tar.gz": "0",
        "a.tar_1.gz": "1",
        "a.tar_2.gz": "2",
        "b": "0",
        "b_1": "1",
    }


def test_a_made_up_name_replaces_nothing_of_the_same_mails(place: Path) -> None:
    """Nobody's `../a.csv` takes the place of `a.csv`; a rerun gives the same files."""
    for _ in range(2):
        assert save(place, ("a.csv", "1"), ("../a.csv", "2"), ("x/a.csv", "3")) == {
            "a.csv": "1",
            "a_1.csv": "2",
            "a_2.csv": "3",
        }


@pytest.mark.parametrize("overwrite", [True, False])
def test_links_and_directories_stay(place: Path, overwrite: bool) -> None:
    """Nothing is written through a link, and nothing is lost."""
    (place / "a.csv").symlink_to("../beside")
    (place / "b.csv").symlink_to("../missing")
    (place / "c.csv").mkdir()
    os.mkfifo(place / "d.csv")
    with Downloads(place, overwrite=overwrite) as downloads:
        for letter in "abcd":
            downloads.add(f"{letter}.csv", content(letter))
    assert {path.name: path.read_text() for path in place.glob("?_*")} == {f"{x}_1.csv": x for x in "abcd"}
    assert (place / "a.csv").is_symlink()
    assert (place / "b.csv").is_symlink()


def test_all_or_nothing(place: Path) -> None:
    """A break leaves what was there before, and no half file."""

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise TimeoutError

    save(place, ("a.csv", "old"))
    with suppress(TimeoutError), Downloads(place, overwrite=True) as downloads:
        downloads.add("a.csv", content("new"))
        downloads.add("b.csv", fail)
        pytest.fail("the break was swallowed")
    assert {path.name: path.read_text() for path in place.iterdir()} == {"a.csv": "old"}


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_error_while_placing(place: Path, overwrite: bool) -> None:
    """What is placed stays; there is no empty file that the next run would take for a real one."""
    downloads = Downloads(place, overwrite=overwrite)
    for name in ("a.csv", "b.csv", "c.csv"):
        downloads.add(name, content(name))
    second = next(part for part in place.iterdir() if part.read_text() == "b.csv")
    with pytest.raises(FileNotFoundError, match="part"), downloads:
        second.unlink()  # so that it cannot be renamed
    assert {path.name: path.read_text() for path in place.iterdir()} == {"a.csv": "a.csv"}


def test_the_first_error_is_told(place: Path) -> None:
    """What cannot be removed either hides no error, and keeps nothing else there."""
    downloads = Downloads(place, overwrite=False)
    downloads.add("a.csv", content("1"))
    (odd,) = place.iterdir()
    odd.unlink()
    odd.mkdir()  # neither renamed to a file nor unlinked
    downloads.add("b.csv", content("2"))
    with pytest.raises(NotADirectoryError), downloads:
        pass
    assert list(place.iterdir()) == [odd]
    odd.rmdir()


def test_many_of_one_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs the same, and so do those of earlier runs: the directory is listed once."""
    calls: list[str] = []
    really_open, really_list = Path.open, Path.iterdir

    def opened(path: Path, mode: str) -> IO[bytes]:
        calls.append("open")
        return really_open(path, mode)

    def listed(path: Path) -> Iterator[Path]:
        calls.append("list")
        return really_list(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        patch.setattr(Path, "iterdir", listed)
        for day in range(2):
            with Downloads(place, overwrite=False) as downloads:
                for number in range(200):
                    downloads.add("report.csv", content(f"{day} {number}"))
    assert calls.count("open") <= 2 * 400 + 1  # each file under two names
    assert calls.count("list") == 2
    assert (place / "report.csv").read_text() == "0 0"
    assert (place / "report_199.csv").read_text() == "0 199"
    assert (place / "report_399.csv").read_text() == "1 199"


def test_who_may_read_is_the_umasks_business(place: Path) -> None:
    """As with any file that a task writes."""
    before = os.umask(0o022)
    try:
        save(place, ("a.csv", "1"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((place / "a.csv").stat().st_mode) == 0o644


def test_a_missing_directory_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is not made: a misspelt one would take the files unseen."""
    caplog.set_level(logging.WARNING)
    with pytest.raises(FileNotFoundError, match="missing"):
        save(tmp_path / "missing", ("a.csv", "1"))
