"""The hook: a connection of type `email`, opened."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, ObjectStoragePath

from airflow_email_conn.client import open_mailbox, open_sender, send
from airflow_email_conn.errors import DeliveryUnknownError, EmailError, SettingsError
from airflow_email_conn.hooks.connection import settings_of
from airflow_email_conn.hooks.failures import DeliveryUnknownFailError
from airflow_email_conn.model.query import MailQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox, OnStep, Sender
    from airflow_email_conn.model.draft import Draft, SendReceipt
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings

__all__ = ["EmailHook"]

_TEST_TIMEOUT = 10.0  # seconds for each step of a connection test
_TEST_LIMIT = 25.0  # seconds for all of it: proxies before Airflow's UI give up after 30 to 60


class EmailHook(BaseHook):
    """Opens the mailbox and the outgoing server of one connection.

    :param email_conn_id: a connection of type `email`.
    """

    conn_name_attr = "email_conn_id"
    default_conn_name = "email_default"
    conn_type = "email"
    hook_name = "Email"

    def __init__(self, email_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.email_conn_id = email_conn_id

    @cached_property
    def settings(self) -> EmailSettings:
        """The connection, validated. :raises SettingsError: every problem of it in one message."""
        return settings_of(self.get_connection(self.email_conn_id))

    def mailbox(self) -> Mailbox:
        """The incoming side, signed in; use it in a `with` statement.

        :raises CapabilityError, SettingsError, ServerError, NetworkError:
        """
        self._warn_of_unchecked(self.settings.incoming)
        return open_mailbox(self.settings)

    def sender(self) -> Sender:
        """The outgoing side, signed in, to send many mails over one connection; use it in a `with` statement.

        :raises CapabilityError, SettingsError, ServerError, NetworkError:
        """
        self._warn_of_unchecked(self.settings.outgoing)
        return open_sender(self.settings)

    def send(self, draft: Draft) -> SendReceipt:
        """Send one mail. Attachments may be paths or URLs of Airflow's object storage (`s3://conn@bucket/key`).

        :raises DraftError: it cannot be composed; nothing was sent.
        :raises RefusedError: the server took it for nobody.
        :raises DeliveryUnknownError: it may have gone out; Airflow does not retry the task.
        """
        ready = _with_stored_files(draft)
        self._warn_of_unchecked(self.settings.outgoing)
        try:
            return send(self.settings, ready)
        except DeliveryUnknownError as exc:
            raise DeliveryUnknownFailError(exc.message, exc.server_text) from exc

    def _warn_of_unchecked(self, server: Server | None) -> None:
        if server and not server.check_server_identity and server.security != "none":
            self.log.warning(
                "Connection %r does not check the identity of %s: encrypted, but anybody could be answering",
                self.email_conn_id,
                server.host,
            )

    # ------------------------------------------------------------ test

    def test_connection(self) -> tuple[bool, str]:
        """Try each direction step by step, up to its sign-in; sends nothing and changes nothing.

        :returns: whether all is well, and one line without secrets or server texts.
        """
        try:
            settings = self.settings
        except SettingsError as exc:
            return False, f"The connection is not complete: {exc.message}"
        tries = []
        if settings.incoming:
            quick = replace(settings, incoming=_hurried(settings.incoming))
            tries.append(_Try("Incoming", settings.incoming, partial(_read_inbox, quick)))
        if settings.outgoing:
            hasty = replace(settings, outgoing=_hurried(settings.outgoing))
            tries.append(_Try("Outgoing", settings.outgoing, partial(_greet_outgoing, hasty)))
        end = time.monotonic() + _TEST_LIMIT
        results = [attempt.result(end - time.monotonic()) for attempt in tries]
        return all(ok for ok, _ in results), "; ".join(text for _, text in results)


def _hurried(server: Server) -> Server:
    return replace(server, timeout=min(server.timeout, _TEST_TIMEOUT))


class _Try:
    """A direction being tried in a thread of its own, so that both together stay within one limit.

    :param attempt: told of each step before it; returns what else there is to say.
    """

    def __init__(self, direction: str, server: Server, attempt: Callable[[OnStep], str]) -> None:
        security = f"security {server.security}"
        self._where = f"{direction} ({server.protocol} {server.host} port {server.port}, {security})"
        self._steps = ["start"]
        self._attempt = attempt
        self._result: tuple[bool, str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"email test {direction}", daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> tuple[bool, str]:
        """Whether it works, and a line about it; waits no longer than `seconds`."""
        self._thread.join(max(0.0, seconds))
        return self._result or self._failed(f"not done within {_TEST_LIMIT:g} s")

    def _run(self) -> None:
        try:
            told = self._attempt(self._steps.append)
        except EmailError as exc:
            # Not str(exc): the server's text would make the Test button a scanner of internal networks.
            self._result = self._failed(exc.message)
        except Exception as exc:  # noqa: BLE001 - the test must answer, whatever it was
            self._result = self._failed(f"unexpected {type(exc).__name__}")
        else:
            self._result = True, f"{self._where} OK: {', '.join(self._steps[1:])}{told}"

    def _failed(self, why: str) -> tuple[bool, str]:
        return False, f"{self._where} FAILED at step {self._steps[-1]!r}: {why}"


def _read_inbox(settings: EmailSettings, on_step: OnStep) -> str:
    with open_mailbox(settings, on_step=on_step) as mailbox:
        on_step("open INBOX")
        next(iter(mailbox.search(MailQuery(), limit=1, newest_first=True)), None)
        return f", {len(mailbox.folders())} folders" if mailbox.capabilities.folders else ""


def _greet_outgoing(settings: EmailSettings, on_step: OnStep) -> str:
    with open_sender(settings, on_step=on_step):
        return ""


# ------------------------------------------------------------ attachments


def _with_stored_files(draft: Draft) -> Draft:
    """The draft with URLs of object storage opened by Airflow's own means."""
    return replace(
        draft,
        attachments=[_stored_file(item) for item in _items(draft.attachments)],
        inline={cid: _stored_file(item) for cid, item in draft.inline.items()},
    )


def _items(attachments: Any) -> list[Any]:
    return [attachments] if isinstance(attachments, str | os.PathLike) else list(attachments)


def _stored_file(item: Any) -> Any:
    return ObjectStoragePath(item) if isinstance(item, str) and "://" in item else item
