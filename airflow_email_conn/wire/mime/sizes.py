"""The size of a decoded file, by counting instead of decoding: exact for what usual senders write."""

from __future__ import annotations

from typing import Protocol

from airflow_email_conn.wire.mime.transfer import TransferDecoder

__all__ = ["Measure", "measure"]


class Measure(Protocol):
    """Counts one body; the result does not depend on where its bytes are cut."""

    def feed(self, data: bytes, start: int, end: int) -> None:
        """The next encoded bytes: `data[start:end]`, which is not copied."""

    def size(self) -> int:
        """Bytes of the decoded file, when that was all."""


def measure(encoding: str) -> Measure:
    """A new count, for a Content-Transfer-Encoding as `transfer.normalise` gives it."""
    if encoding == "base64":
        return _Base64()
    if encoding == "quoted-printable":
        return _QuotedPrintable()
    return _Uuencode() if encoding == "x-uuencode" else _Identity()


class _Identity:
    """7bit, 8bit, binary, and whatever nobody knows."""

    def __init__(self) -> None:
        self._bytes = 0

    def feed(self, data: bytes, start: int, end: int) -> None:  # noqa: ARG002
        self._bytes += end - start

    def size(self) -> int:
        return self._bytes


class _Base64:
    """Four digits are three bytes; the end may be padded."""

    def __init__(self) -> None:
        self._digits = 0
        self._last = b""

    def feed(self, data: bytes, start: int, end: int) -> None:
        self._digits += end - start - data.count(b"\n", start, end) - data.count(b"\r", start, end)
        self._last = (self._last + data[max(start, end - 8) : end])[-8:]

    def size(self) -> int:
        return max(self._digits - self._last.count(b"="), 0) * 3 // 4


class _QuotedPrintable:
    """An escape, `=3D`, is one byte of three; a soft line break, `=` and the line end, is none."""

    def __init__(self) -> None:
        self._bytes = 0
        self._last = b""

    def feed(self, data: bytes, start: int, end: int) -> None:
        breaks = data.count(b"=\r\n", start, end) + (self._last + data[start : min(start + 2, end)]).count(
            b"=\r\n"
        )
        self._bytes += end - start - 2 * data.count(b"=", start, end) - breaks
        self._last = (self._last + data[max(start, end - 2) : end])[-2:]

    def size(self) -> int:
        # A last `=` is a soft line break whose line end is the delimiter's.
        return max(self._bytes + self._last.endswith(b"="), 0)


class _Uuencode:
    """Too rare and too irregular to count."""

    def __init__(self) -> None:
        self._decoder = TransferDecoder("x-uuencode")
        self._bytes = 0

    def feed(self, data: bytes, start: int, end: int) -> None:
        self._bytes += len(self._decoder.feed(data[start:end]))

    def size(self) -> int:
        return self._bytes + len(self._decoder.finish())
