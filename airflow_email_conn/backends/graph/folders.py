"""The folders of a mailbox: which there are, and where one is that is given by its name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.backends.base import Folder
from airflow_email_conn.backends.graph.pages import items_of
from airflow_email_conn.errors import FolderNotFoundError, MailNotFoundError, ProtocolError
from airflow_email_conn.wire.graph import names, paths
from airflow_email_conn.wire.graph.errors import FolderExistsError
from airflow_email_conn.wire.graph.filters import quoted
from airflow_email_conn.wire.graph.values import number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.backends.graph.session import GraphSession

__all__ = ["Folders", "Place"]

_FIELDS: Final = "id,displayName,childFolderCount"
_PAGE: Final = "250"  # folders of one answer
_MAX_FOLDERS: Final = 10_000  # of one mailbox; Exchange allows as many below one other
# What every mailbox has and nobody names: where Graph's `/mailFolders` begins.
_ROOT: Final = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder.

    :param name: its path of display names, or INBOX.
    """

    name: str
    identity: str

    @property
    def path(self) -> str:
        """Where it is, below the mailbox."""
        return f"/mailFolders/{paths.segment(self.identity)}"


class Folders:
    """Lists folders, finds them by name or special use, and creates them."""

    def __init__(self, session: GraphSession) -> None:
        self._session = session
        self._known: dict[str, Place] = {}

    def beside(self, session: GraphSession) -> Folders:
        """The same, asked for by another session in another thread; what one finds, all know."""
        other = Folders(session)
        other._known = self._known
        return other

    def all(self) -> tuple[Folder, ...]:
        """All folders but hidden ones, each before those below it."""
        uses = self._special_uses()
        found: list[Folder] = []
        for place in self._below(_ROOT, ()):
            found.append(Folder(place.name, names.DELIMITER, uses.get(place.identity, "")))
            if len(found) > _MAX_FOLDERS:
                raise ProtocolError(f"the mailbox has more than {_MAX_FOLDERS} folders")
        return tuple(found)

    def find(self, folder: str) -> Place:
        """Where a folder is now.

        :raises FolderNotFoundError: QueryError: an impossible name.
        """
        place = self._found(folder)
        if place is None:
            self._known.pop(folder, None)
            raise FolderNotFoundError(folder, tuple(entry.name for entry in self.all()))
        self._known[folder] = place
        return place

    def known(self, folder: str) -> Place:
        """Where it was a moment ago: folders keep their ids. Raises as `find`."""
        return self._known.get(folder) or self.find(folder)

    def create(self, folder: str) -> None:
        """Create a folder, and those that it lies in; what exists already is fine.

        :raises FolderNotFoundError: a special use that no folder has. QueryError: an impossible name.
        """
        if folder.startswith("\\"):
            self.find(folder)
            return
        parent = _ROOT
        for name in names.split(folder):
            parent = self._child(parent, name) or self._created(parent, name)

    # ------------------------------------------------------------ by name

    def _found(self, folder: str) -> Place | None:
        if folder.startswith("\\"):
            use = names.well_known(folder)
            return self._by_use(use) if use else None
        identity, path = _ROOT, names.split(folder)
        for name in path:
            identity = self._child(identity, name)
            if not identity:
                return None
        return Place(self._name_of(path, identity), identity)

    def _by_use(self, use: str) -> Place | None:
        with suppress(MailNotFoundError):  # a mailbox may have no archive
            answer = self._session.get(f"/mailFolders/{use}", {"$select": "id,displayName"})
            return Place(names.joined([text(answer.get("displayName"))]), text(answer.get("id")))
        return None

    def _name_of(self, path: tuple[str, ...], identity: str) -> str:
        if identity == self._session.inbox_id:
            return names.INBOX
        first, *rest = path
        is_below_inbox = rest and self._is_inbox(first)
        return names.joined([names.INBOX if is_below_inbox else first, *rest])

    def _is_inbox(self, name: str) -> bool:
        return name.upper() == names.INBOX

    def _child(self, parent: str, name: str) -> str:
        """The id of the folder of a display name; empty without one."""
        if parent == _ROOT and self._is_inbox(name):
            return self._session.inbox_id
        query = {"$filter": f"displayName eq {quoted(name)}", "$select": _FIELDS, "$top": _PAGE}
        found = {
            text(item.get("displayName")): text(item.get("id"))
            for item in items_of(self._session, _children(parent), query)
        }
        # Exchange compares without regard to case, as it does when a folder is made.
        alike = (identity for shown, identity in found.items() if shown.casefold() == name.casefold())
        return found.get(name) or next(alike, "")

    def _created(self, parent: str, name: str) -> str:
        try:
            answer = self._session.post(_children(parent), {"displayName": name})
        except FolderExistsError:  # somebody else was faster
            return self._child(parent, name)
        return text(answer.get("id"))

    # ------------------------------------------------------------ all of them

    def _special_uses(self) -> dict[str, str]:
        """Id to special use."""
        found = ((use, self._by_use(name)) for use, name in names.SPECIAL_USES.items())
        return {place.identity: use for use, place in found if place}

    def _below(self, parent: str, path: tuple[str, ...]) -> Iterator[Place]:
        query = {"$select": _FIELDS, "$top": _PAGE}
        for item in items_of(self._session, _children(parent), query):
            place, below = self._listed(item, path)
            yield place
            if number(item.get("childFolderCount")) and len(below) < names.MAX_DEPTH:
                yield from self._below(place.identity, below)

    def _listed(self, item: dict[str, Any], path: tuple[str, ...]) -> tuple[Place, tuple[str, ...]]:
        identity = text(item.get("id"))
        is_inbox = identity == self._session.inbox_id
        below = (*path, names.INBOX if is_inbox else text(item.get("displayName")))
        return Place(names.joined(below), identity), below


def _children(parent: str) -> str:
    return "/mailFolders" if parent == _ROOT else f"/mailFolders/{paths.segment(parent)}/childFolders"
