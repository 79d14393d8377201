"""Encoded words (RFC 2047): header text that was squeezed into ASCII, and what senders make of it."""

from __future__ import annotations

import binascii
import re

from airflow_email_conn.wire.mime import charsets

__all__ = ["clean", "decode"]

# `=?charset*language?B or Q?text?=`. The text may hold spaces and, up to eight times, a `?`: senders do it.
# The bound keeps a header of unfinished words linear. `=?` inside is the start of the next word.
_WORD = re.compile(
    rb"=\?([^?\s*]{1,75})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*(?:(?<!=)\?(?!=)[^?]*){0,8})\?=",
)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
# C0, DEL, C1 and the two Unicode line ends: what could break a line, a log or a terminal.
_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
_ASCII_CONTROLS = bytes.maketrans(bytes([*range(0x20), 0x7F]), b" " * 33)


def decode(value: bytes) -> str:
    """Text of an unfolded header value, on one line: without NUL, CR, LF and other control characters.

    Adjacent words lose the space between them, and are joined before they are decoded when they share a
    charset: many senders cut words in the middle of a character. Raw 8-bit text is UTF-8, else windows-1252.
    """
    if b"=?" not in value and value.isascii():  # as nearly every header is
        return value.translate(_ASCII_CONTROLS).decode("ascii")
    return clean("".join([charsets.decode(data, charset) for charset, data in _runs(value)]))


def clean(text: str) -> str:
    """The text with every control character and line end turned into a space."""
    return text if text.isprintable() else _CONTROLS.sub(" ", text)


def _runs(value: bytes) -> list[tuple[str, bytes]]:
    """Stretches of one charset, empty for plain text, in order."""
    runs: list[tuple[bytes, list[bytes]]] = []
    end = 0
    word = False  # the last run is made of words
    for match in _WORD.finditer(value):
        start = match.start()
        if start > end and not (word and value[end:start].isspace()):
            runs.append((b"", [value[end:start]]))
            word = False
        charset, way, text = match.groups()
        data = _base64(text) if way in b"bB" else binascii.a2b_qp(text, header=True)
        if word and runs[-1][0] == charset.lower():
            runs[-1][1].append(data)
        else:
            runs.append((charset.lower(), [data]))
        word = True
        end = match.end()
    if end < len(value):
        runs.append((b"", [value[end:]]))
    return [(label.decode("ascii", "replace"), b"".join(run)) for label, run in runs]


def _base64(text: bytes) -> bytes:
    """Base64 with broken padding or strange characters."""
    try:
        return binascii.a2b_base64(text)
    except binascii.Error:
        digits = text.translate(None, _NOT_BASE64)
        whole = len(digits) - (len(digits) % 4 == 1)  # a lone last digit holds no byte
        return binascii.a2b_base64(digits[:whole] + b"==")
