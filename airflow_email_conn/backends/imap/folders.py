"""The folders of an IMAP session: which there are, and which one it is in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import Folder
from airflow_email_conn.backends.imap.exchange import Exchange
from airflow_email_conn.backends.imap.literals import LiteralBuffer
from airflow_email_conn.errors import FolderNotFoundError, MailNotFoundError
from airflow_email_conn.wire.imap import answers, commands, servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_email_conn.backends.imap.session import ImapSession
    from airflow_email_conn.errors import ServerError
    from airflow_email_conn.model.message import MailRef
    from airflow_email_conn.wire.imap.engine import Data, Status

__all__ = ["Folders", "Selected", "uid_of"]


_MAX_CODES = 20  # of a SELECT; servers send about six
_UID = re.compile("[1-9][0-9]{0,9}")


def uid_of(ref: MailRef) -> int | None:
    """The UID of a reference; None when nobody knows it, or it is no UID: references come from anywhere."""
    return int(ref.uid) if _UID.fullmatch(ref.uid) else None


@dataclass(frozen=True, slots=True)
class Selected:
    """The folder that a session is in.

    :param validity: its UIDVALIDITY.
    :param uid_next: no mail had this UID or a higher one when the folder was entered; None: not told.
    :param writable: it was entered by SELECT, not EXAMINE.
    :param codes: what the server said then.
    """

    name: str
    validity: str
    uid_next: int | None
    writable: bool
    codes: tuple[Status, ...] = ()


class Folders:
    """Lists folders, finds them by name or special use, and goes into one."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        self._selected: Selected | None = None

    def all(self) -> tuple[Folder, ...]:
        """All folders, in the server's order."""
        listed: dict[str, Folder] = {}
        buffer = LiteralBuffer()

        def take(data: Data) -> None:
            entry = answers.listed_folder(buffer.fill(data)) if data.kind == "LIST" else None
            if entry:
                listed.setdefault(entry[0], Folder(*entry))

        # Servers with SPECIAL-USE mark folders in any LIST; asking for it needs LIST-EXTENDED (RFC 6154 5.2).
        extended = self._session.has("SPECIAL-USE") and self._session.has("LIST-EXTENDED")
        command = commands.list_folders(special_use=extended)
        servers.check("LIST", self._session.run(command, take, buffer.take))
        return tuple(listed.values())

    def create(self, name: str) -> None:
        """Create a folder; one that exists already is fine. A special use is the server's to assign."""
        if name.startswith("\\"):
            self.named(name)
            return
        status = self._session.run(commands.create(name))
        if status.kind == "OK":
            return
        known = self.all()
        if all(folder.name != name for folder in known):
            prefix = _common_prefix(known)
            mend = f"all its folders lie below INBOX; try {prefix + name!r}" if prefix else ""
            raise servers.refusal("CREATE", status, "" if name.startswith(prefix) else mend)

    def named(self, folder: str) -> str:
        """The name of a folder that may be given by its special use. :raises FolderNotFoundError:"""
        if folder.upper() == "INBOX":
            return "INBOX"  # RFC 9051 5.1: the one name in any case of letters
        if not folder.startswith("\\"):
            return folder
        known = self.all()
        for entry in known:
            if entry.special_use.lower() == folder.lower():
                return entry.name
        raise FolderNotFoundError(folder, tuple(entry.name for entry in known))

    def refusal(self, name: str, command: str, status: Status) -> ServerError:
        """The error for a refused SELECT, COPY or MOVE: a missing folder names those that exist."""
        if servers.is_transient(status):
            return servers.refusal(command, status)
        known = tuple(entry.name for entry in self.all())
        if servers.is_missing_folder(status) or name not in known:
            return FolderNotFoundError(name, known)
        return servers.refusal(command, status)

    def enter(
        self, folder: str, *, write: bool = False, anew: bool = False, then: Sequence[Exchange] = ()
    ) -> Selected:
        """Go into a folder, read-only unless `write`.

        :param anew: also when the session is in it: what somebody else did to the folder shows for sure then.
        :param then: sent along, in one round trip; run when the folder was entered anew.
        :raises FolderNotFoundError, ServerError:
        """
        name = self.named(folder)
        here = self._selected
        if here and here.name == name and (here.writable or not write) and not anew:
            return here
        self._selected = None  # a refused SELECT leaves no folder selected (RFC 9051 6.3.2)
        command = commands.select(name, write=write)
        codes: list[Status] = []
        entering = Exchange(command, on_data=self._forget if anew else None, on_status=codes.append)
        # Where it is refused no folder is selected, and so the others are refused as well.
        self._session.run_all([entering, *then])
        status = entering.status
        assert status is not None
        if status.kind != "OK":
            raise self.refusal(name, command.name, status)
        if write and status.code == "READ-ONLY":
            raise servers.refusal(command.name, replace(status, kind="NO", text="the folder is read-only"))
        codes.append(status)
        uid_next = answers.number(codes, "UIDNEXT")
        self._selected = Selected(
            name,
            answers.number(codes, "UIDVALIDITY"),
            int(uid_next) if uid_next else None,
            write,
            tuple(codes[:_MAX_CODES]),
        )
        return self._selected

    def takes_keyword(self, keyword: str) -> bool:
        """Whether the folder that was entered keeps a keyword."""
        return self._selected is None or answers.takes_keyword(self._selected.codes, keyword)

    def _forget(self, _data: Data) -> None:
        """What EXAMINE tells of, the search that comes with it will see."""
        self._session.arrivals.forget()

    def leave(self) -> None:
        """The session is in no folder any more: it was opened anew."""
        self._selected = None

    def enter_for(self, ref: MailRef, *, write: bool = False) -> Selected:
        """Go where a mail lies. :raises MailNotFoundError: the folder was rebuilt; UIDs mean others now."""
        selected = self.enter(ref.folder, write=write)
        if uid_of(ref) is None or ref.validity != selected.validity:
            raise MailNotFoundError(
                f"the mail {ref.uid or '(unknown UID)'} in {ref.folder!r} cannot be found any more: "
                "the folder was rebuilt, or the server did not say where the mail went; search again"
            )
        return selected


def _common_prefix(known: tuple[Folder, ...]) -> str:
    """`INBOX.` where every folder has to lie below INBOX (RFC 2342 5; Courier, older Cyrus), else empty."""
    prefixes = {f"INBOX{folder.delimiter}" for folder in known if folder.delimiter}
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    others = [folder.name for folder in known if folder.name.upper() != "INBOX"]
    return prefix if others and all(name.startswith(prefix) for name in others) else ""
