"""The connection test: each direction, step by step, in one line that says no more than it should."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING

from airflow_email_conn.client import open_mailbox, open_sender
from airflow_email_conn.errors import CapabilityError, EmailError
from airflow_email_conn.model.query import MailQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox, OnStep
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import Tokens

__all__ = ["greet_outgoing", "probe", "read_inbox"]

_TEST_TIMEOUT = 10.0  # seconds for each step of a connection test
_TEST_LIMIT = 25.0  # seconds for all of it: proxies before Airflow's UI give up after 30 to 60
_COUNT = "count folders"  # the last step, and one that may be left out
_AHEAD = timedelta(days=7)


def probe(settings: EmailSettings, tokens: Tokens | None = None) -> tuple[bool, str]:
    """Open both directions at once, up to the sign-in; sends nothing and changes nothing.

    :param tokens: where OAuth tokens rest; they may be renewed.
    :returns: whether all is well, and one line without secrets or server texts, within 25 seconds.
    """
    tries = []
    if settings.incoming:
        quick = replace(settings, incoming=_hurried(settings.incoming))
        tries.append(_Try("Incoming", settings.incoming, partial(read_inbox, quick, tokens)))
    if settings.outgoing:
        hasty = replace(settings, outgoing=_hurried(settings.outgoing))
        tries.append(_Try("Outgoing", settings.outgoing, partial(greet_outgoing, hasty, tokens)))
    end = time.monotonic() + _TEST_LIMIT
    results = [attempt.result(end - time.monotonic()) for attempt in tries]
    texts = [text for _, text in results]
    if not settings.incoming:
        texts.append("No incoming server: the connection only sends")
    if not settings.outgoing:
        texts.append("No outgoing server: the connection only receives")
    return all(ok for ok, _ in results), "; ".join(texts)


def _hurried(server: Server) -> Server:
    return replace(server, timeout=min(server.timeout, _TEST_TIMEOUT))


class _Try:
    """A direction being tried in a thread of its own, so that both together stay within one limit.

    :param attempt: told of each step before it; returns what else there is to say.
    """

    def __init__(self, direction: str, server: Server, attempt: Callable[[OnStep], str]) -> None:
        self._where = f"{direction} ({_named(server)})"
        self._note = ", no sign-in" if server.credential.kind == "none" else ""
        self._steps = ["start"]
        self._attempt = attempt
        self._result: tuple[bool, str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"email test {direction}", daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> tuple[bool, str]:
        """Whether it works, and a line about it; waits no longer than `seconds`."""
        self._thread.join(max(0.0, seconds))
        if self._result:
            return self._result
        if self._steps[-1] == _COUNT:  # a thousand folders of Microsoft 365 are hundreds of requests
            return self._well(", more folders than could be counted in time")
        return self._failed(f"not done within {_TEST_LIMIT:g} s")

    def _run(self) -> None:
        try:
            told = self._attempt(self._steps.append)
        except EmailError as exc:
            if isinstance(exc, CapabilityError) and len(self._steps) == 1:  # refused before the first step
                self._result = False, f"{self._where}: well filled in, but {exc.message}"
                return
            # Not str(exc): the server's text would make the Test button a scanner of internal networks.
            self._result = self._failed(exc.message)
        except Exception as exc:  # noqa: BLE001 - the test must answer, whatever it was
            self._result = self._failed(f"unexpected {type(exc).__name__}")
        else:
            self._result = self._well(told)

    def _well(self, told: str) -> tuple[bool, str]:
        steps = ", ".join(step for step in self._steps[1:] if step != _COUNT)
        return True, f"{self._where} OK: {steps}{self._note}{told}"

    def _failed(self, why: str) -> tuple[bool, str]:
        return False, f"{self._where} FAILED at step {self._steps[-1]!r}: {why}"


def _named(server: Server) -> str:
    if server.protocol == "graph":
        return f"Microsoft Graph, {server.host} port {server.port}"
    return f"{server.protocol} {server.host} port {server.port}, security {server.security}"


def read_inbox(settings: EmailSettings, tokens: Tokens | None, on_step: OnStep) -> str:
    """Open the incoming side and look at its INBOX; changes nothing.

    :param on_step: told of each step before it.
    :returns: what else there is to say, to be put behind the steps.
    :raises EmailError: of the step that was told last.
    """
    with open_mailbox(settings, tokens=tokens, on_step=on_step) as mailbox:
        on_step("open INBOX")
        _look(mailbox)
        if not mailbox.capabilities.folders:
            return ""
        on_step(_COUNT)
        count = len(mailbox.folders())
        return f", {count} folder" if count == 1 else f", {count} folders"


def _look(mailbox: Mailbox) -> None:
    """Ask for mails of INBOX in a way that costs the same however many there are."""
    if mailbox.capabilities.folders:
        # Nothing has come yet. Not a position: for that, Microsoft 365 counts every mail.
        list(mailbox.search(MailQuery(since=datetime.now(timezone.utc) + _AHEAD)))
    else:
        mailbox.position()  # a search by POP3 could mean a mail of 100 MB


def greet_outgoing(settings: EmailSettings, tokens: Tokens | None, on_step: OnStep) -> str:
    """Open the outgoing side and send nothing. Parameters and errors as `read_inbox`."""
    with open_sender(settings, tokens=tokens, on_step=on_step):
        if settings.outgoing and settings.outgoing.protocol == "graph":
            return "; whether it may send, only a mail can show"
        if settings.from_address:
            return ""
        return "; From is empty and the user is no address: each mail must name its sender"
