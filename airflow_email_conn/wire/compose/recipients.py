"""Addresses as people write them, parsed strictly: what is not surely an address is an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_email_conn.errors import DraftError
from airflow_email_conn.model.message import Address
from airflow_email_conn.wire.compose.fields import check_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_RECIPIENTS", "needs_utf8", "parse_address", "parse_addresses", "unique"]

# Exchange Online takes 1000 recipients in one mail at most, Postfix 1000 (smtpd_recipient_limit), Gmail 500.
MAX_RECIPIENTS = 1000

# RFC 5321 4.5.3.1 allows 64 + 1 + 255 octets. GitHub's reply addresses have local parts above 64 that arrive,
# so only the sum is checked.
_MAX_ADDRESS = 320
_MAX_NAME = 1000

# A quoted string, an address in angle brackets, other text, or a separator: each begins with another
# character, so scanning is linear whatever the input.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|<[^<>]*>|[^",;<>]+|[,;]')
_ATOM = r"[^\s\"(),:;<>@\[\\\].]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\<>]|\\["\\])+"')
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_ADDRESS_LITERAL = re.compile(r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+)\]")
# Where IDNA 2003, which the standard library speaks, means another domain than IDNA 2008 (RFC 5894 7.2):
# mail to strasse.de instead of straße.de would reach a stranger.
_AMBIGUOUS = re.compile("[ßς\u200c\u200d]")


def parse_addresses(field: str, value: str | Address | Iterable[str | Address] | None) -> tuple[Address, ...]:
    """All addresses of a draft's field, in order, their domains in ASCII (RFC 5890).

    :param field: the draft's field, for the error message.
    :param value: one text with commas or semicolons between the addresses, or several such texts.
    :raises DraftError: names the field and the address.
    """
    if value is None:
        return ()
    items = [value] if isinstance(value, str | Address) else value
    found: list[Address] = []
    for item in _iterate(field, items):
        found.extend(_parse_item(field, item))
        if len(found) > MAX_RECIPIENTS:
            raise DraftError(f"{field}: more than {MAX_RECIPIENTS} addresses; split the mail")
    return tuple(found)


def parse_address(field: str, value: str | Address) -> Address:
    """Exactly one address. :raises DraftError: names the field."""
    found = parse_addresses(field, value)
    if len(found) != 1:
        raise DraftError(f"{field}: one address is needed, not {len(found)}")
    return found[0]


def unique(addresses: Iterable[Address]) -> tuple[str, ...]:
    """The bare addresses, each once, in order; domains know no case, local parts may (RFC 5321 2.4)."""
    seen: dict[tuple[str, str], str] = {}
    for address in addresses:
        local, _, domain = address.email.rpartition("@")
        seen.setdefault((local, domain.lower()), address.email)
    return tuple(seen.values())


def needs_utf8(address: str) -> bool:
    """Whether only a server with SMTPUTF8 (RFC 6531) can take it."""
    return not address.isascii()


def _iterate(field: str, items: Iterable[str | Address]) -> Iterator[str | Address]:
    try:
        yield from items
    except TypeError as exc:
        raise DraftError(
            f"{field}: an address or a list of addresses is needed, not {type(items).__name__}"
        ) from exc


def _parse_item(field: str, item: str | Address) -> Iterator[Address]:
    if isinstance(item, Address):
        yield _checked(field, item.email, item.name)
        return
    if not isinstance(item, str):
        raise DraftError(f"{field}: an address must be text, not {type(item).__name__}")
    check_text(field, item)
    for tokens in _split(field, item):
        yield _mailbox(field, tokens)


def _split(field: str, text: str) -> Iterator[list[str]]:
    """The tokens of each address; commas and semicolons in quotes separate nothing."""
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise DraftError(f"{field}: {_shown(text)}: a quote or an angle bracket is not closed")
        position = match.end()
        if match[0] not in {",", ";"}:
            tokens.append(match[0])
            continue
        if "".join(tokens).strip():
            yield tokens
        tokens = []
    if "".join(tokens).strip():
        yield tokens


def _mailbox(field: str, tokens: list[str]) -> Address:
    """`a@b.c` or `Name <a@b.c>` (RFC 5322 3.4)."""
    while not tokens[-1].strip():
        tokens = tokens[:-1]
    *name, last = tokens
    if not last.startswith("<"):
        return _checked(field, "".join(tokens).strip(), "")
    if any(token.startswith("<") for token in name):
        raise DraftError(f"{field}: {_shown(''.join(tokens))} is not one address")
    return _checked(field, last[1:-1].strip(), _display_name(name))


def _display_name(tokens: list[str]) -> str:
    parts = [re.sub(r"\\(.)", r"\1", t[1:-1]) if t.startswith('"') else t.strip() for t in tokens]
    return " ".join(part for part in parts if part).strip()


def _checked(field: str, email: str, name: str) -> Address:
    check_text(field, email)
    check_text(field, name, longest=_MAX_NAME)
    local, at, domain = email.rpartition("@")
    # Invisible characters (U+200B, U+00A0) come along when an address is copied from a mail or a web page.
    valid = at and email.isprintable() and len(email.encode()) <= _MAX_ADDRESS
    if not valid or not (_DOT_ATOM.fullmatch(local) or _QUOTED_LOCAL.fullmatch(local)):
        raise DraftError(
            f"{field}: {_shown(email)} is not an e-mail address; names with commas need double quotes"
        )
    return Address(f"{local}@{_ascii_domain(field, email, domain)}", name)


def _ascii_domain(field: str, email: str, domain: str) -> str:
    if _ADDRESS_LITERAL.fullmatch(domain):
        return domain
    if _AMBIGUOUS.search(domain):
        raise DraftError(
            f"{field}: {_shown(email)}: two standards disagree on this domain; write it in its xn-- form"
        )
    try:
        encoded = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise DraftError(f"{field}: {_shown(email)}: no such domain can exist") from exc
    if not _DOMAIN.fullmatch(encoded) or len(encoded) > 255:
        raise DraftError(f"{field}: {_shown(email)}: the part after @ is not a domain")
    return encoded


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 100 else text[:100] + "...")
