"""`test`: each step of each direction, with its outcome and the time it took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_email_conn.cli.connections import directions, settings_by_id
from airflow_email_conn.cli.running import command, tell
from airflow_email_conn.errors import EmailError
from airflow_email_conn.hooks.probe import greet_outgoing, read_inbox
from airflow_email_conn.hooks.tokens import tokens_for

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings

__all__ = ["test"]


@command()
def test(args: Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Open both directions, one after the other, each step within the connection's own timeout."""
    settings = settings_by_id(args.conn_id)
    rows: list[dict[str, Any]] = []
    for side in directions(args.conn_id, settings):
        rows += _tried(side.conn_id, side.name, side.server, settings)
    return rows, all(row["outcome"] == "ok" for row in rows)


def _tried(conn_id: str, direction: str, server: Server, settings: EmailSettings) -> list[dict[str, Any]]:
    steps = _Steps({"conn_id": conn_id, "direction": direction, "server": f"{server.host}:{server.port}"})
    attempt = read_inbox if direction == "incoming" else greet_outgoing
    try:
        told = attempt(settings, tokens_for(settings, conn_id), steps.begin)
    except EmailError as exc:
        # Not the server's text: as in the connection test, nobody may scan a network by it.
        steps.end("failed", exc.message)
    else:
        steps.end("ok")
        if told:
            tell(f"{direction}: {told.strip(' ,;')}")
    return steps.rows


class _Steps:
    """The steps of one direction, as rows."""

    def __init__(self, common: dict[str, Any]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._common = common
        self._step = ""
        self._start = time.monotonic()

    def begin(self, step: str) -> None:
        """A step begins: the one before went well."""
        if self._step:
            self.end("ok")
        self._step, self._start = step, time.monotonic()

    def end(self, outcome: str, message: str | None = None) -> None:
        """The last step has ended."""
        seconds = round(time.monotonic() - self._start, 3)
        told = {"step": self._step or "start", "outcome": outcome, "seconds": seconds, "message": message}
        self.rows.append({**self._common, **told})
