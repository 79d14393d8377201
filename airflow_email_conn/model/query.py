"""What mails are wanted, in no protocol's words."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_email_conn.errors import QueryError
from airflow_email_conn.model.criteria import (
    TextFilter,
    read_bool,
    read_size,
    read_texts,
    read_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_email_conn.model.criteria import Texts
    from airflow_email_conn.model.message import Address, MailSummary

__all__ = ["FILTERS", "MailQuery"]

_TEXTS = ("sender", "recipient", "subject", "body", "attachment", "message_id")
_READERS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, read_texts),
    **dict.fromkeys(("unseen", "flagged", "has_attachments"), read_bool),
    **dict.fromkeys(("larger_than", "smaller_than"), read_size),
    **dict.fromkeys(("since", "before"), read_time),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailQuery:
    r"""Criteria, all of which must hold; None asks nothing.

    A text may also be a pattern (`re.Pattern`, or `{"regex": "..."}` which ignores case): it is searched for;
    or a list, any of whose values may match. All values may come as the text that a template renders to.

    :param sender: an address, or `@domain` for exactly that domain. Anybody can write any From header.
    :param recipient: the same for To and Cc.
    :param subject: part of the decoded subject, in any case of letters.
    :param body: part of the text, as the server finds it; no pattern.
    :param attachment: a file name as a glob (`*.csv`), in any case of letters.
    :param message_id: the Message-ID, with or without angle brackets.
    :param unseen: True: only unread mails, False: only read ones.
    :param flagged: True: only flagged ones, False: only others.
    :param has_attachments: True: only mails with at least one, False: only those without.
    :param since: received at that time or later; an aware datetime, an ISO 8601 text, or a day (UTC).
    :param before: received before that time.
    :param larger_than: bytes of the whole mail.
    :param smaller_than: bytes of the whole mail.
    :param raw: added to the search in the server's own syntax, such as IMAP's `KEYWORD $Invoice`.
    :raises QueryError: a criterion cannot be understood.
    """

    sender: TextFilter = None
    recipient: TextFilter = None
    subject: TextFilter = None
    body: TextFilter = None
    attachment: TextFilter = None
    message_id: TextFilter = None
    unseen: bool | str | None = None
    flagged: bool | str | None = None
    has_attachments: bool | str | None = None
    since: datetime | str | None = None
    before: datetime | str | None = None
    larger_than: int | str | None = None
    smaller_than: int | str | None = None
    raw: str | None = None

    def __post_init__(self) -> None:
        for name, read in _READERS.items():
            object.__setattr__(self, name, read(name, getattr(self, name)))
        for name in ("sender", "recipient"):
            object.__setattr__(self, name, tuple(_address(name, value) for value in self.texts(name)))
        if any(isinstance(value, re.Pattern) for value in self.texts("body")):
            raise QueryError("body: the server finds texts, not patterns; match the fetched mail's text")
        if self.raw is not None and not _is_raw(self.raw):
            raise QueryError("raw: must not be empty nor contain NUL, CR or LF")

    def texts(self, name: str) -> Texts:
        """The values of a text criterion, as read; empty when it is not set."""
        value: Texts = getattr(self, name)
        return value

    def time(self, name: str) -> datetime | None:
        """The value of `since` or `before`, as read."""
        value: datetime | None = getattr(self, name)
        return value

    def matches(self, mail: MailSummary) -> bool:
        """Whether a mail fulfils every criterion that its envelope can show: all but `body` and `raw`."""
        return (
            _matches_state(self, mail)
            and _matches_time(self, mail)
            and _matches_addresses(self.texts("sender"), [mail.sender] if mail.sender else [])
            and _matches_addresses(self.texts("recipient"), [*mail.to, *mail.cc])
            and _matches_text(self.texts("subject"), mail.subject)
            and _matches_message_id(self.texts("message_id"), mail.message_id)
            and _matches_attachments(self, mail)
        )


FILTERS = tuple(field.name for field in fields(MailQuery))


def _is_raw(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not any(c in value for c in "\0\r\n")


def _address(name: str, value: str | re.Pattern[str]) -> str | re.Pattern[str]:
    """An address or a domain, ready to compare."""
    if isinstance(value, re.Pattern):
        return value
    text = value.strip().lower()
    local, at, domain = text.rpartition("@")
    if not at or not domain or any(c in text for c in " <>,;*"):
        raise QueryError(
            f"{name}: {value!r:.80} is neither an address (a@b.c) nor a domain (@b.c); "
            'for anything else use {"regex": "..."}'
        )
    return f"{local}@{domain}"


def _matches_state(query: MailQuery, mail: MailSummary) -> bool:
    if query.unseen is not None and mail.seen == query.unseen:
        return False
    if query.flagged is not None and mail.flagged != query.flagged:
        return False
    if query.larger_than is not None and mail.size <= int(query.larger_than):
        return False
    return query.smaller_than is None or mail.size < int(query.smaller_than)


def _matches_time(query: MailQuery, mail: MailSummary) -> bool:
    since, before = query.time("since"), query.time("before")
    if since is None and before is None:
        return True
    when = mail.received or mail.date
    if when is None:
        return False
    return (since is None or when >= since) and (before is None or when < before)


def _matches_addresses(wanted: Texts, addresses: Iterable[Address]) -> bool:
    if not wanted:
        return True
    for address in addresses:
        email = address.email.lower()
        for value in wanted:
            if isinstance(value, re.Pattern):
                if value.search(address.email) or value.search(str(address)):
                    return True
            elif value in {email, f"@{address.domain}"}:
                return True
    return False


def _matches_text(wanted: Texts, text: str) -> bool:
    if not wanted:
        return True
    folded = text.casefold()
    return any(
        value.search(text) is not None if isinstance(value, re.Pattern) else value.casefold() in folded
        for value in wanted
    )


def _matches_message_id(wanted: Texts, message_id: str | None) -> bool:
    if not wanted:
        return True
    bare = (message_id or "").strip("<>")
    return any(
        value.search(bare) is not None if isinstance(value, re.Pattern) else value.strip().strip("<>") == bare
        for value in wanted
    )


def _matches_attachments(query: MailQuery, mail: MailSummary) -> bool:
    if query.has_attachments is not None and query.has_attachments != bool(mail.attachments):
        return False
    wanted = query.texts("attachment")
    return not wanted or any(matches_name(wanted, attachment.name) for attachment in mail.attachments)


def matches_name(wanted: Texts, name: str) -> bool:
    """Whether a file name matches one of the globs or patterns."""
    return any(
        value.search(name) is not None if isinstance(value, re.Pattern) else bool(_glob(value).match(name))
        for value in wanted
    )


@lru_cache(maxsize=256)
def _glob(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob), re.IGNORECASE)
