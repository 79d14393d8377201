"""A draft turned into the mail that goes out (RFC 5322, RFC 2045 to 2049), in pieces.

Nothing here holds an attachment as a whole, reads a clock or makes up a name: what must be new in each mail
is handed in.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, TypeAlias, final

from airflow_email_conn.errors import DraftError
from airflow_email_conn.wire.compose.enclosures import Enclosure
from airflow_email_conn.wire.compose.fields import check_text, parameter_field
from airflow_email_conn.wire.compose.letterhead import Letterhead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from airflow_email_conn.model.draft import Draft

__all__ = ["Composed", "Separate", "check", "compose"]

_MAX_LINE = 998  # octets without CRLF, RFC 5322 2.1.1
_MAX_FILES = 200  # each is an open file until the mail is sent
_NEWLINE = re.compile(r"\r\n|\r|\n")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
_SEED = re.compile(r"[A-Za-z0-9]{1,40}")

_Piece: TypeAlias = "bytes | Enclosure"


@final
@dataclass(frozen=True, slots=True)
class Separate:
    """A file that goes out beside the mail; its size is known.

    :param content_id: of a picture in the text, without angle brackets; else empty.
    """

    file: Enclosure
    content_id: str = ""


@final
@dataclass(frozen=True, slots=True)
class Composed:
    """A mail ready to be sent, with its files open: use it as a context manager.

    :param sender: envelope address (MAIL FROM).
    :param recipients: envelope addresses, each once, in the order to, cc, bcc; domains in ASCII.
    :param message_id: with angle brackets.
    :param needs_utf8: an address has a local part that only SMTPUTF8 can carry (RFC 6531).
    :param size: bytes of the whole mail, for SIZE= (RFC 1870); None when a file does not know its own.
    :param left_out: files that are not among the pieces, since the mail would be too large with them.
    """

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    needs_utf8: bool
    size: int | None
    _pieces: tuple[_Piece, ...] = field(repr=False)
    _files: ExitStack = field(repr=False)
    left_out: tuple[Separate, ...] = ()

    def pieces(self) -> Iterator[bytes]:
        """The mail, lines ended by CRLF and at most 998 octets long; once.

        :raises DraftError: a file cannot be read any more.
        """
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece.pieces()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def __enter__(self) -> Composed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def compose(
    draft: Draft,
    *,
    sender: str,
    date: datetime,
    message_id: str,
    boundary_seed: str,
    utf8: bool,
    by_header: bool = False,
    at_most: int | None = None,
) -> Composed:
    """Compose a mail. Every file is open and every field checked when this returns.

    :param sender: the From address where the draft has none, as `a@b.c` or `Name <a@b.c>`.
    :param date: with a time zone.
    :param message_id: where the draft has none.
    :param boundary_seed: letters and digits that no text contains by chance: 16 random ones or more.
    :param utf8: whether the server offers SMTPUTF8.
    :param by_header: there is no envelope: the server delivers by the header, and takes Bcc out of it.
    :param at_most: bytes; the largest files are left out, until the rest is no longer than that.
    :raises DraftError: names the field.
    """
    head = Letterhead.of(
        draft, sender=sender, date=format_datetime(date), message_id=message_id, by_header=by_header
    )
    if head.utf8_address and not utf8:
        raise DraftError(
            f"{head.utf8_address[0]}: {head.utf8_address[1]!r} needs a server that offers SMTPUTF8 "
            "(RFC 6531): this one does not, Microsoft 365 never does"
        )
    with ExitStack() as files:
        body = _Body(draft, boundary_seed, files)
        left_out = () if at_most is None else body.leave_out(at_most - len(head.fields))
        pieces = (head.fields, *body.parts())
        return Composed(
            sender=head.sender,
            recipients=head.recipients,
            message_id=head.message_id,
            needs_utf8=bool(head.utf8_address),
            size=_size(pieces),
            _pieces=pieces,
            _files=files.pop_all(),
            left_out=left_out,
        )


def _size(pieces: Iterable[_Piece]) -> int | None:
    sizes = [len(piece) if isinstance(piece, bytes) else piece.encoded_size for piece in pieces]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def check(draft: Draft, *, sender: str) -> None:
    """Raise what `compose` would raise, before a connection is made.

    :param sender: as for `compose`.
    :raises DraftError: names the field.
    """
    when = datetime(2000, 1, 1, tzinfo=timezone.utc)
    compose(
        draft, sender=sender, date=when, message_id="<check@localhost>", boundary_seed="check", utf8=True
    ).close()


class _Body:
    """The MIME tree: mixed(alternative(text, related(html, pictures...)), files...), as much as is needed."""

    def __init__(self, draft: Draft, seed: str, files: ExitStack) -> None:
        if not _SEED.fullmatch(seed):
            raise ValueError("boundary_seed: letters and digits are needed")
        self._draft, self._seed, self._files = draft, seed, files
        self._boundaries = 0
        attached = _list(draft.attachments)
        if len(attached) + len(draft.inline) > _MAX_FILES:
            raise DraftError(f"attachments: more than {_MAX_FILES} files")
        if draft.inline and not draft.html:
            raise DraftError("inline: pictures need an html that shows them")
        self._pictures = [Separate(self._open("inline", i), _content_id(c)) for c, i in draft.inline.items()]
        self._attached = [Separate(self._open("attachments", item)) for item in attached]

    def parts(self) -> list[_Piece]:
        """All of it, beginning with the MIME header fields of the mail itself."""
        self._boundaries = 0
        content = self._content()
        if self._attached:
            content = self._multipart("mixed", [content, *map(_file, self._attached)])
        return content

    def leave_out(self, at_most: int) -> tuple[Separate, ...]:
        """Take out the largest files, until the rest has no more bytes than that, if it can be."""
        everything = [*self._pictures, *self._attached]
        for each in everything:
            each.file.measure()
        size = _size(self.parts()) or 0
        out: list[Separate] = []
        for each in sorted(everything, key=lambda each: each.file.size or 0, reverse=True):
            if size <= at_most:
                break
            out.append(each)
            size -= each.file.encoded_size or 0
        self._pictures = [each for each in self._pictures if each not in out]
        self._attached = [each for each in self._attached if each not in out]
        return tuple(each for each in everything if each in out)

    def _content(self) -> list[_Piece]:
        draft = self._draft
        if not draft.html:
            return _text("plain", "text", draft.text)
        html = _text("html", "html", draft.html)
        if self._pictures:
            html = self._multipart("related", [html, *map(_file, self._pictures)], ("type", "text/html"))
        if not draft.text:
            return html
        return self._multipart("alternative", [_text("plain", "text", draft.text), html])

    def _open(self, name: str, item: object) -> Enclosure:
        file = Enclosure.open(name, item)
        self._files.callback(file.close)
        return file

    def _multipart(
        self, subtype: str, parts: list[list[_Piece]], *parameters: tuple[str, str]
    ) -> list[_Piece]:
        # "=_" can stand in neither quoted-printable nor base64 (RFC 2045 6.7).
        self._boundaries += 1
        boundary = f"=_{self._seed}_{self._boundaries}"
        head = parameter_field("Content-Type", f"multipart/{subtype}", [*parameters, ("boundary", boundary)])
        limit = b"--" + boundary.encode()
        pieces: list[_Piece] = [head]
        for part in parts:
            pieces += [b"\r\n" + limit + b"\r\n", *part]
        return [*pieces, b"\r\n" + limit + b"--\r\n"]


def _content_id(text: str) -> str:
    if not _CONTENT_ID.fullmatch(check_text("inline: Content-ID", text)):
        raise DraftError(
            f"inline: {text!a} is no Content-ID: visible ASCII characters without angle brackets"
        )
    return text


def _file(part: Separate) -> list[_Piece]:
    """Always base64: the bytes arrive as they are, whatever line ends they hold."""
    file, content_id = part.file, part.content_id
    charset = [("charset", file.charset)] if file.charset else []
    head = (
        parameter_field("Content-Type", file.content_type, [*charset, ("name", file.name)])
        + parameter_field(
            "Content-Disposition", "inline" if content_id else "attachment", [("filename", file.name)]
        )
        + (b"Content-ID: <" + content_id.encode() + b">\r\n" if content_id else b"")
    )
    return [head + b"Content-Transfer-Encoding: base64\r\n\r\n", file]


def _list(attachments: object) -> list[object]:
    if isinstance(attachments, str):  # one path, not its letters
        return [attachments]
    if attachments is None:
        return []
    if not isinstance(attachments, Iterable):
        raise DraftError(f"attachments: a list of files is needed, not {type(attachments).__name__}")
    return list(attachments)


def _text(subtype: str, name: str, text: str) -> list[_Piece]:
    """A text part: as it is where ASCII with short lines, else in the shorter of the two encodings."""
    if not isinstance(text, str):
        raise DraftError(f"{name}: must be text, not {type(text).__name__}")
    try:
        data = _NEWLINE.sub("\r\n", text).encode()
    except UnicodeEncodeError as exc:
        raise DraftError(f"{name}: contains half a surrogate pair, which is no character") from exc
    if not data.endswith(b"\r\n"):
        data += b"\r\n"  # a mail ends with a line end (RFC 5321 4.1.1.4), so a text may as well
    encoding, body = _encoded(data)
    head = parameter_field("Content-Type", f"text/{subtype}", [("charset", "utf-8")])
    return [head + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n", body]


def _encoded(data: bytes) -> tuple[bytes, bytes]:
    """The transfer encoding and the encoded text."""
    if data.isascii() and b"\0" not in data and max(map(len, data.split(b"\r\n"))) <= _MAX_LINE:
        return b"7bit", data
    quoted = re.sub(rb"\r?\n", b"\r\n", binascii.b2a_qp(data, istext=True))
    if len(quoted) <= len(data) * 78 // 57:
        return b"quoted-printable", quoted
    lines = [binascii.b2a_base64(data[at : at + 57], newline=False) for at in range(0, len(data), 57)]
    return b"base64", b"\r\n".join([*lines, b""])
