"""Content-Transfer-Encoding undone, in pieces of any size (RFC 2045 6): never raises."""

from __future__ import annotations

import binascii
import re
from functools import lru_cache
from typing import Protocol

from airflow_email_conn.wire.mime.uuencode import UuDecoder

__all__ = ["CHUNK", "TransferDecoder", "decode", "normalise"]

CHUNK = 64 * 1024  # bytes to feed at once: fits the cache; larger pieces decode slower

_ENCODING = re.compile(r"[a-z0-9-]+")
_SPELLINGS = {
    "base-64": "base64",
    "quoted": "quoted-printable",  # `quoted printable`, with a space
    "quotedprintable": "quoted-printable",
    "uue": "x-uuencode",
    "uuencode": "x-uuencode",
    "x-uue": "x-uuencode",
}

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_NOT_BASE64_OR_PAD = bytes(set(range(256)) - set(_BASE64 + b"="))

_QP_BROKEN = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")
_QP_HALF = re.compile(rb"=[0-9A-Fa-f]")
_QP_SOFT = re.compile(rb"=[ \t]+(?=\r?\n)")
_QP_PADDED = re.compile(rb"(?<![ \t])[ \t]+(?=\r?\n)")
# Looks back from each line end, since there are fewer of them than spaces.
_QP_PADDING = re.compile(rb"\n(?:(?<=[ \t]\n)|(?<=[ \t]\r\n))")
# Bytes of white space that may be padding; more is text. Not less than what a decoder is fed at once, so that
# it does not matter where the data is cut.
_QP_PADDING_LIMIT = 2 * CHUNK


@lru_cache(maxsize=64)
def normalise(encoding: str) -> str:
    """The encoding in lower case, without what some senders write behind it; `7bit` when there is none."""
    match = _ENCODING.search(encoding[:100].lower())
    name = match[0] if match else "7bit"
    return _SPELLINGS.get(name, name)


def decode(data: bytes, encoding: str) -> bytes:
    """The decoded bytes of a whole body."""
    decoder = TransferDecoder(encoding)
    return decoder.feed(data) + decoder.finish()


class TransferDecoder:
    """Decodes a body that comes in pieces; the result does not depend on where they are cut.

    What is broken is read as far as it goes: strange characters in base64 are passed over, broken `=`
    sequences of quoted-printable are kept, an unknown encoding changes nothing.

    :param encoding: Content-Transfer-Encoding, in any spelling that is seen.
    """

    def __init__(self, encoding: str) -> None:
        name = normalise(encoding)
        self._decoder: _Decoder = _DECODERS.get(name, _Identity)()

    def feed(self, data: bytes) -> bytes:
        """The bytes that can be told after this piece."""
        if len(data) <= 2 * CHUNK:
            return self._decoder.feed(data)
        feed = self._decoder.feed
        return b"".join([feed(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)])

    def finish(self) -> bytes:
        """The bytes that waited for more; call it once, at the end."""
        return self._decoder.finish()


class _Decoder(Protocol):
    """One encoding."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Identity:
    """7bit, 8bit, binary, and whatever nobody knows."""

    def feed(self, data: bytes) -> bytes:
        """The data itself."""
        return data

    def finish(self) -> bytes:
        """Nothing is ever held back."""
        return b""


class _Base64:
    """RFC 2045 6.8. Padding ends a group, and data may go on behind it: some senders encode in pieces."""

    def __init__(self) -> None:
        self._held = b""  # the last line as far as it came

    def feed(self, data: bytes) -> bytes:
        data = self._held + data if self._held else data
        cut = data.rfind(b"\n") + 1
        if cut and b"=" not in data:
            try:
                # Lines of whole groups, as all usual senders write them: binascii skips the line ends itself.
                decoded = binascii.a2b_base64(memoryview(data)[:cut])
            except binascii.Error:
                pass
            else:
                # Without the rest being cleaned, spaces that come one by one would be copied ever again.
                self._held = data[cut:].translate(None, _NOT_BASE64)
                return decoded
        return self._slow(data)

    def _slow(self, data: bytes) -> bytes:
        *ended, rest = data.translate(None, _NOT_BASE64_OR_PAD).split(b"=")
        out = [_group(digits) for digits in ended if digits]
        whole = len(rest) - len(rest) % 4
        out.append(binascii.a2b_base64(rest[:whole]))
        self._held = rest[whole:]
        return b"".join(out)

    def finish(self) -> bytes:
        """What an unfinished group holds."""
        held, self._held = self._held, b""
        return _group(held)


def _group(digits: bytes) -> bytes:
    """Digits whose last group may be short; a single one there holds no byte."""
    short = len(digits) % 4
    return binascii.a2b_base64(digits[:-1] if short == 1 else digits + b"=" * (-short % 4))


class _QuotedPrintable:
    """RFC 2045 6.7."""

    def __init__(self) -> None:
        self._held: list[bytes] = []  # a tail whose meaning the next byte decides
        self._holding = 0  # bytes of it
        self._text = False  # the white space that goes on here is too long for padding

    def feed(self, data: bytes) -> bytes:
        if not (self._held or self._text):
            return self._feed(data)
        space = len(data) - len(data.lstrip(b" \t\r"))
        self._holding += space
        if self._text or self._holding > _QP_PADDING_LIMIT:
            out = b"".join([*self._held, data[:space]])
            self._held = []
            self._text = space == len(data)
            return out if self._text else out + self._feed(data[space:])
        if space == len(data):
            self._held.append(data)  # joined only when the run of space ends: linear also byte by byte
            return b""
        return self._feed(data)

    def _feed(self, data: bytes) -> bytes:
        """As much as can be told, with what was held."""
        data = b"".join([*self._held, data])
        cut = len(data.rstrip(b" \t\r"))
        if data[cut - 1 : cut] == b"=":
            cut -= 1
        elif _QP_HALF.fullmatch(data[-2:]):
            cut -= 2
        self._held = [data[cut:]] if cut < len(data) else []
        self._holding = len(data) - cut
        return _unquoted(data[:cut])

    def finish(self) -> bytes:
        """A last `=` is a soft line break whose line end belongs to the boundary."""
        data = b"".join(self._held)
        self._held = []
        if data.startswith(b"=") and not data[1:].strip(b" \t\r"):
            return b""
        return _unquoted(data)


def _unquoted(data: bytes) -> bytes:
    """Quoted-printable that is cut where its meaning cannot change."""
    if _QP_PADDING.search(data):
        data = _QP_SOFT.sub(b"=", data)
        data = _QP_PADDED.sub(b"", data)  # added on the way, RFC 2045 6.7 (3)
    # binascii takes liberties with broken sequences (`=\r` swallows a line): write the sign out for it.
    return binascii.a2b_qp(_QP_BROKEN.sub(b"=3D", data))


_DECODERS: dict[str, type[_Base64 | _QuotedPrintable | UuDecoder]] = {
    "base64": _Base64,
    "quoted-printable": _QuotedPrintable,
    "x-uuencode": UuDecoder,
}
