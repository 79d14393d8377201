"""The mailboxes of the bench, written straight into Dovecot's Maildirs: APPEND takes a minute for 10,000."""

from __future__ import annotations

import base64
import os
import random
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "ATTACHMENTS",
    "CONNECTIONS",
    "LARGE",
    "MANY",
    "PATTERN",
    "SENDER",
    "many",
    "one_large",
    "with_pdfs",
    "write",
]

SENDER = "reports@partner.example"
PATTERN = "report-*.csv"
MANY = 10_000
#: Attachments of all of `many`.
ATTACHMENTS = 1_300
#: Bytes of the large attachment.
LARGE = 100_000_000
#: How often a job signs in that only signs in.
CONNECTIONS = 100

_RECEIVED = 1_772_000_000  # of the first mail; the others follow minute by minute
_PDF = 5_000_000
_PDFS, _WITH_PDF = 300, 10  # mails, and every how manyth has a PDF and a report

_HEADER = """\
Return-Path: <bounce-%(number)d@%(domain)s>
Delivered-To: team@example.test
Received: from mx7.%(domain)s (mx7.%(domain)s [192.0.2.77])
\tby mail.example.test (Postfix) with ESMTPS id 4F%(number)08XzQ
\tfor <team@example.test>; Sat, 14 Mar 2026 10:26:53 +0100 (CET)
Received: from app-%(number)d.%(domain)s (unknown [198.51.100.23])
\tby mx7.%(domain)s (Postfix) with ESMTP id 9A%(number)08XyK
\tfor <team@example.test>; Sat, 14 Mar 2026 10:26:52 +0100 (CET)
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=%(domain)s; s=mail2026;
\tt=1772000000; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;
\th=From:To:Subject:Date:Message-ID:MIME-Version:Content-Type;
\tb=%(noise)s
Authentication-Results: mail.example.test; dkim=pass header.d=%(domain)s; spf=pass
From: %(name)s <%(sender)s>
To: Team <team@example.test>, Other <other-%(number)d@example.test>
Subject: %(subject)s %(number)d
Date: Sat, 14 Mar 2026 10:26:53 +0100
Message-ID: <%(number)06d.1772000000@%(domain)s>
X-Mailer: Report Engine 7.2
MIME-Version: 1.0
"""
_SUBJECTS = ("Report of the day", "=?utf-8?q?Rechnung_f=C3=BCr_M=C3=A4rz?=", "Re: the meeting on Monday")
_NAMES = ("Ann Example", '"Example, Bob"', "=?utf-8?q?J=C3=BCrgen_Beispiel?=")
_BOUNDARY = "=_bench_boundary_7d1f"


def many() -> Iterator[bytes]:
    """10,000 mails of 4.5 kB on average; 200 are of SENDER, 60 of these have a report, as 240 others do."""
    chance = random.Random(4)
    for number in range(MANY):
        ours = number % 50 == 7
        sender = SENDER if ours else f"user{number % 331}@sender{number % 97}.example"
        report = number // 50 % 10 in {0, 3, 6} if ours else number % 50 in {13, 41} and number < 6_000
        yield _mail(chance, number, sender, report=report, pdf=not report and number % 10 == 5)


def with_pdfs() -> Iterator[bytes]:
    """300 mails of SENDER, every tenth with a PDF of 5 MB and a report of 3 kB."""
    chance = random.Random(5)
    pdf = _file("application/pdf", "scan.pdf", chance.randbytes(_PDF))
    for number in range(_PDFS):
        if number % _WITH_PDF:
            yield _mail(chance, number, SENDER)
        else:
            report = _file("text/csv", f"report-{number:04}.csv", _csv(chance, 3_000))
            yield _multipart(chance, number, SENDER, [_text(chance), pdf, report])


def one_large() -> Iterator[bytes]:
    """One mail with an attachment of 100 MB."""
    large = _file("application/octet-stream", "large.bin", os.urandom(LARGE))
    yield _multipart(random.Random(6), 1, SENDER, [_text(random.Random(6)), large])


def write(directory: Path, mails: Iterable[bytes]) -> None:
    """Fill a Maildir, as Dovecot itself would have."""
    for name in ("cur", "new", "tmp"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for number, mail in enumerate(mails):
        # S and W save Dovecot from counting; W is the size with CRLF.
        size = f"S={len(mail)},W={len(mail) + mail.count(10)}"
        path = directory / f"cur/{_RECEIVED + 60 * number}.M{number}P1.bench,{size}:2,S"
        path.write_bytes(mail)
        os.utime(path, (_RECEIVED + 60 * number, _RECEIVED + 60 * number))  # INTERNALDATE
        shutil.chown(path, "mail", "mail")
    for path in (directory, *(directory / name for name in ("cur", "new", "tmp"))):
        shutil.chown(path, "mail", "mail")


def _mail(
    chance: random.Random, number: int, sender: str, *, report: bool = False, pdf: bool = False
) -> bytes:
    if report:
        parts = [_text(chance), _file("text/csv", f"report-{number:04}.csv", _csv(chance, 1_600))]
    elif pdf:
        parts = [_text(chance), _file("application/pdf", f"invoice-{number}.pdf", chance.randbytes(2_000))]
    elif number % 3 == 0:
        return _multipart(chance, number, sender, [_text(chance), _html(chance)], "alternative")
    else:
        return _header(chance, number, sender) + _text(chance)
    return _multipart(chance, number, sender, parts)


def _header(chance: random.Random, number: int, sender: str) -> bytes:
    noise = base64.b64encode(chance.randbytes(256)).decode()
    values = {
        "number": number,
        "sender": sender,
        "domain": sender.partition("@")[2],
        "name": _NAMES[number % len(_NAMES)],
        "subject": _SUBJECTS[number % len(_SUBJECTS)],
        "noise": "\n\t ".join(noise[at : at + 70] for at in range(0, len(noise), 70)),
    }
    return (_HEADER % values).encode("ascii")


def _multipart(
    chance: random.Random, number: int, sender: str, parts: Iterable[bytes], kind: str = "mixed"
) -> bytes:
    separator = f"\n--{_BOUNDARY}\n".encode()
    opening = f'Content-Type: multipart/{kind}; boundary="{_BOUNDARY}"\n'.encode()
    body = separator.join([opening, *parts])
    return _header(chance, number, sender) + body + f"\n--{_BOUNDARY}--\n".encode()


def _text(chance: random.Random) -> bytes:
    lines = "".join(f"{_words(chance)}\n" for _ in range(chance.randrange(20, 50)))
    return (
        f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n{lines}".encode()
    )


def _html(chance: random.Random) -> bytes:
    lines = "".join(f"<p class=3D'x'>{_words(chance)}</p>=\n" for _ in range(30))
    head = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    return f"{head}<html>{lines}</html>\n".encode()


def _words(chance: random.Random) -> str:
    return " ".join(chance.choices(("report", "invoice", "the", "of", "Monday", "please", "zebra"), k=9))


def _csv(chance: random.Random, size: int) -> bytes:
    rows = b"".join(b"%d;%d;item\r\n" % (chance.randrange(10**6), at) for at in range(size // 8))
    return rows[:size]


def _file(content_type: str, name: str, content: bytes) -> bytes:
    head = (
        f'Content-Type: {content_type}; name="{name}"\nContent-Transfer-Encoding: base64\n'
        f'Content-Disposition: attachment; filename="{name}"\n\n'
    )
    return head.encode() + base64.encodebytes(content)
