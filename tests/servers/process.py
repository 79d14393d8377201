"""A server process: started, waited for, and ended with everything it started itself."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.servers.sessions import end_session, note_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["ServerProcess", "ServerStartError"]

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class ServerStartError(RuntimeError):
    """A server ended, or said nothing, instead of starting."""


class ServerProcess:
    """A server in a session of its own (setsid), by which all its children can be found again."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Wrap a process; ``running`` starts one."""
        self._process = process

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> Iterator[ServerProcess]:
        """Start it and, whatever happens, stop it.

        :param log: the file that gets its output.
        :param environment: variables on top of this process's.
        """
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        server = cls(process)
        with note_session(process.pid, log):
            try:
                yield server
            finally:
                server.stop()

    def wait_for_greeting(self, host: str, port: int, greeting: bytes) -> None:
        """Wait until the server greets on a port.

        :raises ServerStartError: it ended, or did not do so in time.
        """

        def greets() -> bool:
            with socket.create_connection((host, port), 2) as connection:
                connection.settimeout(5)
                return connection.recv(200).startswith(greeting)

        self.wait_until(greets, f"greet on {host}:{port}")

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until the server is ready.

        :param ready: asks it; False or an OSError mean not yet.
        :param what: what it should do, for the error.
        :raises ServerStartError: it ended, or did not do so in time.
        """
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise ServerStartError(f"{self._process.args!r} ended with {self._process.returncode}")
            with contextlib.suppress(OSError):
                if ready():
                    return
            time.sleep(0.02)
        raise ServerStartError(f"{self._process.args!r} did not {what}")

    def kill(self) -> None:
        """End it and its children in the middle of whatever they do."""
        end_session(self._process.pid)
        self._process.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """Ask the server to end; after a time limit kill what is left of its session."""
        self._process.terminate()  # does nothing when it has ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        end_session(self._process.pid)
        self._process.wait(_STOP_SECONDS)
