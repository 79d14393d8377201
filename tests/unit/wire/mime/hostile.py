"""Mails made to hold up their reader. `python -m tests.unit.wire.mime.hostile` prints what each one costs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from airflow_email_conn.wire import mime
from airflow_email_conn.wire.mime.stream import PartScanner

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.model.message import Mail

__all__ = ["MAILS", "Hostile", "cpu", "read"]

MIXED = b"Content-Type: multipart/mixed; boundary=b\n\n"
MEGABYTE = 1_000_000


class Hostile(NamedTuple):
    """One kind of mail.

    :param build: a mail of about that many bytes.
    :param full: bytes of it that were seen, or that a sender may well send.
    :param defect: what the reader says of it, in part; empty where it is as a mail may be.
    """

    build: Callable[[int], bytes]
    full: int = 10 * MEGABYTE
    defect: str = ""


def repeated(piece: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    """One piece again and again."""
    return lambda size: before + piece * (size // len(piece)) + after


def numbered(piece: bytes, before: bytes = b"", *, step: int = 1) -> Callable[[int], bytes]:
    """As `repeated`, with `%d` in the piece counted up, or down."""
    width = len(piece) + 3
    return lambda size: before + b"".join([piece % i for i in range(size // width)][::step])


def part(encoding: bytes, piece: bytes, content_type: bytes = b"text/plain") -> Callable[[int], bytes]:
    """A mail of one body."""
    head = b"Content-Type: %b\nContent-Transfer-Encoding: %b\n\n" % (content_type, encoding)
    return repeated(piece, head)


def nested(size: int) -> bytes:
    """Multiparts in each other, each of its own boundary; none is ever closed."""
    one = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"
    return b"".join([one % (i, i) for i in range(size // len(one))])


def closed(size: int) -> bytes:
    """Parts that each open a hundred multiparts and close them all at once."""
    opened = nested(100 * 52)
    return (MIXED + b"--b\n" + opened) + (b"--b\n" + opened) * (size // len(opened))


MAILS = {
    "tiny parts": Hostile(repeated(b"--b\n\n", MIXED), 700_000, "more than 10000 parts"),
    "headers of parts": Hostile(
        repeated(b"--b\n" + b"X-Filling: %b\n" % (b"x" * 9_000) + b"\n", MIXED), defect="headers of the parts"
    ),
    "nested": Hostile(nested, 5 * MEGABYTE, "nested deeper"),
    "nested, closed, nested again": Hostile(closed, defect="nested deeper"),
    "nested under one boundary": Hostile(
        repeated(b"--b\n" + MIXED, MIXED), 3 * MEGABYTE, "more than 10000 parts"
    ),
    "mails in mails": Hostile(repeated(b"Content-Type: message/rfc822\n\n"), 3 * MEGABYTE),
    "nearly a boundary": Hostile(repeated(b"--b-\n", MIXED + b"--b\n\n"), defect="is not closed"),
    "nearly a boundary, in a header": Hostile(
        repeated(b"--b-\n", MIXED + b"--b\n"), defect="headers of the parts"
    ),
    "a boundary of dashes": Hostile(
        repeated(b"-" * 50 + b"\n", b"Content-Type: multipart/mixed; boundary=%b\n\n" % (b"-" * 60)),
        defect="never comes",
    ),
    "a header without end": Hostile(repeated(b"a", b"Subject: "), defect="the header is longer"),
    "a folded header": Hostile(repeated(b"\n a", b"Subject: a"), defect="the header is longer"),
    "Received lines": Hostile(repeated(b"Received: x\n"), 12 * MEGABYTE, "more than 5000 header fields"),
    "no fields": Hostile(repeated(b"x\n", b"Subject: a\n"), defect="no empty line"),
    "To headers": Hostile(repeated(b"To: a@b.c\n"), MEGABYTE, "several To headers"),
    "encoded words": Hostile(repeated(b"=?utf-8?q?a?= ", b"Subject: "), 224_000),
    "encoded words in turn": Hostile(repeated(b"=?utf-8?q?a?= =?big5?b?YQ?= ", b"Subject: "), 224_000),
    "encoded words without end": Hostile(repeated(b"=?utf-8?q?", b"Subject: "), 224_000),
    "charsets": Hostile(numbered(b"=?x-%d?q?=FF?= ", b"Subject: "), 224_000),
    "parameters": Hostile(numbered(b"; name%d=a", b"Content-Type: text/plain"), 400_000),
    "quotes in parameters": Hostile(repeated(b'\\"', b'Content-Type: text/plain; name="'), 400_000),
    "semicolons": Hostile(repeated(b";", b"Content-Type: text/plain"), 400_000),
    "spaces in parameters": Hostile(repeated(b" ", b"Content-Type: text/plain; name"), 400_000),
    "continuations backwards": Hostile(
        numbered(b"; name*%d*=a", b"Content-Type: text/plain", step=-1), 100_000 * 15
    ),
    "comments": Hostile(repeated(b"(", b"From: "), MEGABYTE, "too many addresses in From"),
    "comments, closed": Hostile(repeated(b"(a)", b"From: "), MEGABYTE, "too many addresses in From"),
    "angles": Hostile(repeated(b"<", b"From: "), MEGABYTE, "too many addresses in From"),
    "quotes": Hostile(repeated(b'"', b"From: "), MEGABYTE, "too many addresses in From"),
    "backslashes": Hostile(repeated(b"\\", b'From: "'), MEGABYTE, "too many addresses in From"),
    "groups": Hostile(repeated(b"a:", b"To: "), MEGABYTE, "too many addresses in To"),
    "addresses": Hostile(repeated(b"a@b.c, ", b"To: "), MEGABYTE, "too many addresses in To"),
    "Message-IDs": Hostile(repeated(b"<a@b>", b"References: "), MEGABYTE),
    "half a Message-ID": Hostile(repeated(b"<a", b"References: "), MEGABYTE),
    "a date of spaces": Hostile(repeated(b" ", b"Date: 1"), MEGABYTE),
    "soft line breaks": Hostile(part(b"quoted-printable", b"=\n")),
    "broken escapes": Hostile(part(b"quoted-printable", b"==4")),
    "padding": Hostile(part(b"quoted-printable", b" ")),
    "padding of lines": Hostile(part(b"quoted-printable", b"a \t \n")),
    "base64 digit by digit": Hostile(part(b"base64", b"A\n")),
    "base64 of nothing but padding": Hostile(part(b"base64", b"=", b"application/pdf")),
    "base64 in short groups": Hostile(part(b"base64", b"QQ==", b"application/pdf")),
    "uuencode without begin": Hostile(part(b"x-uuencode", b"M\n", b"application/pdf")),
    "uuencode, broken": Hostile(part(b"x-uuencode", b"begin 644 x\n~~\n", b"application/pdf")),
    "texts of no known charset": Hostile(
        numbered(b"--b\nContent-Type: text/plain; charset=x%d\n\n\xff\n", MIXED), 700_000, "does not fit"
    ),
    "UTF-7": Hostile(repeated(b"+", b"Content-Type: text/plain; charset=utf-7\n\n"), MEGABYTE),
    "line ends": Hostile(repeated(b"\n")),
    "line ends of an old Macintosh": Hostile(repeated(b"\r")),
    "one line": Hostile(repeated(b"x"), defect="no empty line"),
    "NUL": Hostile(repeated(b"\0"), defect="no empty line"),
}


def read(raw: bytes) -> tuple[Mail, PartScanner]:
    """The mail, read at once and in pieces."""
    scanner = PartScanner("1", lambda data: data)
    for at in range(0, len(raw), 64 * 1024):
        scanner.feed(raw[at : at + 64 * 1024])
    scanner.finish()
    return mime.parse(raw), scanner


def cpu(raw: bytes, times: int = 2) -> float:
    """Seconds of CPU that `read` takes, at best."""
    best = sys.float_info.max
    for _ in range(times):
        start = time.process_time()
        read(raw)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """A line for each kind: bytes, seconds of CPU, microseconds for a kilobyte."""
    print(f"{'mail, read by parse and by PartScanner':42}{'bytes':>12}{'s':>8}{'us/kB':>9}")
    for name, hostile in MAILS.items():
        raw = hostile.build(hostile.full)
        seconds = cpu(raw, 1)
        print(f"{name:42}{len(raw):12,}{seconds:8.2f}{seconds / len(raw) * 1e9:9.1f}")


if __name__ == "__main__":
    main()
