"""What mails are wanted, in no protocol's words."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_email_conn.model.checks import ON_ATTACHMENTS, Explanation, checks_of, explained, hold
from airflow_email_conn.model.criteria import (
    TextFilter,
    plain_text,
    read_addresses,
    read_bool,
    read_plain_texts,
    read_raw,
    read_size,
    read_texts,
    read_time,
    read_types,
)
from airflow_email_conn.model.predicates import file_fits
from airflow_email_conn.model.rules import HeaderFilter, RuleFilter, read_headers, read_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_email_conn.model.checks import Check
    from airflow_email_conn.model.criteria import Texts
    from airflow_email_conn.model.message import Attachment, Mail, MailSummary
    from airflow_email_conn.model.rules import HeaderRule

__all__ = ["FILTERS", "MailQuery"]

_TEXTS = (
    "subject",
    "body",
    "sender",
    "recipient",
    "message_id",
    "in_reply_to",
    "attachment",
    "attachment_type",
)
_FLAGS = ("unseen", "flagged", "answered")
_TIMES = ("since", "before")
_RULES = ("deny", "allow")
_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(_TEXTS, read_texts),
    "sender": read_addresses,
    "recipient": read_addresses,
    "attachment_type": read_types,
    "body": read_plain_texts,
    "header": read_headers,
    **dict.fromkeys(_RULES, read_rules),
    **dict.fromkeys((*_FLAGS, "has_attachments"), read_bool),
    **dict.fromkeys(_TIMES, read_time),
    **dict.fromkeys(("larger_than", "smaller_than"), read_size),
    "raw": read_raw,
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
    :param attachment_type: a MIME type as a glob (`image/*`). With `attachment`, one file must fit both.
    :param message_id: the Message-ID, with or without angle brackets.
    :param in_reply_to: the Message-ID of a mail that it answers.
    :param header: field name to what its decoded value must be, in any case of letters; or to a pattern; or
        to True: it has a value, False: it is missing or empty, None: anything. Where a field is repeated, one
        of its values is enough. All that are named are in `MailSummary.headers`.
    :param deny: rules, `{"sender": "<regex>"}`, `{"subject": "<regex>"}`, or both keys, which must both be
        found. They ignore case; the sender is searched as `a@b.c` and as `Name <a@b.c>`. A mail that one of
        them fits is dropped.
    :param allow: rules of the same form: a mail that `deny` leaves must fit one of them.
    :param unseen: True: only unread mails, False: only read ones.
    :param flagged: True: only flagged ones, False: only others.
    :param answered: True: only answered ones, False: only others.
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
    attachment_type: TextFilter = None
    message_id: TextFilter = None
    in_reply_to: TextFilter = None
    header: HeaderFilter = None
    deny: RuleFilter = None
    allow: RuleFilter = None
    unseen: bool | str | None = None
    flagged: bool | str | None = None
    answered: bool | str | None = None
    has_attachments: bool | str | None = None
    since: datetime | str | None = None
    before: datetime | str | None = None
    larger_than: int | str | None = None
    smaller_than: int | str | None = None
    raw: str | None = None
    _checks: tuple[Check, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        criteria = {name: getattr(self, name) for name in FILTERS}
        for name, value in criteria.items():
            if value is not None:
                criteria[name] = _READERS[name](name, value)
                object.__setattr__(self, name, criteria[name])
        object.__setattr__(self, "_checks", checks_of(criteria))

    # ------------------------------------------------------------ the criteria as read

    def texts(self, name: str) -> Texts:
        """The values of a text criterion, as read; empty when it is not set."""
        value: Texts | None = getattr(self, name)
        return value or ()

    def time(self, name: str) -> datetime | None:
        """The value of `since` or `before`, as read."""
        value: datetime | None = getattr(self, name)
        return value

    def headers(self) -> tuple[HeaderRule, ...]:
        """What is asked of header fields, as read."""
        value: tuple[HeaderRule, ...] | None = self.header  # type: ignore[assignment]
        return value or ()

    def header_names(self) -> tuple[str, ...]:
        """The fields that `MailSummary.headers` must have."""
        return tuple(rule.name for rule in self.headers())

    @property
    def takes_all(self) -> bool:
        """Whether every mail matches, since nothing is asked."""
        set_ones = [name for name in FILTERS if getattr(self, name) is not None]
        return set_ones in ([], ["header"]) and not any(rule.asks for rule in self.headers())

    def is_settled(self, *, flags: bool, index: bool) -> bool:
        """Whether a mail that does not match now never will: nothing is asked that can change.

        :param flags: the mailbox has flags, which can change.
        :param index: the server searches by itself (`body`, `raw`), maybe in an index that knows new mails a
            while later.
        """
        changing = (*(_FLAGS if flags else ()), *(("body", "raw") if index else ()))
        return all(getattr(self, name) is None for name in changing)

    # ------------------------------------------------------------ one mail

    def matches(self, mail: MailSummary) -> bool:
        """Whether a mail fulfils every criterion that its summary can show: all but `body` and `raw`."""
        return hold(self._checks, mail)

    def matches_envelope(self, mail: MailSummary) -> bool:
        """As `matches`, before the attachments are known: whether the mail may still match."""
        return hold((check for check in self._checks if check.criterion not in ON_ATTACHMENTS), mail)

    @property
    def asks_attachments(self) -> bool:
        """Whether a criterion is about attachments."""
        return any(check.criterion in ON_ATTACHMENTS for check in self._checks)

    def matches_attachments(self, mail: MailSummary) -> bool:
        """As `matches`, while only the attachments are known: whether the mail may still match."""
        return hold((check for check in self._checks if check.criterion in ON_ATTACHMENTS), mail)

    def matches_body(self, mail: Mail) -> bool:
        """Whether a whole mail fulfils `body`, for mailboxes without a search of their own."""
        if not self.body:
            return True
        text = f"{mail.text}\n{mail.html}".casefold()
        return any(isinstance(value, str) and value.casefold() in text for value in self.texts("body"))

    def selects(self, attachment: Attachment) -> bool:
        """Whether a file fits `attachment` and `attachment_type`, as far as they are set."""
        return file_fits((self.texts("attachment"), self.texts("attachment_type")), attachment)

    def explain(self, mail: MailSummary, *, found: bool | None = None) -> Explanation:
        """Why a mail matches or not; says the same as `matches`.

        The first criterion that fails decides: `deny`, `allow`, then those on the envelope, flags, times and
        sizes, at last the attachments. `body` and `raw` are left to the server, as the reason says.

        :param found: whether a search with this query found the mail: then they are decided too.
        """
        told = explained(self._checks, mail)
        asked = " and ".join(name for name in ("body", "raw") if getattr(self, name))
        if told.taken and found is False:
            by_what = asked.replace(" and ", " or ") or "search"
            reason = f"{by_what}: the server does not find it"
            return Explanation(taken=False, reason=reason, criterion=asked)
        if told.taken and asked:
            by_whom = "found by" if found else "left to"
            return replace(told, reason=f"{told.reason}; {asked} {by_whom} the server")
        return told

    # ------------------------------------------------------------ JSON

    def as_dict(self) -> dict[str, Any]:
        """JSON form: the criteria that are set, times in ISO 8601, patterns as `{"regex": "..."}`."""
        values = {name: getattr(self, name) for name in FILTERS}
        return {name: _plain(name, value) for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MailQuery:
        """Inverse of `as_dict`. :raises QueryError, TypeError: not such a form."""
        return cls(**data)


FILTERS = tuple(field.name for field in fields(MailQuery) if field.init)


def _plain(name: str, value: Any) -> Any:
    """A criterion in JSON."""
    if name in _TEXTS:
        return [plain_text(item) for item in value]
    if name == "header":
        return {rule.name: rule.plain() for rule in value}
    if name in _RULES:
        return [rule.plain() for rule in value]
    return value.isoformat() if name in _TIMES else value
