"""A throw-away Airflow for a browser: its API server with the UI, everybody is admin, on 127.0.0.1 only."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet

from tests.servers.base import HOST
from tests.servers.process import ServerProcess, ServerStartError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["ApiServer", "running_api_server"]

_START_SECONDS = 60.0
_AIRFLOW = (sys.executable, "-m", "airflow")


@dataclass(frozen=True)
class ApiServer:
    """A running one.

    :param url: of the UI.
    :param environ: variables of its process that macros may use.
    """

    url: str
    environ: Mapping[str, str]
    _database: Path
    _fernet: Fernet

    def stored(self, conn_id: str) -> dict[str, Any]:
        """The values of a connection as they lie in the database, decrypted: standard fields and extra."""
        with contextlib.closing(sqlite3.connect(self._database)) as database:
            query = "SELECT host, port, login, password, extra FROM connection WHERE conn_id = ?"
            host, port, login, password, extra = database.execute(query, [conn_id]).fetchone()
        standard = {"host": host, "port": port, "login": login, "password": self._clear(password)}
        return {**json.loads(self._clear(extra) or "{}"), **standard}

    def _clear(self, encrypted: str | None) -> str | None:
        return self._fernet.decrypt(encrypted.encode()).decode() if encrypted else None


@contextlib.contextmanager
def running_api_server(home: Path, environ: Mapping[str, str]) -> Iterator[ApiServer]:
    """Make a database in `home` and run the server until the block ends; its children end with it.

    :param environ: more variables of its process.
    :raises ServerStartError: it ended, or said nothing within a minute.
    """
    key = Fernet.generate_key()
    environment = {
        **environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__FERNET_KEY": key.decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "PYTHONWARNINGS": "ignore",
    }
    log = home / "api-server.log"
    migrated = subprocess.run(
        [*_AIRFLOW, "db", "migrate"], env={**os.environ, **environment}, capture_output=True, check=False
    )
    if migrated.returncode:
        raise ServerStartError(f"airflow db migrate failed: {migrated.stderr.decode()[-2000:]}")
    port = _free_port()
    command = [*_AIRFLOW, "api-server", "--host", HOST, "--port", str(port), "--workers", "1"]
    with ServerProcess.running(command, log, environment):
        url = f"http://{HOST}:{port}"
        _wait(url, log)
        yield ApiServer(url, dict(environ), home / "airflow.db", Fernet(key))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait(url: str, log: Path) -> None:
    """Wait until it answers. :raises ServerStartError: it did not in time."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        # OSError includes HTTPError: an answer that is no good yet.
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/v2/version", timeout=5):
            return
        time.sleep(0.2)
    raise ServerStartError(f"the API server did not answer:\n{log.read_text(errors='replace')[-2000:]}")
