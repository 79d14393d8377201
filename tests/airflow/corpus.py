"""Mails as people, programs and attackers send them, with files of odd names."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

from tests.contract.mails import CSV, PNG

__all__ = ["ANSWERED", "FORWARDED", "SENDER", "corpus"]

SENDER = "bob@example.test"
_HEAD = f"From: Bob <{SENDER}>\r\nTo: alice@example.test\r\nDate: Sat, 14 Mar 2026 10:26:53 +0100\r\n"
_ICS = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@acme.com\r\n"
    b"SUMMARY:Gr\xc3\xbc\xc3\x9fe\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
#: File names that are paths, that file systems refuse or take for equal, and that mislead people.
_NAMES = (
    "../../etc/passwd",
    "a/b\\c.txt",
    "C:\\Users\\x\\report.csv",
    "report.csv",
    "report.csv",
    "REPORT.CSV",
    "_manifest.json",
    "mail.eml",
    ".hidden",
    "CON",
    "nul.txt",
    "trailing dot.",
    "two  blanks.txt",
    "Übersicht für März €.csv",
    "日本語の請求書.pdf",
    "🧾.txt",
    "invoice\u202efdp.exe",
    "x" * 120 + ".csv",
    "ß" * 150 + ".csv",
    "{{ 7 * 7 }}.txt",
    "%2e%2e%2fx.txt",
    "a;b,c'd\"e.txt",
)
#: How many of the mails have files, and were not sent by a program.
ANSWERED = 7
#: Where the forwarded mail goes, below a folder of storage.
FORWARDED = "dt=2026-03-14/forward@acme.com/April.eml"


def corpus() -> list[bytes]:
    """The mails, in order of arrival."""
    return [
        _everything(),
        _forwarded(),
        _odd_names(),
        _rfc2231(),
        _one_file(),
        _raw_utf8(),
        _automatic(),
        _calendar(),
        f"{_HEAD}Subject: no files\r\nMessage-ID: <none@acme.com>\r\n\r\nHi\r\n".encode(),
    ]


def _message(subject: str, message_id: str, text: str = "Grüße\n.\nFrom here on\n") -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"Bob Müller <{SENDER}>"
    mail["To"] = "alice@example.test"
    mail["Subject"] = subject
    mail["Date"] = "Sat, 14 Mar 2026 10:26:53 +0100"
    mail["Message-ID"] = f"<{message_id}@acme.com>"
    mail.set_content(text)
    return mail


def _everything() -> bytes:
    """Text, HTML, a picture in it, and files: an empty one and a large one too."""
    mail = _message("Rechnung für März € 2026", "everything")
    mail["Cc"] = "Carol <carol@example.test>"
    mail["In-Reply-To"] = "<order-7@example.test>"
    mail["References"] = "<order-6@example.test> <order-7@example.test>"
    mail.add_alternative('<p>Grüße</p><img src="cid:logo@acme">', subtype="html")
    html = mail.get_body(["html"])
    assert html is not None
    html.add_related(PNG, "image", "png", cid="<logo@acme>", filename="logo.png", disposition="inline")
    mail.add_attachment(CSV, "text", "csv", filename="rechnung märz.csv")
    mail.add_attachment(b"", "application", "zip", filename="empty.zip")
    mail.add_attachment(bytes(range(256)) * 4096, "application", "octet-stream", filename="large.bin")
    return mail.as_bytes()


def _forwarded() -> bytes:
    """A mail as a file, which has a file of its own."""
    mail = _message("Fwd: The order", "forward")
    inner = _message("The order: März/April", "inner", "order\n")
    inner.add_attachment(b"inner", "application", "pdf", filename="inner.pdf")
    mail.add_attachment(inner)
    return mail.as_bytes()


def _odd_names() -> bytes:
    """Each file holds its number."""
    mail = _message("Odd names", "odd")
    for number, name in enumerate(_NAMES):
        mail.add_attachment(f"{number}\n".encode(), "application", "octet-stream", filename=name)
    return mail.as_bytes()


def _rfc2231() -> bytes:
    """Names in the older ways: continued, in another charset, as encoded words; and 8-bit text."""
    parts = [
        (b"filename*0*=utf-8''r%C3%A9;\r\n filename*1=sum; filename*2*=%C3%A9.csv", b"1\r\n"),
        (b"filename*=iso-8859-1''gr%FC%DFe.csv", b"2\r\n"),
        (b'filename="=?utf-8?Q?f=C3=BCr.csv?="', b"3\r\n"),
        (
            b"filename=quoted.csv\r\nContent-Transfer-Encoding: quoted-printable",
            b"=C3=A4;1=0D=0A=\r\n2\r\n",
        ),
    ]
    body = b"".join(
        b"--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; " + name + b"\r\n\r\n" + content
        for name, content in parts
    )
    head = f"{_HEAD}Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\nMessage-ID: <rfc2231@acme.com>\r\n"
    mixed = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    return head.encode() + mixed + body + b"--b--\r\n"


def _one_file() -> bytes:
    """A mail that is nothing but a file, as scanners send it."""
    return (
        f"{_HEAD}Subject: Scan\r\nMessage-ID: <scan/1?x=%2F@acme.com>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename=scan.pdf\r\n\r\nJVBERi0xLjcK\r\n"
    ).encode()


def _raw_utf8() -> bytes:
    """Headers in UTF-8 (RFC 6532)."""
    return (
        f"{_HEAD}Subject: Grüße 日本\r\nMessage-ID: <raw@acme.com>\r\nMIME-Version: 1.0\r\n"
        "Reply-To: Jörg <bob@example.test>\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nHi\r\n'
        "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nä\r\n"
        "--b--\r\n"
    ).encode()


def _automatic() -> bytes:
    """One that nobody answers."""
    mail = _message("Out of office", "auto")
    mail["Auto-Submitted"] = "auto-replied"
    mail.add_attachment(b"x", "text", "plain", filename="note.txt")
    return mail.as_bytes()


def _calendar() -> bytes:
    """An invitation as a file."""
    mail = _message("Invitation", "calendar")
    mail.add_attachment(
        _ICS, "text", "calendar", filename="Einladung für Bob.ics", params={"method": "REQUEST"}
    )
    return mail.as_bytes()
