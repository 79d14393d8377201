"""What changes a mailbox on an IMAP server: only the mails that are named, and never by a bare EXPUNGE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import each
from airflow_email_conn.backends.imap.folders import uid_of
from airflow_email_conn.errors import CapabilityError, UnavailableError
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.wire.imap import answers, commands, servers
from airflow_email_conn.wire.imap.sets import format_sets, parse_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_email_conn.backends.base import Moved, Refs
    from airflow_email_conn.backends.imap.folders import Folders
    from airflow_email_conn.backends.imap.session import ImapSession
    from airflow_email_conn.wire.imap.commands import Command
    from airflow_email_conn.wire.imap.engine import Data, Status

__all__ = ["Changes"]

# Tries of one COPY or MOVE from which others take mails away meanwhile. Each try names only what is left, so
# that it takes several others at a time to spoil even two.
_MAX_TRIES = 5


class Changes:
    """Flags, copies, moves and deletes mails of one session."""

    def __init__(self, session: ImapSession, folders: Folders) -> None:
        self._session = session
        self._folders = folders

    def store(self, refs: Refs, flag: str, *, add: bool) -> Moved:
        """Add or remove a flag; returns the mails that were there."""
        stored: Moved = {}
        for present in self._present(refs):
            self._store(present, flag, add=add)
            stored.update({ref: ref for ref in present})
        return stored

    def change_keywords(self, refs: Refs, add: Iterable[str], remove: Iterable[str]) -> Moved:
        """Add and remove keywords; returns the mails that were there."""
        new, old = list(add), list(remove)
        for keyword in (*new, *old):
            commands.check_keyword(keyword)
        changed: Moved = {}
        for present in self._present(refs):
            for keyword in new:
                if not self._folders.takes_keyword(keyword):
                    raise CapabilityError(f"keywords: this folder of the IMAP server keeps no {keyword!r}")
            for keyword in new:
                self._store(present, keyword, add=True)
            for keyword in old:
                self._store(present, keyword, add=False)
            changed.update({ref: ref for ref in present})
        return changed

    def copy(self, refs: Refs, folder: str) -> Moved:
        """Copy; returns the copies."""
        target = self._folders.named(folder)
        copies: Moved = {}
        for present in self._present(refs):
            copies |= self._transfer(present, target, commands.uid_copy)
        return copies

    def move(self, refs: Refs, folder: str) -> Moved:
        """Move; returns the mails at their new place.

        Without MOVE: copy, and only when that succeeded delete just the copied ones (RFC 6851 3.3).
        """
        has_move = self._session.has("MOVE")
        if not has_move:
            self._need_uidplus("move")
        target = self._folders.named(folder)
        moved: Moved = {}
        for present in self._present(refs):
            done = self._transfer(present, target, commands.uid_move if has_move else commands.uid_copy)
            if not has_move:
                self._expunge(list(done))
            moved |= done
        return moved

    def delete(self, refs: Refs) -> Moved:
        """Delete for good; returns the mails that were there."""
        self._need_uidplus("delete")
        deleted: Moved = {}
        for present in self._present(refs):
            self._expunge(present)
            deleted.update({ref: ref for ref in present})
        return deleted

    def _need_uidplus(self, action: str) -> None:
        if not self._session.has("UIDPLUS"):
            raise CapabilityError(
                f"this IMAP server cannot {action} single mails without touching others (no UIDPLUS)"
            )

    def _present(self, refs: Refs) -> Iterable[list[MailRef]]:
        """For each folder, entered for writing: those of the mails that are there."""
        for group in _by_folder(refs):
            self._folders.enter_for(group[0], write=True)
            there = {uid for uid_set in _sets(group) for uid in self._there(uid_set)}
            yield [ref for ref in group if uid_of(ref) in there]

    def _there(self, uid_set: str) -> list[int]:
        """Those of these UIDs that are in the folder that was entered."""
        found: list[Data] = []
        search = commands.uid_search([b"UID", uid_set.encode("ascii")], returns_set=False)
        servers.check("SEARCH", self._session.run(search, found.append))
        return answers.found_uids(found)

    def _store(self, refs: Sequence[MailRef], flag: str, *, add: bool) -> None:
        for uid_set in _sets(refs):
            servers.check("STORE", self._session.run(commands.uid_store(uid_set, flag, add=add)))

    def _transfer(
        self, refs: Sequence[MailRef], target: str, command: Callable[[str, str], Command]
    ) -> Moved:
        """COPY or MOVE out of the folder that was entered; the new references of those that were there."""
        codes: list[Status] = []
        done = self._transfer_uids([uid for ref in refs if (uid := uid_of(ref))], target, command, codes)
        validity, uids = answers.copied(codes)
        done |= uids.keys()
        return {
            ref: MailRef(target, str(uids[uid]), validity, ref.message_id)
            if uid in uids
            else MailRef(target, "", "", ref.message_id)
            for ref in refs
            if (uid := int(ref.uid)) in done
        }

    def _transfer_uids(
        self, uids: Sequence[int], target: str, command: Callable[[str, str], Command], codes: list[Status]
    ) -> set[int]:
        """COPY or MOVE mails, without those that vanish meanwhile; the UIDs of the rest.

        Nothing is done twice: a refused COPY has copied nothing (RFC 9051 6.4.7), and what a refused MOVE has
        moved is not there any more (RFC 6851 3.3).

        :param codes: takes what tells the new UIDs, also of a MOVE that was refused half-way.
        :raises UnavailableError: mails went on vanishing.
        """
        done: set[int] = set()
        for _ in range(_MAX_TRIES):
            left: list[int] = []
            for uid_set in format_sets(uids):
                transfer = command(uid_set, target)
                told: list[Status] = []
                status = self._session.run(transfer, on_status=told.append)
                told.append(status)
                codes += told
                if status.kind == "OK":
                    done |= _taken(told, uid_set)
                elif servers.is_gone(status):
                    left += self._there(uid_set)
                else:
                    raise self._folders.refusal(target, transfer.name, status)
            if not left:
                return done
            uids = left
        raise UnavailableError(f"{transfer.name}: the mails in the folder keep vanishing", status.text)

    def _expunge(self, refs: Sequence[MailRef]) -> None:
        self._store(refs, "\\Deleted", add=True)
        for uid_set in _sets(refs):
            servers.check("EXPUNGE", self._session.run(commands.uid_expunge(uid_set)))


def _taken(told: Iterable[Status], uid_set: str) -> set[int]:
    """The mails that a COPY or MOVE took: those that COPYUID names, since others may have vanished before."""
    _, uids = answers.copied(told)
    return set(uids) or set(parse_set(uid_set.encode("ascii")))


def _sets(refs: Iterable[MailRef]) -> Iterable[str]:
    return format_sets(uid for ref in refs if (uid := uid_of(ref)) is not None)


def _by_folder(refs: Refs) -> Iterable[list[MailRef]]:
    """The references of each folder, in order, each once."""
    groups: dict[tuple[str, str], dict[MailRef, None]] = {}
    for ref in each(refs):
        groups.setdefault((ref.folder, ref.validity), {})[ref] = None
    return [list(group) for group in groups.values()]
