"""How far a folder has been looked through, in a form that a trigger's arguments can hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.model.message import MailRef

__all__ = ["Position"]

# What a Position takes with it out of this process; more would be a large trigger argument or XCom. Graph's
# ids have 200 characters, and its links some thousand.
_MAX_UIDS: Final = 5000
_MAX_OWED: Final = 1000
_MAX_LINK: Final = 16_000


@dataclass(frozen=True, slots=True)
class Position:
    """How far a folder has been looked through: `search(after=...)` finds what came later.

    A position that fits no more (see `fits`) holds nothing back.

    :param validity: IMAP: UIDVALIDITY of the folder; Graph: the folder's id; else empty.
    :param uid: IMAP: the highest UID that there can have been.
    :param uids: of mails that were there, where they are not numbered in order of arrival: all of them
        (POP3), or marks of the newest (Graph).
    :param link: Graph: where its delta query goes on; opaque.
    :param owed: Graph: ids of mails that are still to come, wherever the link leads.
    """

    folder: str
    validity: str = ""
    uid: int = 0
    uids: frozenset[str] = frozenset()
    link: str = field(default="", repr=False)
    owed: tuple[str, ...] = ()

    def fits(self, here: Position) -> bool:
        """Whether what came later lies behind this, in a folder that ends `here` now.

        Not so in another folder or one that was made anew; nor where UIDs count from a lower one on again
        under the same UIDVALIDITY, which RFC 9051 2.3.1.1 forbids and mailutils-imap4d does.
        """
        return (self.folder, self.validity) == (here.folder, here.validity) and self.uid <= here.uid

    def short_of(self, refs: Iterable[MailRef]) -> Position:
        """As far as this, but with these mails, which are of the folder, still to come."""
        later = list(refs)
        if self.link:
            return replace(self, owed=tuple(dict.fromkeys([*self.owed, *(ref.uid for ref in later)])))
        uid = min([self.uid, *(int(ref.uid) - 1 for ref in later if self.uid)])
        return replace(self, uid=uid, uids=self.uids.difference(ref.uid for ref in later))

    def as_dict(self) -> dict[str, Any]:
        """JSON form, of at most 400 kB. Leaves out what would be more: then a search takes longer, or finds
        mails once more; of more than 1,000 that are owed, the first are given up.
        """
        uids = sorted(self.uids) if len(self.uids) <= _MAX_UIDS else []
        data = {"folder": self.folder, "validity": self.validity, "uid": self.uid, "uids": uids}
        if not self.link:
            return data
        link = self.link if len(self.link) <= _MAX_LINK else ""
        return {**data, "link": link, "owed": list(self.owed[-_MAX_OWED:])}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Position:
        """Inverse of `as_dict`. :raises KeyError, TypeError, ValueError: not such a form."""
        owed = tuple(str(uid) for uid in data.get("owed") or ())
        return cls(
            str(data["folder"]),
            str(data["validity"]),
            int(data["uid"]),
            frozenset(data["uids"]),
            str(data.get("link") or ""),
            owed,
        )
