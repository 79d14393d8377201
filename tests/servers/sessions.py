"""Sessions (setsid) of processes: finding their members, ending them, and a watchdog.

A server's children can leave its process tree but not its session. As a script this is the watchdog of one
bed: it waits until its standard input ends, that is until the process that started it is gone in whatever
way; then it ends the sessions noted in ``FOLDER/log/*.session`` and removes the folder. A parent-death signal
would not do: the kernel forgets it when a process changes its user, as Postfix and Dovecot do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["end_session", "note_session", "watchdog"]

_GRACE_SECONDS = 0.3


def end_session(session: int) -> None:
    """Ask every process of a session to end, and kill what does not."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _members(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
        end = time.monotonic() + _GRACE_SECONDS
        while _members(session) and time.monotonic() < end:
            time.sleep(0.02)


@contextlib.contextmanager
def note_session(session: int, log: Path) -> Iterator[None]:
    """Tell the watchdog of a session, until the end of the block.

    :param log: the log file of the server, next to which the note is put.
    """
    note = log.with_suffix(".session")
    note.write_text(str(session), encoding="ascii")
    try:
        yield
    finally:
        note.unlink()


@contextlib.contextmanager
def watchdog(folder: Path) -> Iterator[None]:
    """Have a process that tidies up when this one is killed; in the end it removes the folder too."""
    # In a session of its own, so that Ctrl-C and a signal to pytest's process group do not reach it.
    with subprocess.Popen(
        [sys.executable, "-I", __file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    ) as process:
        yield
        assert process.stdin is not None
        process.stdin.close()


def _members(session: int) -> list[int]:
    """Return the living processes of a session; while there is one, its id is not given away."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # after the name, which may hold anything: state, parent, process group, session (proc(5))
            state, _, _, its_session = stat.read_text(errors="replace").rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def _watch(folder: Path) -> None:
    sys.stdin.buffer.read()
    for note in folder.glob("log/*.session"):
        end_session(int(note.read_text(encoding="ascii")))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
