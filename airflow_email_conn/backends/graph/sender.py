"""Sending by Microsoft 365: a small mail in one request, a large one as a draft that grows."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, final

from airflow_email_conn.backends.graph.limits import pause
from airflow_email_conn.backends.graph.session import GraphSession
from airflow_email_conn.backends.graph.uploads import attach
from airflow_email_conn.errors import (
    DeliveryUnknownError,
    DraftError,
    EmailError,
    MailNotFoundError,
    ProtocolError,
)
from airflow_email_conn.model.draft import SendReceipt
from airflow_email_conn.wire.compose.letterhead import sender_of
from airflow_email_conn.wire.compose.message import compose
from airflow_email_conn.wire.graph import paths
from airflow_email_conn.wire.graph.errors import OutcomeUnknownError
from airflow_email_conn.wire.graph.values import text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from airflow_email_conn.backends.base import OnStep, Renew
    from airflow_email_conn.model.draft import Draft
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.wire.compose.message import Composed

__all__ = ["GraphSender"]

# Bytes of MIME in one request: Graph takes 4 MB (SI, to be sure), and it is sent as base64.
_MAX_MIME: Final = 2_990_000
_FINAL_PATIENCE: Final = 4.0  # times the timeout for the last answer: giving up means not to know
# Seconds before each look for what became of a mail: Exchange files sent mails with a delay.
_LOOKS: Final = (0.5, 1.0, 2.0, 4.0)


@final
class GraphSender:
    """The outgoing side of a mailbox, open for sending any number of mails; a `Sender`. For one thread.

    Graph takes a mail for all of its recipients or for none; of those who cannot get it, the mailbox is told
    by a mail. A copy is always kept in Sent Items: with MIME that cannot be declined.
    """

    def __init__(self, session: GraphSession, from_address: str) -> None:
        self._session = session
        self._from_address = from_address

    @classmethod
    def open(
        cls, server: Server, *, from_address: str, on_step: OnStep = lambda _: None, renew: Renew
    ) -> GraphSender:
        """Connect, and look whether there is such a mailbox; the right to send shows when something is sent.

        :param from_address: the From of mails that name none; empty when every mail will.
        :param on_step: called before each step: connect, mailbox.
        :param renew: see `GraphSession`.
        :raises CapabilityError: the credential is no access token.
        :raises AuthenticationError, ConnectError, TLSError, DeadlineError, UnavailableError, ProtocolError:
        """
        return cls(GraphSession.open(server, on_step, renew, may_be_denied=True), from_address)

    def send(self, draft: Draft) -> SendReceipt:
        """Send one mail.

        Up to some 3 MB in one request, which takes the permission Mail.Send; larger ones as a draft, with
        Mail.ReadWrite, which is deleted when it cannot be sent.

        :raises DraftError: it cannot be composed, or its text alone is too large; nothing was sent.
        :raises RefusedError: the sender, a recipient or the size is refused; nothing was sent.
        :raises AuthenticationError, UnavailableError, NetworkError, ServerError: nothing was sent.
        :raises DeliveryUnknownError: it may have gone out.
        """
        domain = sender_of(draft, self._from_address).domain
        with compose(
            draft,
            sender=self._from_address,
            date=datetime.now(timezone.utc),
            message_id=f"<{secrets.token_hex(16)}@{domain}>",
            boundary_seed=secrets.token_hex(16),
            utf8=False,  # nothing says what Exchange makes of such an address in MIME that it is handed
            by_header=True,
            at_most=_MAX_MIME,
        ) as mail:
            if (mail.size or 0) > _MAX_MIME:
                raise DraftError(
                    f"text, html: they take {mail.size} bytes, and Microsoft 365 takes {_MAX_MIME}:"
                    " attach them as a file"
                )
            return self._as_draft(mail) if mail.left_out else self._at_once(mail)

    def close(self) -> None:
        """Close the connection; never raises."""
        self._session.close()

    def __enter__(self) -> GraphSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------ in one request

    def _at_once(self, mail: Composed) -> SendReceipt:
        """Graph: "user: sendMail"."""
        try:
            with self._leaving(mail.message_id):
                self._session.post_mime("/sendMail", mail.pieces(), patience=_FINAL_PATIENCE)
        except OutcomeUnknownError as exc:
            with self._unsure(mail.message_id):
                is_kept = self._is_kept(mail.message_id)
            if not is_kept:
                raise self._unknown(mail.message_id) from exc
        return SendReceipt(mail.message_id, mail.recipients)

    def _is_kept(self, message_id: str) -> bool:
        """Whether there is a copy in Sent Items, where it comes after a while."""
        for seconds in _LOOKS:
            pause(seconds)
            if self._ids("sentitems", message_id):
                return True
        return False

    def _ids(self, folder: str, message_id: str) -> list[str]:
        quoted = message_id.replace("'", "''")
        query = {"$filter": f"internetMessageId eq '{quoted}'", "$select": "id"}
        found = self._session.get(f"/mailFolders/{folder}/messages", query).get("value", [])
        return [str(each.get("id")) for each in found if isinstance(each, dict)]

    # ------------------------------------------------------------ as a draft

    def _as_draft(self, mail: Composed) -> SendReceipt:
        """Graph: "Attach large files to Outlook messages or events", "message: send"."""
        with self._drafted(mail) as draft:
            for part in mail.left_out:
                attach(self._session, draft.path, part)
            self._dispatch(draft)
        return SendReceipt(draft.message_id, mail.recipients)

    @contextmanager
    def _drafted(self, mail: Composed) -> Iterator[_Kept]:
        """A draft of the mail without its large files, which is deleted when something fails."""
        try:
            made = self._session.post_mime("/messages", mail.pieces())
        except OutcomeUnknownError:
            with suppress(EmailError):
                for left in self._ids("drafts", mail.message_id):
                    self._remove(f"/messages/{paths.segment(left)}")
            raise
        draft = _Kept.of(made, mail.message_id)
        try:
            yield draft
        except DeliveryUnknownError:
            raise
        except BaseException as exc:
            if draft.may_have_left:
                self._take_back(draft, exc)
            else:
                with suppress(EmailError):
                    self._remove(draft.path)
            raise

    def _remove(self, path: str) -> None:
        """For good: by DELETE its megabytes would lie in Deleted Items."""
        self._session.post(f"{path}/permanentDelete", is_repeatable=True)

    def _take_back(self, draft: _Kept, reason: BaseException) -> None:
        """Remove a draft that was told to leave, if it lies there still.

        :raises DeliveryUnknownError: it does not, or nobody says: then the mail may go out yet.
        """
        try:
            if self._lies_there(draft, self._look_at(draft)):
                self._remove(draft.path)
                return
        except EmailError:
            pass
        raise self._unknown(draft.message_id) from reason

    def _dispatch(self, draft: _Kept) -> None:
        """Tell it to leave; once more only when it surely has not."""
        try:
            self._tell(draft)
        except OutcomeUnknownError:
            draft.may_have_left = True
        else:
            return
        if self._has_left(draft):
            return
        try:
            self._tell(draft)
        except EmailError:  # whatever it is: the first time may have been heard late
            if not self._has_left(draft):
                raise

    def _tell(self, draft: _Kept) -> None:
        with self._leaving(draft.message_id):
            self._session.post(f"{draft.path}/send", patience=_FINAL_PATIENCE)

    def _has_left(self, draft: _Kept) -> bool:
        """Whether the draft is on its way; its immutable id stays the same in Outbox and Sent Items.

        :raises DeliveryUnknownError: nobody says.
        """
        lies_there = False
        with self._unsure(draft.message_id):
            outbox = self._session.get("/mailFolders/outbox", {"$select": "id"}).get("id")
            for seconds in _LOOKS:
                pause(seconds)
                lies_there = False
                with suppress(MailNotFoundError):  # between two folders
                    found = self._look_at(draft)
                    if found.get("isDraft") is False or (outbox and found.get("parentFolderId") == outbox):
                        return True
                    lies_there = self._lies_there(draft, found)
        if not lies_there:
            raise self._unknown(draft.message_id)
        return False

    def _look_at(self, draft: _Kept) -> Any:
        return self._session.get(draft.path, {"$select": "isDraft,parentFolderId"})

    def _lies_there(self, draft: _Kept, found: Any) -> bool:
        """Whether it is as it was made. One that somebody moved elsewhere is theirs, and may leave yet."""
        return found.get("isDraft") is True and found.get("parentFolderId") == draft.folder

    # ------------------------------------------------------------ what is not known

    @contextmanager
    def _leaving(self, message_id: str) -> Iterator[None]:
        """Around what sends: a task's execution_timeout or a signal is no reason to send it twice."""
        try:
            yield
        except EmailError:
            raise
        except BaseException as exc:
            if self._session.is_left_open:
                raise self._unknown(message_id) from exc
            raise

    @contextmanager
    def _unsure(self, message_id: str) -> Iterator[None]:
        """While nobody knows whether the mail went out, nothing else is worth saying."""
        try:
            yield
        except BaseException as exc:
            raise self._unknown(message_id) from exc

    def _unknown(self, message_id: str) -> DeliveryUnknownError:
        return DeliveryUnknownError(
            f"{self._session.where}: the answer to the request that sends the mail was lost: it may have gone"
            f" out; look for Message-ID {message_id} in Sent Items before sending it again"
        )


@dataclass(slots=True)
class _Kept:
    """A draft in the mailbox.

    :param path: of it, by its immutable id.
    :param folder: the id of the folder where it lies; empty where the server does not say.
    :param message_id: as Exchange has it.
    :ivar may_have_left: it was told to, and the answer was lost.
    """

    path: str
    folder: str
    message_id: str
    may_have_left: bool = False

    @classmethod
    def of(cls, made: Any, message_id: str) -> _Kept:
        """From the answer that made it. :raises ProtocolError: it has no id."""
        if not isinstance(made.get("id"), str) or not made["id"]:
            raise ProtocolError("the server made a draft, and did not say which")
        told = made.get("internetMessageId")
        is_told = isinstance(told, str) and told.startswith("<") and told.isprintable()
        folder = text(made.get("parentFolderId"))
        return cls(f"/messages/{paths.segment(made['id'])}", folder, told if is_told else message_id)
