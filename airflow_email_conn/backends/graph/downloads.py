"""Whole mails and attachments: held up to a limit, or streamed into files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.backends.graph.ahead import ahead
from airflow_email_conn.backends.graph.mails import Mails, gone, path_of
from airflow_email_conn.backends.graph.pieces import pieces_of
from airflow_email_conn.errors import (
    EmailError,
    MailNotFoundError,
    ProtocolError,
    UnavailableError,
)
from airflow_email_conn.model.message import Attachment
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.graph import messages, paths
from airflow_email_conn.wire.mime.stream import PartScanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_email_conn.backends.base import What, Writable
    from airflow_email_conn.backends.graph.folders import Folders
    from airflow_email_conn.backends.graph.session import GraphSession
    from airflow_email_conn.model.message import Mail, MailRef

__all__ = ["Downloads"]

# Bytes of a mail or file that may wait in memory until it is its turn; a larger one is streamed when it is.
_LIGHT: Final = 1024 * 1024
_MAX_UNREAD: Final = 3  # in a row; then it is the server, not the mails
_T = TypeVar("_T")

# A part of the MIME form, as a fetched mail has it; what else a part is called is an id of Graph's.
_PART_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}(\.[1-9][0-9]{0,4}){0,99}")


class Downloads:
    """Reads mails as MIME (Graph: "Get MIME content of a message") and attachments as they are."""

    def __init__(self, session: GraphSession, folders: Folders) -> None:
        self._session = session
        self._folders = folders
        self._mails = Mails(session, folders)

    def raw(self, ref: MailRef, max_size: int) -> bytes:
        """See `Mailbox.raw`."""
        self._mails.state(ref)
        return self._held(ref, max_size)

    def fetch(self, ref: MailRef, max_size: int) -> Mail:
        """See `Mailbox.fetch`."""
        item = self._mails.state(ref)
        return mime.parse(self._held(ref, max_size), ref=ref, **messages.state(item))

    def save(self, what: What, target: Callable[[What], Writable]) -> int:
        """See `Mailbox.save`.

        :param target: gives the file, when its first bytes are there.
        """
        self._mails.state(what.ref if isinstance(what, Attachment) else what)
        file = _File(what, target)
        if isinstance(what, Attachment) and _PART_NUMBER.fullmatch(what.part):
            self._save_part(what, file)
        else:
            for piece in pieces_of(self._session, _path_of(what)):
                file.write(piece)
        file.finish()
        return file.written

    def fetch_many(self, refs: Iterable[MailRef], max_size: int) -> Iterator[Mail | Unfetched]:
        """See `Mailbox.fetch_many`."""
        judge = _Judge()

        def fetch(session: GraphSession, ref: MailRef) -> Mail | None:
            try:
                return self._beside(session).fetch(ref, min(max_size, _LIGHT))
            except ProtocolError:  # too large, maybe only to wait in memory
                return None

        for ref, found in ahead(self._session, refs, fetch):
            try:
                yield judge.passed(self.fetch(ref, max_size) if found is None else _told(found))
            except EmailError as exc:  # noqa: PERF203 - one must not hide the others
                yield Unfetched(ref, judge.of_one(exc))

    def save_many(
        self, whats: Iterable[What], target: Callable[[What], Writable]
    ) -> Iterator[Saved | Unfetched]:
        """See `Mailbox.save_many`."""
        judge = _Judge()
        for what, found in ahead(self._session, whats, self._light):
            try:
                if found is None:
                    yield judge.passed(Saved(what, self.save(what, target)))
                else:
                    content = _told(found)
                    target(what).write(content)
                    yield judge.passed(Saved(what, len(content)))
            except EmailError as exc:  # noqa: PERF203 - one must not hide the others
                yield Unfetched(what, judge.of_one(exc))

    def _light(self, session: GraphSession, what: What) -> bytes | None:
        """What is to be saved, in a thread beside; None: it is too large to wait in memory."""
        if isinstance(what, Attachment) and what.size > 2 * _LIGHT:
            return None
        held = _Held()
        try:
            self._beside(session).save(what, lambda _what: held)
        except _TooLargeError:
            return None
        return held.content()

    def _beside(self, session: GraphSession) -> Downloads:
        return Downloads(session, self._folders.beside(session))

    # ------------------------------------------------------------ bytes

    def _held(self, ref: MailRef, max_size: int) -> bytes:
        held = bytearray()
        for piece in pieces_of(self._session, _path_of(ref)):
            held += piece
            if len(held) > max_size:
                raise ProtocolError(
                    f"the mail is larger than {max_size} bytes; stream it to a file with save()"
                )
        return bytes(held)

    def _save_part(self, attachment: Attachment, file: _File) -> None:
        """A part of a fetched mail: the whole mail passes by."""
        scanner = PartScanner(attachment.part, file.write, attachment.ref)
        for piece in pieces_of(self._session, _path_of(attachment.ref)):
            scanner.feed(piece)
        scanner.finish()
        if not scanner.found:
            raise gone(attachment.ref)


class _File:
    """A file that is opened with its first bytes."""

    def __init__(self, what: What, target: Callable[[What], Writable]) -> None:
        self._what = what
        self._target = target
        self._file: Writable | None = None
        self.written = 0

    def write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._target(self._what)
        self._file.write(data)
        self.written += len(data)

    def finish(self) -> None:
        if self._file is None:  # an empty file is one, too
            self.write(b"")


class _TooLargeError(Exception):
    """It does not fit."""


class _Held:
    """A file in memory, up to a limit."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, data: bytes, /) -> None:
        self._content += data
        if len(self._content) > _LIGHT:
            raise _TooLargeError

    def content(self) -> bytes:
        return bytes(self._content)


def _told(found: _T | EmailError) -> _T:
    """What was found in another thread. :raises EmailError: that was."""
    if isinstance(found, EmailError):
        raise found
    return found


class _Judge:
    """Tells what is wrong with one of many from what is wrong with all of them."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def passed(self, result: _T) -> _T:
        self._in_a_row = 0
        return result

    def of_one(self, error: EmailError) -> EmailError:
        """The error, if it is about one alone. Raises it if not."""
        if isinstance(error, MailNotFoundError | ProtocolError):
            return self.passed(error)
        self._in_a_row += 1
        is_busy = not isinstance(error, UnavailableError) or error.retry_after is not None
        if is_busy or self._in_a_row >= _MAX_UNREAD:
            raise error
        return error


def _path_of(what: What) -> str:
    """Where the bytes are, below the mailbox (Graph: "Get attachment": any of its types, but a link)."""
    if not isinstance(what, Attachment):
        return f"{path_of(what)}/$value"
    if not what.part:
        return f"{path_of(what.ref)}/$value"
    return f"{path_of(what.ref)}/attachments/{paths.segment(what.part)}/$value"
