"""A whole Airflow on loopback: API server, scheduler, DAG processor and triggerer, each a process."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.servers.base import HOST
from tests.servers.process import ServerProcess, ServerStartError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["ApiError", "Deployment", "running_airflow"]

_AIRFLOW = (sys.executable, "-m", "airflow")
_START_SECONDS = 120.0
_CALLS = 3  # of the REST API, when it fails
# Without --skip-serve-logs two of them would serve logs on every address of the machine.
_COMPONENTS = (
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)

# What one command prints comes after a NUL.
_RUN_ALL = """
import contextlib, json, sys
from airflow.__main__ import main
for sys.argv[1:] in json.loads(sys.argv[1]):
    print(end="\\0", flush=True)
    with contextlib.suppress(SystemExit):
        main()
"""


class ApiError(OSError):
    """The REST API refused, with its words."""


@dataclass(frozen=True)
class Deployment:
    """The running components.

    :param home: AIRFLOW_HOME; what they print is in its folder `out`, the tasks' logs in `logs`.
    :param _settings: their environment, on top of this process's.
    """

    home: Path
    url: str
    _token: str = field(repr=False)
    _settings: Mapping[str, str] = field(repr=False)
    _processes: dict[str, ServerProcess] = field(repr=False)
    _stack: contextlib.ExitStack = field(repr=False)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API as an admin. :raises ApiError: what it refuses."""
        return _call(method, f"{self.url}/api/v2/{path}", body, self._token)

    def ui(self, path: str) -> Any:
        """What the pages of the UI ask for. :raises ApiError: it is refused."""
        return _call("GET", f"{self.url}/ui/{path}", None, self._token)

    def commands(self, *commands: Sequence[str]) -> list[str]:
        """Run `airflow` with these arguments beside it, one after the other; all that each prints.

        In one process, since its start takes most of the time.
        """
        run = subprocess.run(
            [sys.executable, "-c", _RUN_ALL, json.dumps(commands)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
            env={**os.environ, **self._settings},
        )
        return run.stdout.decode().split("\0")[1:]

    def kill(self, component: str) -> None:
        """End a component by SIGKILL; `start` runs it again."""
        self._processes[component].kill()

    def start(self, component: str) -> None:
        """Run a component."""
        (command,) = (each for each in _COMPONENTS if each[0] == component)
        self._processes[component] = _running(self._stack, self.home, command, self._settings)

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Start a run; its id."""
        self.api("PATCH", f"dags/{dag_id}", {"is_paused": False})
        body = {"logical_date": None, "conf": conf}
        return str(self.api("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def connect(self, conn_id: str, form: Mapping[str, Any]) -> None:
        """Store a connection, as the form does."""
        body = {**form, "connection_id": conn_id, "extra": json.dumps(form.get("extra") or {})}
        self.api("POST", "connections", body)

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = _START_SECONDS) -> str:
        """Wait until a run has ended; its state."""
        end = time.monotonic() + seconds
        path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
        while (state := str(self.api("GET", path)["state"])) not in {"success", "failed"}:
            if time.monotonic() > end:
                raise TimeoutError(f"{dag_id} {run_id} is still {state}")
            time.sleep(0.5)
        return state

    def wait_for_dags(self, *dag_ids: str, seconds: float = _START_SECONDS) -> None:
        """Wait until the DAG processor has read these DAGs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            known = {dag["dag_id"] for dag in self.api("GET", "dags?limit=100")["dags"]}
            if known.issuperset(dag_ids):
                return
            time.sleep(0.5)
        errors = self.api("GET", "importErrors")["import_errors"]
        raise TimeoutError(f"not parsed: {set(dag_ids) - known}; {errors}")


@contextlib.contextmanager
def running_airflow(home: Path, dags: Sequence[Path], environment: Mapping[str, str]) -> Iterator[Deployment]:
    """Run all components until the block ends.

    :param home: a folder for it alone.
    :param dags: folders of DAGs.
    :param environment: variables on top of this process's, such as connections.
    """
    (home / "out").mkdir(parents=True)
    port = _free_port()
    url = f"http://{HOST}:{port}"
    settings = {**_settings(home, dags, url), **environment}
    subprocess.run(
        [*_AIRFLOW, "db", "migrate"], check=True, capture_output=True, env={**os.environ, **settings}
    )
    with contextlib.ExitStack() as stack:
        commands = (("api-server", "--host", HOST, "--port", str(port), "--workers", "1"), *_COMPONENTS)
        processes = {command[0]: _running(stack, home, command, settings) for command in commands}
        token = _token_when_healthy(home, url)
        yield Deployment(home, url, token, settings, processes, stack)


def _running(
    stack: contextlib.ExitStack, home: Path, command: Sequence[str], settings: Mapping[str, str]
) -> ServerProcess:
    logs = (home / "out" / f"{command[0]}{number or ''}.log" for number in itertools.count())
    log = next(each for each in logs if not each.exists())
    return stack.enter_context(ServerProcess.running([*_AIRFLOW, *command], log, settings))


def _settings(home: Path, dags: Sequence[Path], url: str) -> dict[str, str]:
    bundle = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": f"{number}-{folder.name}", "classpath": bundle, "kwargs": {"path": str(folder)}}
        for number, folder in enumerate(dags)
    ]
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
    }


def _token_when_healthy(home: Path, url: str) -> str:
    """Wait until all of them are healthy; a token for the API. :raises ServerStartError:"""
    end = time.monotonic() + _START_SECONDS
    health: Any = None
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            health = _call("GET", f"{url}/api/v2/monitor/health")
            parts = ("scheduler", "dag_processor", "triggerer")
            if all((health.get(part) or {}).get("status") == "healthy" for part in parts):
                return str(_call("GET", f"{url}/auth/token")["access_token"])
        time.sleep(0.5)
    raise ServerStartError(f"Airflow did not start: {health}; see {home / 'out'}")


def _call(method: str, url: str, body: Any = None, token: str = "") -> Any:
    """Call, and again after a fault of the server: SQLite is locked while another part writes."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    for attempt in range(_CALLS):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as exc:  # noqa: PERF203 - three times at most
            refusal = f"{method} {url}: {exc.code} {exc.read()[:2000].decode(errors='replace')}"
            if exc.code < 500 or attempt == _CALLS - 1:
                raise ApiError(refusal) from exc
            time.sleep(1)
    return None


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
