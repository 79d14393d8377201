"""Headers with parameters: Content-Type and Content-Disposition (RFC 2045 5.1, 2183, 2231)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_email_conn.wire.mime import charsets, words

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_PARAMETERS", "decode_parameters", "parse_parameters", "split_parameters"]

MAX_PARAMETERS = 500  # of one header; a file name of 255 characters in continuations takes about 20

# The short way for what nearly every header holds, none or one: `text/plain; charset="utf-8"`.
_PLAIN = re.compile(rb'([^\s;="]+)(?:;[ \t]*([^\s=;"]+)=(?:"([^"\\]*)"|([^\s;"\\]+)))?')
_VALUE = re.compile(rb"[^\s;]*")
_QUOTED = (
    rb'"([^"\\]*(?:\\.[^"\\]*){0,1000})"'  # the bound limits the memory that escapes take in the matcher
)
_PARAMETER = re.compile(rb'[;\s]\s*([^\s=;"]+)\s*=\s*(?:' + _QUOTED + rb"|([^;]*))", re.DOTALL)
# Only these two: many senders put a whole Windows path in quotes, with bare backslashes.
_ESCAPED = re.compile(rb'\\(["\\])')
_SECTION = re.compile(rb"([^*]+)(?:\*(\d{1,4}))?(\*)?")  # RFC 2231 3 and 4: name*7*
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def parse_parameters(value: bytes) -> tuple[str, dict[str, str]]:
    """The value before the first `;` in lower case, and the decoded parameters by lower-case name."""
    if not value:
        return "", {}
    main, pairs = split_parameters(value)
    return main, decode_parameters(pairs) if pairs else {}


def split_parameters(value: bytes) -> tuple[str, list[tuple[bytes, bytes]]]:
    """As `parse_parameters`, with names and values raw, only unquoted. At most MAX_PARAMETERS."""
    plain = _PLAIN.fullmatch(value)
    if plain:
        main, name, quoted, bare = plain.groups()
        return main.decode("ascii", "replace").lower(), [(name, quoted or bare or b"")] if name else []
    head = _VALUE.match(value)
    main = head[0] if head else b""
    at = len(main)
    if b"=" in main:  # `Content-Disposition: filename=x`: the value was forgotten
        main, value, at = b"", b";" + value, 0
    pairs: list[tuple[bytes, bytes]] = []
    for _ in range(MAX_PARAMETERS):
        match = _PARAMETER.match(value, at)
        if match:
            name, quoted, bare = match.groups()
            # An unquoted value may hold spaces: `filename=my file.pdf` is wrong and common.
            text = bare.strip().strip(b'"') if quoted is None else quoted
            pairs.append((name, _ESCAPED.sub(rb"\1", text) if b"\\" in text else text))
        at = value.find(b";", match.end() if match else at + 1)
        if at < 0:
            break
    return main.decode("ascii", "replace").lower(), pairs


def decode_parameters(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Decoded parameters by lower-case name, from raw pairs as in the header or in an IMAP BODYSTRUCTURE.

    Continuations are put together and percent signs resolved (RFC 2231); encoded words, forbidden here and
    seen everywhere, are decoded; raw 8-bit is UTF-8 or windows-1252. Where a name comes twice, the extended
    form wins over the plain one, and the first over the second.
    """
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, bytes]]] = {}
    for raw_name, value in pairs:
        match = _SECTION.fullmatch(raw_name) if b"*" in raw_name else None
        if match is None or (match[2] is None and match[3] is None):
            name = raw_name.decode("ascii", "replace").lower()
            if name not in plain:
                plain[name] = words.decode(value)
        else:
            name = match[1].decode("ascii", "replace").lower()
            index = int(match[2] or 0)
            sections.setdefault(name, {}).setdefault(index, (match[3] is not None, value))
    for name, found in sections.items():
        plain[name] = _joined(found)
    return plain


def _joined(found: dict[int, tuple[bool, bytes]]) -> str:
    """One value from its sections (RFC 2231 4.1): the first one names the charset."""
    ordered = [found[index] for index in sorted(found)]
    extended, first = ordered[0]
    charset = b""
    if extended and first.count(b"'") >= 2:
        charset, _, first = first.split(b"'", 2)
        ordered[0] = (True, first)
    data = b"".join([_unescaped(value) if percent else value for percent, value in ordered])
    if not any(percent for percent, _ in ordered):
        return words.decode(data)  # cut in pieces by one standard, encoded by another
    return words.clean(charsets.decode(data, charset.decode("ascii", "replace")))


def _unescaped(value: bytes) -> bytes:
    """Percent escapes resolved (RFC 2231 4); what is no escape stays."""
    return _PERCENT.sub(lambda match: bytes.fromhex(match[1].decode()), value)
