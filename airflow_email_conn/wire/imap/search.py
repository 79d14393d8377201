"""A MailQuery in IMAP's words (RFC 9051 6.4.4).

The server finds a superset for everything that `MailQuery.matches` decides again, so its looser rules (part
of an address, whole days in its own zone) never lose a mail. Exceptions are headers that break the rules, and
letters: text that is not ASCII, in a header that holds it as raw octets, is found only where the server takes
them for the same characters as we do (Dovecot does so for UTF-8, Cyrus never); ß and ss are the same to us
only; a Message-ID that was folded in the middle is two words to a server. A pattern finds them all: patterns,
`deny` and `allow` are the client's alone.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from airflow_email_conn.errors import QueryError
from airflow_email_conn.wire.imap.commands import Literal, Part, string

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.model.rules import HeaderRule

__all__ = ["search_keys"]

# English whatever the locale, as the grammar demands; strftime would translate them.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_WORDS = 20  # of one subject: so many find as few mails as all would
_MAX_ALTERNATIVES = 50  # nested ORs; servers limit how deep a search may nest


def search_keys(query: MailQuery, *, ascii_only: bool = False) -> list[Part]:
    """Search keys to be joined by spaces.

    :param ascii_only: leave out what is not ASCII, for servers that search nothing else; the client decides.
    :raises QueryError: a value that cannot be sent, or that only this server could look for.
    """
    keys: list[Part] = [*_state_keys(query), *_time_keys(query), *_header_keys(query)]
    for name, key in _TEXT_KEYS.items():
        found = _any_of(query, name, key)
        if not (ascii_only and any(isinstance(part, Literal) for part in found)):
            keys += found
        elif name == "body":
            raise QueryError("body: this server finds ASCII only; match the fetched mail's text")
    if query.raw is not None:
        keys.append(_raw(query.raw))
    return keys or [b"ALL"]


_TEXT_KEYS: dict[str, Callable[[Part], list[Part]]] = {
    "sender": lambda value: [b"FROM", value],
    "recipient": lambda value: [b"OR", b"TO", value, b"CC", value],
    "subject": lambda value: [b"SUBJECT", value],
    "body": lambda value: [b"BODY", value],
    "message_id": lambda value: [b"HEADER", b"MESSAGE-ID", value],
    "in_reply_to": lambda value: [b"HEADER", b"IN-REPLY-TO", value],
}


def _state_keys(query: MailQuery) -> list[Part]:
    keys: list[Part] = []
    if query.unseen is not None:
        keys.append(b"UNSEEN" if query.unseen else b"SEEN")
    if query.flagged is not None:
        keys.append(b"FLAGGED" if query.flagged else b"UNFLAGGED")
    if query.answered is not None:
        keys.append(b"ANSWERED" if query.answered else b"UNANSWERED")
    if query.larger_than is not None:
        keys += (b"LARGER", b"%d" % int(query.larger_than))
    if query.smaller_than is not None:
        keys += (b"SMALLER", b"%d" % int(query.smaller_than))
    return keys


def _time_keys(query: MailQuery) -> list[Part]:
    """SINCE and BEFORE know only days, in the server's zone: a day wider on either side (UTC-12 to +14)."""
    keys: list[Part] = []
    since, before = query.time("since"), query.time("before")
    if since is not None:
        keys += (b"SINCE", _day(since, -1))
    if before is not None:
        keys += (b"BEFORE", _day(before, +2))
    return keys


def _day(when: datetime, days: int) -> bytes:
    try:
        day = when.astimezone(timezone.utc) + timedelta(days=days)
    except OverflowError:  # the first or last days that datetime knows
        day = when
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04d}".encode("ascii")


def _header_keys(query: MailQuery) -> list[Part]:
    """The fields that must be there; never those that must not, which the client knows better."""
    keys: list[Part] = []
    for rule in query.headers():
        if rule.present or rule.values:
            keys += _either([[b"HEADER", string(rule.name, "header"), value] for value in _parts_of(rule)])
    return keys


def _parts_of(rule: HeaderRule) -> list[Part]:
    """What the field must contain, where a server can tell; else one empty string: that it is there.

    The longest word, since a long line may be folded at any white space. Only ASCII: see above.
    """
    texts = [value for value in rule.values if isinstance(value, str) and value.isascii()]
    if not texts or len(texts) < len(rule.values) or len(texts) > _MAX_ALTERNATIVES:
        return [b'""']
    return [string(max(text.split(), key=len), "header") for text in texts]


def _either(alternatives: list[list[Part]]) -> list[Part]:
    """OR of them all, which takes two at a time (RFC 9051 6.4.4)."""
    keys: list[Part] = []
    for count, alternative in enumerate(alternatives):
        keys = [b"OR", *keys, *alternative] if count else alternative
    return keys


def _any_of(query: MailQuery, name: str, key: Callable[[Part], list[Part]]) -> list[Part]:
    """OR of a criterion's values; nothing when only the client can decide: for a pattern, for a long list."""
    values = query.texts(name)
    if any(isinstance(value, re.Pattern) for value in values):
        return []
    if len(values) > _MAX_ALTERNATIVES:
        if name == "body":
            raise QueryError(f"body: more than {_MAX_ALTERNATIVES} texts are too many for a server")
        return []
    texts = [value for value in values if isinstance(value, str)]
    if name in {"message_id", "in_reply_to"}:
        texts = [text.strip().strip("<>") for text in texts]
    if name == "subject":
        return _words_of(texts, key)
    return _either([key(string(text, name)) for text in texts])


def _words_of(texts: list[str], key: Callable[[Part], list[Part]]) -> list[Part]:
    """Keys for a text word by word; for one of several texts, whose longest words stand for them.

    What is a space to us may be a tab, a control character or a folded line to a server.
    """
    for text in texts:
        string(text, "subject")  # refused are whole texts: to split one would hide a line end in it
    words = [text.split() for text in texts]
    if len(words) == 1:
        return [part for word in words[0][:_MAX_WORDS] for part in key(string(word, "subject"))]
    return _either([key(string(max(found, key=len), "subject")) for found in words])


def _raw(raw: str) -> Part:
    if not raw.isascii():
        raise QueryError("raw: ASCII only; non-ASCII text can be given to subject, body or sender")
    if re.search(r"\{\d*\+?\}\s*$", raw):
        raise QueryError("raw: must not end in {n}, which would make the server wait for a literal")
    return raw.strip().encode("ascii")
