"""The Mailbox protocol on one IMAP session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import MAX_MAIL_SIZE, Capabilities
from airflow_email_conn.backends.imap.changes import Changes
from airflow_email_conn.backends.imap.folders import Folders
from airflow_email_conn.backends.imap.literals import Download, LiteralBuffer
from airflow_email_conn.backends.imap.session import ImapSession
from airflow_email_conn.errors import MailNotFoundError, ProtocolError
from airflow_email_conn.model.message import Attachment, MailRef
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.imap import answers, commands, fetch, servers
from airflow_email_conn.wire.imap.search import search_keys
from airflow_email_conn.wire.imap.sets import format_sets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import Folder, Moved, OnStep, Refs, Writable
    from airflow_email_conn.model.message import Mail, MailSummary
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.wire.imap.commands import Part
    from airflow_email_conn.wire.imap.engine import Data
    from airflow_email_conn.wire.imap.fetch import Items

__all__ = ["ImapMailbox"]

# Mails whose summaries are held at a time: enough to make round trips cheap (40 for 10,000 mails), and few
# enough to stay below 1 MB.
_CHUNK = 250


class ImapMailbox:
    """A mailbox on an IMAP server."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        self._folders = Folders(session)
        self._changes = Changes(session, self._folders)

    @classmethod
    def open(cls, server: Server, on_step: OnStep) -> ImapMailbox:
        """Connect and sign in; raises what `ImapSession.open` does."""
        return cls(ImapSession.open(server, on_step))

    @property
    def capabilities(self) -> Capabilities:
        """What this server can do."""
        single_expunge = self._session.has("UIDPLUS")
        return Capabilities(
            folders=True,
            flags=True,
            move=single_expunge or self._session.has("MOVE"),
            delete=single_expunge,
            raw_search=True,
        )

    def folders(self) -> tuple[Folder, ...]:
        """See `Mailbox.folders`."""
        return self._folders.all()

    def create_folder(self, name: str) -> None:
        """See `Mailbox.create_folder`."""
        self._folders.create(name)

    # ------------------------------------------------------------ reading

    def search(
        self,
        query: MailQuery,
        *,
        folder: str = "INBOX",
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[MailSummary]:
        """See `Mailbox.search`. The search itself runs at once, the summaries come as you iterate."""
        keys = search_keys(query)
        # A NOOP would tell of new mail too (RFC 9051 6.1.2). But when somebody deleted the folder and made it
        # again, Dovecot and Cyrus go on searching what is left of the old one, and find nothing for ever.
        selected = self._folders.enter(folder, anew=True)
        uids = self._found(keys, query)
        place = MailRef(selected.name, "", selected.validity)
        return self._matching(query, place, uids[::-1] if newest_first else uids, limit)

    def _found(self, keys: Sequence[Part], query: MailQuery) -> list[int]:
        """UIDs of a search; where the server knows no UTF-8 (Exchange) those of a wider one in ASCII."""
        extended = self._session.has("ESEARCH")
        found: list[Data] = []
        status = self._session.run(commands.uid_search(keys, returns_set=extended), found.append)
        if status.code == "BADCHARSET":
            wider = search_keys(query, ascii_only=True)
            status = self._session.run(commands.uid_search(wider, returns_set=extended), found.append)
        servers.check("SEARCH", status)
        return answers.found_uids(found)

    def _matching(
        self, query: MailQuery, place: MailRef, uids: Sequence[int], limit: int | None
    ) -> Iterator[MailSummary]:
        left = len(uids) if limit is None else limit
        start = 0
        while start < len(uids) and left > 0:
            # A small first bite: whoever wants the one newest mail need not fetch 250.
            size = min(_CHUNK, left) if start == 0 else _CHUNK
            for mail in self._summaries(place, uids[start : start + size]):
                if query.matches(mail):
                    yield mail
                    left -= 1
                    if left <= 0:
                        return
            start += size

    def _summaries(self, place: MailRef, uids: Sequence[int]) -> list[MailSummary]:
        """Summaries in the order of `uids`; vanished mails are left out."""
        self._folders.enter_for(replace(place, uid=str(uids[0])))
        buffer = LiteralBuffer(limit=fetch.MAX_HEADER)
        wanted = frozenset(uids)
        found: dict[int | None, Items] = {}

        def take(data: Data) -> None:
            # RFC 9051 7: answers may be about other mails, and one mail may be answered in several.
            if data.kind == "FETCH":
                items = fetch.items(buffer.fill(data))
                uid = fetch.uid(items)
                if uid in wanted:
                    found.setdefault(uid, {}).update(items)

        for uid_set in format_sets(uids):
            command = commands.uid_fetch(uid_set, fetch.SUMMARY)
            servers.check("FETCH", self._session.run(command, take, buffer.take))
        return [
            fetch.summary(items, place.folder, place.validity)
            for items in (found.get(uid, {}) for uid in uids)
            if fetch.is_summary(items)
        ]

    def fetch(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> Mail:
        """See `Mailbox.fetch`."""
        raw, items = self._whole(ref, max_size)
        seen, flagged = fetch.flags(items)
        return mime.parse(raw, ref=ref, received=fetch.received(items), seen=seen, flagged=flagged)

    def raw(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> bytes:
        """See `Mailbox.raw`."""
        return self._whole(ref, max_size)[0]

    def _whole(self, ref: MailRef, max_size: int) -> tuple[bytes, Items]:
        self._folders.enter_for(ref)
        buffer = LiteralBuffer(limit=max_size + 1)
        found: Items = {}

        def take(data: Data) -> None:
            items = fetch.items(buffer.fill(data)) if data.kind == "FETCH" else {}
            if fetch.uid(items) == int(ref.uid):
                found.update(items)

        # One octet more than allowed tells that it is too large, and no more than that is sent.
        item = commands.section("", first_octets=max_size + 1)
        servers.check("FETCH", self._session.run(commands.uid_fetch(ref.uid, item), take, buffer.take))
        raw = fetch.body(found)
        if raw is None:
            raise _gone(ref)
        if len(raw) > max_size:
            raise ProtocolError(f"the mail is larger than {max_size} bytes; stream it to a file with save()")
        return raw, found

    def save(self, what: Attachment | MailRef, target: Writable) -> int:
        """See `Mailbox.save`."""
        if isinstance(what, Attachment):
            ref, part, encoding = what.ref, what.part, what.encoding
        else:
            ref, part, encoding = what, "", "binary"
        self._folders.enter_for(ref)
        download = Download(int(ref.uid), encoding, target)
        command = commands.uid_fetch(ref.uid, commands.section(part))
        servers.check("FETCH", self._session.run(command, download.take_data, download.take_literal))
        if not download.found:
            raise _gone(ref)
        return download.finish()

    # ------------------------------------------------------------ changing

    def mark_seen(self, refs: Refs, *, seen: bool = True) -> Moved:
        """See `Mailbox.mark_seen`."""
        return self._changes.store(refs, "\\Seen", add=seen)

    def flag(self, refs: Refs, *, flagged: bool = True) -> Moved:
        """See `Mailbox.flag`."""
        return self._changes.store(refs, "\\Flagged", add=flagged)

    def copy(self, refs: Refs, folder: str) -> Moved:
        """See `Mailbox.copy`."""
        return self._changes.copy(refs, folder)

    def move(self, refs: Refs, folder: str) -> Moved:
        """See `Mailbox.move`."""
        return self._changes.move(refs, folder)

    def delete(self, refs: Refs) -> Moved:
        """See `Mailbox.delete`."""
        return self._changes.delete(refs)

    def close(self) -> None:
        """Sign out and close; never raises."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _gone(ref: MailRef) -> MailNotFoundError:
    return MailNotFoundError(f"the mail {ref.uid} in {ref.folder!r} is gone, or has no such part")
