"""What is said of a mail that does not fulfil a criterion: one printable line each, for people and logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_email_conn.model import predicates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_email_conn.model.criteria import Texts
    from airflow_email_conn.model.message import MailSummary
    from airflow_email_conn.model.predicates import Files
    from airflow_email_conn.model.rules import HeaderRule, Rule

__all__ = [
    "allow",
    "answered",
    "attachment",
    "before",
    "deny",
    "fitting_rule",
    "flagged",
    "has_attachments",
    "header",
    "in_reply_to",
    "larger_than",
    "message_id",
    "recipient",
    "sender",
    "shown",
    "since",
    "smaller_than",
    "subject",
    "unseen",
]

_MAX_SHOWN = 60  # characters of a value: a mail's own may be of any length
_MAX_LISTED = 3  # values


def sender(wanted: Texts, mail: MailSummary) -> str:
    """`sender: '@a.b' does not fit 'Ann <x@c.d>'`."""
    return f"sender: {_not(wanted, 'fit')} {shown(mail.sender)}" if mail.sender else "sender: there is none"


def recipient(wanted: Texts, mail: MailSummary) -> str:
    """`recipient: '@a.b' does not fit 'x@c.d', 'y@c.d'`."""
    there = (*mail.to, *mail.cc)
    return f"recipient: {_not(wanted, 'fit')} {_listed(there)}" if there else "recipient: there is none"


def subject(wanted: Texts, mail: MailSummary) -> str:
    """`subject: 'Invoice' is not in 'Hello'`."""
    return f"subject: {_not(wanted, 'be')} in {shown(mail.subject)}"


def message_id(wanted: Texts, mail: MailSummary) -> str:
    """`message_id: 'a@b' is not '<x@y>'`."""
    there = mail.message_id
    return f"message_id: {_not(wanted, 'be')} {shown(there)}" if there else "message_id: there is none"


def in_reply_to(wanted: Texts, mail: MailSummary) -> str:
    """`in_reply_to: 'a@b' is not '<x@y>'`."""
    there = mail.in_reply_to
    return f"in_reply_to: {_not(wanted, 'be')} {_listed(there)}" if there else "in_reply_to: there is none"


def header(wanted: tuple[HeaderRule, ...], mail: MailSummary) -> str:
    """`header: X-Kind: 'order' is not 'invoice'`, of the first field that does not fit."""
    rule = next(rule for rule in wanted if not predicates.header_fits(rule, mail))
    values = predicates.header_values(rule, mail)
    if not values:
        return f"header: {rule.name} is missing"
    if rule.present is False:
        return f"header: {rule.name} is there: {_listed(values)}"
    return f"header: {rule.name}: {_not(rule.values, 'be')} {_listed(values)}"


def deny(wanted: tuple[Rule, ...], mail: MailSummary) -> str:
    """`deny[1]: sender matches 'spam@'`."""
    return fitting_rule("deny", wanted, mail)


def allow(_wanted: tuple[Rule, ...], mail: MailSummary) -> str:
    """`allow: no rule fits 'Ann <x@c.d>', 'Hello'`."""
    return f"allow: no rule fits {shown(mail.sender or '')}, {shown(mail.subject)}"


def fitting_rule(name: str, rules: tuple[Rule, ...], mail: MailSummary) -> str:
    """Which rule is the first that fits, and by what."""
    number, rule = next((i, rule) for i, rule in enumerate(rules) if predicates.rule_fits(rule, mail))
    patterns = {"sender": rule.sender, "subject": rule.subject}
    said = " and ".join(f"{key} matches {shown(found.pattern)}" for key, found in patterns.items() if found)
    return f"{name}[{number}]: {said}"


def unseen(wanted: bool, _mail: MailSummary) -> str:
    """`unseen: the mail is read`."""
    return f"unseen: the mail is {'read' if wanted else 'unread'}"


def flagged(wanted: bool, _mail: MailSummary) -> str:
    """`flagged: the mail is not flagged`."""
    return f"flagged: the mail is {'not ' if wanted else ''}flagged"


def answered(wanted: bool, _mail: MailSummary) -> str:
    """`answered: the mail is not answered`."""
    return f"answered: the mail is {'not ' if wanted else ''}answered"


def since(wanted: datetime, mail: MailSummary) -> str:
    """`since: 2026-03-14T09:26:53+00:00 is before 2026-03-15T00:00:00+00:00`."""
    return f"since: {_time(mail)} is before {wanted.isoformat()}"


def before(wanted: datetime, mail: MailSummary) -> str:
    """`before: 2026-03-15T00:00:00+00:00 is not before 2026-03-15T00:00:00+00:00`."""
    return f"before: {_time(mail)} is not before {wanted.isoformat()}"


def _time(mail: MailSummary) -> str:
    when = predicates.time_of(mail)
    return when.isoformat() if when else "an unknown time"


def larger_than(wanted: int, mail: MailSummary) -> str:
    """`larger_than: 900 bytes are not more than 1000`."""
    return f"larger_than: {mail.size} bytes are not more than {wanted}"


def smaller_than(wanted: int, mail: MailSummary) -> str:
    """`smaller_than: 1000 bytes are not less than 1000`."""
    return f"smaller_than: {mail.size} bytes are not less than {wanted}"


def has_attachments(wanted: bool, mail: MailSummary) -> str:
    """`has_attachments: there are none`."""
    return f"has_attachments: there are {'none' if wanted else len(mail.attachments)}"


def attachment(wanted: Files, mail: MailSummary) -> str:
    """`attachment: '*.csv' does not fit 'a.pdf' (application/pdf)`."""
    names, types = wanted
    name = "attachment" if names else "attachment_type"
    if not mail.attachments:
        return f"{name}: there is none"
    files = [f"{shown(file.name)} ({_clean(file.content_type)})" for file in mail.attachments[:_MAX_LISTED]]
    more = ", ..." if len(mail.attachments) > _MAX_LISTED else ""
    told = f"{', '.join(files)}{more}"
    if names and types:
        return f"attachment: {_listed(names)} with {_listed(types)} does not fit {told}"
    return f"{name}: {_not(names or types, 'fit')} {told}"


# ------------------------------------------------------------ wording


def shown(value: object) -> str:
    """A value in quotes, cut and clean."""
    return f"'{_clean(value.pattern if isinstance(value, re.Pattern) else str(value))}'"


def _clean(text: str) -> str:
    """Cut; what is not printable is escaped, so that it breaks no line and hides nothing."""
    cut = text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
    # Letter by letter: repr of the whole would double every backslash of a pattern.
    return cut if cut.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)


def _listed(values: Sequence[object]) -> str:
    listed = ", ".join(shown(value) for value in values[:_MAX_LISTED])
    return f"{listed}, ..." if len(values) > _MAX_LISTED else listed


def _not(wanted: Texts, verb: str) -> str:
    """`'a' is not` or `none of 'a', 'b' fits`, to be followed by what was found."""
    if len(wanted) == 1:
        return f"{shown(wanted[0])} {'is not' if verb == 'be' else 'does not fit'}"
    return f"none of {_listed(wanted)} {'is' if verb == 'be' else 'fits'}"
