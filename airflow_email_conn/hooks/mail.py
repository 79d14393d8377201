"""The hook: a connection of type `email`, opened."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, ObjectStoragePath

from airflow_email_conn.client import open_mailbox, open_sender, send
from airflow_email_conn.errors import DeliveryUnknownError, DraftError, SettingsError
from airflow_email_conn.hooks.connection import settings_of
from airflow_email_conn.hooks.failures import DeliveryUnknownFailError
from airflow_email_conn.hooks.patience import patient
from airflow_email_conn.hooks.probe import probe
from airflow_email_conn.hooks.tokens import tokens_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import Mailbox, Sender
    from airflow_email_conn.hooks.preview import Preview
    from airflow_email_conn.model.draft import Draft, SendReceipt
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import Tokens

__all__ = ["EmailHook"]

_SECONDS = 60.0  # no new try to open a mailbox begins later than this


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

    @cached_property
    def _tokens(self) -> Tokens | None:
        return tokens_for(self.settings, self.email_conn_id)

    def mailbox(self) -> Mailbox:
        """The incoming side, signed in; use it in a `with` statement.

        A server that cannot be reached, or is too busy, is tried up to four times within a minute. One that
        asks to be left alone for longer is not: the error says for how long, for the task's `retry_delay`.

        :raises CapabilityError, SettingsError, ServerError, NetworkError:
        """
        self._warn_of_unchecked(self.settings.incoming)
        opening = patient(self.log, "No mailbox", seconds=_SECONDS)
        mailbox: Mailbox = opening(open_mailbox, self.settings, tokens=self._tokens)
        return mailbox

    def preview(
        self,
        query: MailQuery,
        *,
        folder: str = "INBOX",
        limit: int | None = 100,
        newest_first: bool = True,
    ) -> list[Preview]:
        """The newest mails of a folder, which of them the query would take, and why the others not.

        Changes nothing and downloads no file.

        :param limit: look at so many mails; None for all.
        :raises CapabilityError, QueryError, SettingsError, ServerError, NetworkError:
        """
        from airflow_email_conn.hooks.preview import preview  # noqa: PLC0415 - loaded when needed

        with self.mailbox() as mailbox:
            return preview(mailbox, query, folder=folder, limit=limit, newest_first=newest_first)

    def sender(self) -> Sender:
        """The outgoing side, signed in, to send many mails over one connection; use it in a `with` statement.

        :raises CapabilityError, SettingsError, ServerError, NetworkError:
        """
        self._warn_of_unchecked(self.settings.outgoing)
        return _TaskSender(open_sender(self.settings, tokens=self._tokens))

    def send(self, draft: Draft) -> SendReceipt:
        """Send one mail. Attachments may be paths or URLs of Airflow's object storage (`s3://conn@bucket/key`).

        :raises DraftError: it cannot be composed; nothing was sent.
        :raises RefusedError: the server took it for nobody.
        :raises DeliveryUnknownError: it may have gone out; Airflow does not retry the task.
        """
        ready = _with_stored_files(draft)
        self._warn_of_unchecked(self.settings.outgoing)
        with _no_second_mail():
            return send(self.settings, ready, tokens=self._tokens)

    def check(self, draft: Draft) -> None:
        """Raise what `send` would raise before it makes a connection. :raises DraftError, SettingsError:"""
        from airflow_email_conn.wire.compose.message import check  # noqa: PLC0415 - loaded when needed

        check(_with_stored_files(draft), sender=self.settings.from_address)

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
            # Airflow tests a copy under a random id, with which nobody could sign in.
            tokens = tokens_for(settings, "")
        except SettingsError as exc:
            return False, f"The connection cannot be used: {exc.message}"
        return probe(settings, tokens)


@contextmanager
def _no_second_mail() -> Iterator[None]:
    """Keep Airflow from retrying what may have been sent."""
    try:
        yield
    except DeliveryUnknownError as exc:
        raise DeliveryUnknownFailError(exc.message, exc.server_text) from exc


class _TaskSender:
    """A Sender as tasks need it: URLs of object storage as attachments, and no second mail by a retry."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, draft: Draft) -> SendReceipt:
        """See `Sender.send`."""
        with _no_second_mail():
            return self._sender.send(_with_stored_files(draft))

    def close(self) -> None:
        """See `Sender.close`."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# ------------------------------------------------------------ attachments


def _with_stored_files(draft: Draft) -> Draft:
    """The draft with URLs of object storage opened by Airflow's own means."""
    listed = [draft.attachments] if isinstance(draft.attachments, str) else draft.attachments
    return replace(
        draft,
        attachments=[_stored_file("attachments", item) for item in listed],
        inline={cid: _stored_file("inline", item) for cid, item in draft.inline.items()},
    )


def _stored_file(field: str, item: Any) -> Any:
    if not isinstance(item, str) or "://" not in item:
        return item
    try:
        return ObjectStoragePath(item)
    except (ValueError, ImportError) as exc:
        raise DraftError(f"{field}: no storage of Airflow's can open {item!r:.200}") from exc
