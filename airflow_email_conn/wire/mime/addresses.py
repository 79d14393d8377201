"""Address headers (RFC 5322 3.4): tolerant of mess, but never of what could forge an address.

Encoded words are decoded only after the header was cut into tokens, so an encoded comma, `<` or `@` stays
text. What is ambiguous, such as `alice@example.org)bob@evil.example`, gives an Address with an empty `email`
and the whole text as its name: it can be shown and logged, and matches no filter (CVE-2023-27043).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from airflow_email_conn.model.message import Address
from airflow_email_conn.wire.mime import charsets, words

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_ADDRESSES", "MAX_ADDRESS_BYTES", "parse_addresses"]

MAX_ADDRESSES = 1_000  # of one header; the largest servers take 1,000 recipients for one mail
MAX_ADDRESS_BYTES = 256 * 1024  # of one header; Exchange takes as much for the whole block
_MAX_TOKENS = 2_000  # of one mailbox; more is an attack on memory

_LOCAL = rb"(?!=\?)[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_DOMAIN = rb"[A-Za-z0-9._-]+"
# `user@host`, `Name <user@host>` or `"Name" <user@host>`, with the comma behind it.
_PLAIN = re.compile(
    rb'(?:(?:"([^"\\]*)"[ \t]*|([^"\\(),:;<>@\[\]]*))<(%b@%b)>|(%b@%b))[ \t]*(?:,\s*|\Z)'
    % (_LOCAL, _DOMAIN, _LOCAL, _DOMAIN)
)

_TOKEN = re.compile(
    rb"""(?P<space>\s+)
    | (?P<atom>=\?[^?\s]{1,75}\?[bBqQ]\?[^?\s<>@]*\?=)   # a whole word; commas in it are forbidden but usual
    | "(?P<quoted>[^"\\]*(?:\\.[^"\\]*){0,1000})(?:"|\\?\Z)
    | (?P<literal>\[[^\[\]\\\s]*\])
    | (?P<mark>[<>@,:;()\[\]"])
    | (?P<text>[^\s"<>@,:;()\[\]]+)""",
    re.VERBOSE | re.DOTALL,
)
_PARENTHESIS = re.compile(rb"\\.|[()]", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f]")

_Token = tuple[str, bytes]  # kind: a group of _TOKEN, `comment`, or the mark itself; and its text


def parse_addresses(value: bytes) -> tuple[Address, ...]:
    """Mailboxes of an unfolded header value, in order; members of groups like any other.

    At most MAX_ADDRESSES, from the first MAX_ADDRESS_BYTES. Linear in the length, whatever it nests.
    """
    if len(value) > MAX_ADDRESS_BYTES:
        # Up to a comma: half an address is another address.
        value = value[:MAX_ADDRESS_BYTES].rpartition(b",")[0]
    plain = _plain(value)
    return plain if plain is not None else tuple(islice(_mailboxes(value), MAX_ADDRESSES))


def _plain(value: bytes) -> tuple[Address, ...] | None:
    """The short way for what nearly every header holds; None where it takes more care."""
    found: list[Address] = []
    at = 0
    while at < len(value):
        match = _PLAIN.match(value, at)
        if match is None or len(found) == MAX_ADDRESSES:
            return None
        quoted, phrase, named, bare = match.groups()
        name = quoted or (b" ".join(phrase.split()) if phrase else b"")
        found.append(Address((named or bare).decode("ascii"), words.decode(name).strip() if name else ""))
        at = match.end()
    return tuple(found)


def _tokens(value: bytes) -> Iterator[_Token]:
    """The value in lexical pieces (RFC 5322 3.2), comments whole."""
    at = 0
    while match := _TOKEN.match(value, at):
        at = match.end()
        kind = match.lastgroup or ""
        text = match[kind]
        if text == b"(" and kind == "mark":
            start, at = at, _comment_end(value, match.start())
            closed = at <= len(value)
            yield "comment", value[start : at - 1] if closed else value[start:]
        else:
            yield text.decode() if kind == "mark" else "atom" if kind == "text" else kind, text


def _comment_end(value: bytes, start: int) -> int:
    """Index behind the comment that opens at `start`; behind the end of the value when it never closes."""
    depth = 0
    for match in _PARENTHESIS.finditer(value, start):
        depth += (match[0] == b"(") - (match[0] == b")")
        if depth == 0:
            return match.end()
    return len(value) + 1


def _mailboxes(value: bytes) -> Iterator[Address]:
    """Each stretch of tokens between commas, and the ends of groups, as an address."""
    tokens: list[_Token] = []
    angle = ""  # empty outside of `<>`; inside the kind of the first token, or `<` before there is one
    for token in _tokens(value):
        kind = token[0]
        # In a route `<@a,@b:user@host>` (RFC 5322 4.4) commas belong to the address.
        if (kind in {",", ";"} and angle != "@") or (kind == ":" and not angle):
            # What stands before a colon names a group; with an `@` it pretends to be something else.
            if kind != ":" or any(k == "@" for k, _ in tokens):
                yield from _mailbox(tokens, broken=kind == ":")
            tokens, angle = [], ""
            continue
        if kind in {"<", ">"}:
            angle = kind.strip(">")
        elif angle == "<" and kind != "space":
            angle = kind
        if len(tokens) <= _MAX_TOKENS:
            tokens.append(token)
    yield from _mailbox(tokens, broken=False)


def _mailbox(tokens: list[_Token], *, broken: bool) -> Iterator[Address]:
    """The address that the tokens make: none, or one."""
    kinds = [kind for kind, _ in tokens]
    if all(kind == "space" for kind in kinds):
        return
    opening = kinds.index("<") if "<" in kinds else -1
    broken = broken or len(tokens) > _MAX_TOKENS
    email = b"" if broken else _angle(tokens[opening:], kinds[opening:]) if opening >= 0 else _spec(tokens)
    if not email:
        name = _phrase(tokens, shown=True)
        if any(letter.isalnum() for letter in name):
            # The null address `<>` of bounces leaves the name alone.
            yield Address("", name.removesuffix("<>").strip())
        return
    name = _phrase(tokens[:opening], shown=False) if opening >= 0 else ""
    comment = next((text for kind, text in tokens if kind == "comment"), b"")
    yield Address(charsets.decode(email, ""), name or words.decode(comment.strip()))


def _angle(tokens: list[_Token], kinds: list[str]) -> bytes:
    """The address between `<` and `>`, without an obsolete route; empty unless nothing can be mistaken."""
    if ">" not in kinds:
        return b""
    closing = kinds.index(">")
    if {"@", "<", ">", ")"} & set(kinds[closing + 1 :]):
        return b""
    inside = [token for token in tokens[1:closing] if token[0] != "space"]
    if inside and inside[0][0] == "@":
        colons = [i for i, token in enumerate(inside) if token[0] == ":"]
        inside = inside[colons[-1] + 1 :] if colons else []
    return _spec(inside)


def _spec(tokens: list[_Token]) -> bytes:
    """`local@domain`, if the tokens are that and nothing else but comments and space (RFC 5322 3.4.1)."""
    bare = [token for token in tokens if token[0] not in {"space", "comment"}]
    if [kind for kind, _ in bare[1:2]] != ["@"] or len(bare) != 3:
        return b""
    (kind, local), _, (ending, domain) = bare
    if kind not in {"atom", "quoted"} or ending not in {"atom", "literal"}:
        return b""
    if _FORBIDDEN.search(domain) or (kind == "atom" and _FORBIDDEN.search(local)) or b"\0" in local:
        return b""
    return (b'"%b"@%b' if kind == "quoted" else b"%b@%b") % (local, domain)


def _phrase(tokens: list[_Token], *, shown: bool) -> str:
    """The display name that the tokens make.

    :param shown: nothing could be read, so show everything, comments too.
    """
    pieces = []
    for kind, text in tokens:
        if kind == "space":
            pieces.append(b" ")
        elif kind == "quoted":
            pieces.append(_ESCAPED.sub(rb"\1", text))
        elif kind == "comment":
            pieces.append(b"(%b)" % text if shown else b"")
        else:
            pieces.append(text)
    return words.decode(b"".join(pieces).strip()).strip()
