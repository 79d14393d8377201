"""What a query would take of a folder, what not, and why: a look that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_email_conn.model.query import MailQuery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.checks import Explanation
    from airflow_email_conn.model.message import MailSummary

__all__ = ["Preview", "preview", "table"]

_COLUMN = 32  # characters of a sender and of a subject in the table


@dataclass(frozen=True, slots=True)
class Preview:
    """One mail, and whether a query takes it."""

    mail: MailSummary
    explanation: Explanation

    def as_dict(self) -> dict[str, Any]:
        """JSON form, small: ref, message_id, subject, sender, taken, reason."""
        return {
            "ref": self.mail.ref.as_dict(),
            "message_id": self.mail.message_id,
            "subject": self.mail.subject,
            "sender": str(self.mail.sender or ""),
            "taken": self.explanation.taken,
            "reason": self.explanation.reason,
        }


def preview(
    mailbox: Mailbox, query: MailQuery, *, folder: str, limit: int | None, newest_first: bool
) -> list[Preview]:
    """The newest mails of a folder, whether the query takes them or not.

    The query is searched for as well: so `body` and `raw`, which are the server's to decide, are answered,
    and what the mailbox cannot do is the same error as without a preview.

    :raises CapabilityError, FolderNotFoundError, QueryError:
    """
    # Asks nothing, but for the header fields that the query needs.
    all_mails = MailQuery(header=dict.fromkeys(query.header_names()) or None)
    mails = list(mailbox.search(all_mails, folder=folder, limit=limit, newest_first=True))
    # Of the newest mails, no more than `limit` can be among the newest that are found.
    found = {mail.ref for mail in mailbox.search(query, folder=folder, limit=limit, newest_first=True)}
    shown = [Preview(mail, query.explain(mail, found=mail.ref in found)) for mail in mails]
    return shown if newest_first else shown[::-1]


def table(previews: Iterable[Preview]) -> str:
    """A line for each mail: taken or left, when it came, from whom, about what, and why."""
    return "\n".join(_line(item) for item in previews)


def _line(item: Preview) -> str:
    mail, told = item.mail, item.explanation
    when = mail.received or mail.date
    columns = (
        "take " if told.taken else "leave",
        f"{when:%Y-%m-%d %H:%M%z}" if when else " " * len("2026-01-31 08:00+0000"),
        _cell(str(mail.sender or "")),
        _cell(mail.subject),
        told.reason,
    )
    return "  ".join(columns)


def _cell(text: str) -> str:
    """A text of one width, without what could break a line or hide something."""
    printable = "".join(c if c.isprintable() else " " for c in text[: _COLUMN + 1])
    cut = printable if len(printable) <= _COLUMN else f"{printable[: _COLUMN - 3]}..."
    return cut.ljust(_COLUMN)
