"""What every token store must do: in memory, in files, in Airflow's Variables."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn import token_store
from airflow_email_conn.hooks.tokens import VariableTokenStore
from airflow_email_conn.token_store import ComparesAndSets, FileTokenStore, MemoryTokenStore

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_email_conn.token_store import TokenStore

KEY = "email_conn__sign_in__0123456789abcdef"


@pytest.fixture(params=["memory", "file", "variables"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TokenStore:
    """Each one, without the key that the tests use."""
    if request.param == "memory":
        return MemoryTokenStore()
    if request.param == "file":
        return FileTokenStore(tmp_path / "tokens")
    request.getfixturevalue("database")
    variables = VariableTokenStore()
    variables.delete(KEY)
    return variables


@pytest.mark.parametrize("text", ["a", '{"token": "ä€😀"}', "x" * 100_000, "two\nlines"])
def test_what_is_kept_comes_back(store: TokenStore, text: str) -> None:
    """Any text, letter by letter."""
    assert store.get(KEY) is None
    store.set(KEY, text)
    assert store.get(KEY) == text


def test_the_last_one_stands(store: TokenStore) -> None:
    """One text for each key."""
    store.set(KEY, "first")
    store.set(f"{KEY}__code", "another")
    store.set(KEY, "second")
    assert store.get(KEY) == "second"
    store.delete(f"{KEY}__code")
    assert store.get(f"{KEY}__code") is None
    assert store.get(KEY) == "second"


def test_forgetting_what_is_not_there(store: TokenStore) -> None:
    """Is nothing to speak of."""
    store.delete(KEY)
    store.set(KEY, "text")
    store.delete(KEY)
    store.delete(KEY)
    assert store.get(KEY) is None


def test_of_many_that_write_at_once_one_wins(store: TokenStore) -> None:
    """Where the store compares and sets; Variables do not, and do not say so."""
    if not isinstance(store, ComparesAndSets):
        assert isinstance(store, VariableTokenStore)
        return
    won: list[int] = []
    begin = threading.Barrier(8)

    def write(number: int) -> None:
        begin.wait()
        if store.compare_and_set(KEY, None, str(number)):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.get(KEY)] == [str(number) for number in won]
    assert not store.compare_and_set(KEY, "something else", "late")
    assert store.compare_and_set(KEY, str(won[0]), "next")
    assert store.get(KEY) == "next"


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Directory and files, whatever the umask."""
    before = os.umask(0)
    try:
        FileTokenStore(tmp_path / "tokens").set(KEY, "text")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tokens").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700


def test_a_lock_that_is_never_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing gives up; reading needs no lock."""
    monkeypatch.setattr(token_store, "_LOCKED", 0.3)
    store = FileTokenStore(tmp_path)
    store.set(KEY, "text")
    (lock,) = tmp_path.glob("*.lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError):
            store.set(KEY, "later")
        assert store.get(KEY) == "text"
    store.set(KEY, "later")
    assert store.get(KEY) == "later"
