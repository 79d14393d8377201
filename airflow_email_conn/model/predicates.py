"""Whether a mail fulfils one criterion: functions of the wanted value, as read, and the mail."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_email_conn.model.criteria import Texts
    from airflow_email_conn.model.message import Address, Attachment, MailSummary
    from airflow_email_conn.model.rules import HeaderRule, Rule

__all__ = [
    "Files",
    "allow",
    "answered",
    "attachment",
    "before",
    "deny",
    "file_fits",
    "flagged",
    "has_attachments",
    "header",
    "header_fits",
    "header_values",
    "in_reply_to",
    "larger_than",
    "message_id",
    "recipient",
    "rule_fits",
    "sender",
    "since",
    "smaller_than",
    "subject",
    "time_of",
    "unseen",
]

# Names and MIME types, one of each of which a file must fit; empty ones ask nothing.
Files: TypeAlias = "tuple[Texts, Texts]"


# ------------------------------------------------------------ who


def sender(wanted: Texts, mail: MailSummary) -> bool:
    """Nothing is found in a sender that is missing."""
    return mail.sender is not None and _is_any_address(wanted, (mail.sender,))


def recipient(wanted: Texts, mail: MailSummary) -> bool:
    """One recipient is enough."""
    return _is_any_address(wanted, (*mail.to, *mail.cc))


def _is_any_address(wanted: Texts, addresses: Iterable[Address]) -> bool:
    for address in addresses:
        fitting = (address.email.lower(), f"@{address.domain}")
        for value in wanted:
            if isinstance(value, re.Pattern):
                if _is_in_address(value, address):
                    return True
            elif value in fitting:
                return True
    return False


def _is_in_address(pattern: re.Pattern[str], address: Address) -> bool:
    return bool(pattern.search(address.email) or pattern.search(str(address)))


# ------------------------------------------------------------ what about


def subject(wanted: Texts, mail: MailSummary) -> bool:
    """Part of it, in any case of letters."""
    text = mail.subject
    folded = text.casefold()
    return any(
        value.search(text) is not None if isinstance(value, re.Pattern) else value.casefold() in folded
        for value in wanted
    )


def message_id(wanted: Texts, mail: MailSummary) -> bool:
    """Letter by letter: Message-IDs know no equal letters (RFC 5322 3.6.4)."""
    return _is_any_id(wanted, mail.message_id or "")


def in_reply_to(wanted: Texts, mail: MailSummary) -> bool:
    """One of several is enough."""
    return any(_is_any_id(wanted, answered) for answered in mail.in_reply_to)


def _is_any_id(wanted: Texts, found: str) -> bool:
    bare = found.strip("<>")
    return any(
        value.search(bare) is not None if isinstance(value, re.Pattern) else value.strip().strip("<>") == bare
        for value in wanted
    )


def header(wanted: tuple[HeaderRule, ...], mail: MailSummary) -> bool:
    """Every field that is named."""
    return all(header_fits(rule, mail) for rule in wanted)


def header_fits(rule: HeaderRule, mail: MailSummary) -> bool:
    """One field; where it is repeated, any of its values."""
    values = header_values(rule, mail)
    if rule.present is not None:
        return bool(values) == rule.present
    return not rule.values or any(_is_any_value(rule.values, value) for value in values)


def header_values(rule: HeaderRule, mail: MailSummary) -> list[str]:
    """What the mail has in that field; one that is empty is as good as none (and Cyrus finds none)."""
    key = rule.name.lower()
    return [value for name, value in mail.headers if value and name.lower() == key]


def _is_any_value(wanted: Texts, value: str) -> bool:
    text = _as_compared(value)
    return any(
        item.search(value) is not None if isinstance(item, re.Pattern) else _as_compared(item) == text
        for item in wanted
    )


def _as_compared(value: str) -> str:
    """Where a line was folded is white space of any length. No casefold: servers take no ß for ss."""
    return " ".join(value.split()).lower()


# ------------------------------------------------------------ deny and allow


def deny(wanted: tuple[Rule, ...], mail: MailSummary) -> bool:
    """No rule."""
    return not allow(wanted, mail)


def allow(wanted: tuple[Rule, ...], mail: MailSummary) -> bool:
    """One rule is enough."""
    return any(rule_fits(rule, mail) for rule in wanted)


def rule_fits(rule: Rule, mail: MailSummary) -> bool:
    """Every pattern of the rule."""
    if rule.sender is not None and (mail.sender is None or not _is_in_address(rule.sender, mail.sender)):
        return False
    return rule.subject is None or rule.subject.search(mail.subject) is not None


# ------------------------------------------------------------ flags, times, sizes


def unseen(wanted: bool, mail: MailSummary) -> bool:
    r"""Without `\Seen`."""
    return mail.seen != wanted


def flagged(wanted: bool, mail: MailSummary) -> bool:
    r"""With `\Flagged`."""
    return mail.flagged == wanted


def answered(wanted: bool, mail: MailSummary) -> bool:
    r"""With `\Answered`."""
    return mail.answered == wanted


def since(wanted: datetime, mail: MailSummary) -> bool:
    """Then or later; a mail without any time is in no time."""
    when = time_of(mail)
    return when is not None and when >= wanted


def before(wanted: datetime, mail: MailSummary) -> bool:
    """Earlier; a mail without any time is in no time."""
    when = time_of(mail)
    return when is not None and when < wanted


def time_of(mail: MailSummary) -> datetime | None:
    """When the server received it; where it does not say, when it was sent, as the mail says."""
    return mail.received or mail.date


def larger_than(wanted: int, mail: MailSummary) -> bool:
    """More bytes."""
    return mail.size > wanted


def smaller_than(wanted: int, mail: MailSummary) -> bool:
    """Fewer bytes."""
    return mail.size < wanted


# ------------------------------------------------------------ attachments


def has_attachments(wanted: bool, mail: MailSummary) -> bool:
    """At least one."""
    return bool(mail.attachments) == wanted


def attachment(wanted: Files, mail: MailSummary) -> bool:
    """One file that fits name and type."""
    return any(file_fits(wanted, file) for file in mail.attachments)


def file_fits(wanted: Files, file: Attachment) -> bool:
    """One file, by name and by type."""
    names, types = wanted
    return (not names or _is_any_glob(names, file.name)) and (
        not types or _is_any_glob(types, file.content_type)
    )


def _is_any_glob(wanted: Texts, text: str) -> bool:
    return any(
        value.search(text) is not None if isinstance(value, re.Pattern) else bool(_glob(value).match(text))
        for value in wanted
    )


@lru_cache(maxsize=256)
def _glob(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob), re.IGNORECASE)
