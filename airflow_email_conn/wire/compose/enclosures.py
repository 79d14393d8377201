"""Files that go out with a mail: opened and checked before any connection, read in pieces while sending."""

from __future__ import annotations

import io
import mimetypes
import os
import re
import stat
import tempfile
from binascii import b2a_base64
from functools import lru_cache
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any

from airflow_email_conn.errors import DraftError
from airflow_email_conn.model.draft import Content, File
from airflow_email_conn.wire.compose.fields import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PIECE", "Enclosure"]

# Bytes read at a time: 1024 whole lines of 57 bytes, which are 76 characters of base64 (RFC 2045 6.8).
# Pieces of this size stay in the CPU's cache: 3 ms per MB where building the whole mail takes 58.
PIECE = 57 * 1024

_LINE = 76
_MAX_NAME = 1000
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_OCTETS = "application/octet-stream"
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


class Enclosure:
    """An open file on its way into a mail.

    :param name: file name that the recipient sees.
    :param content_type: `type/subtype`, lower case.
    :param charset: of text whose encoding is known; or empty.
    :param size: bytes; None when it cannot be known before reading.
    """

    __slots__ = ("_file", "_where", "charset", "content_type", "name", "size")

    def __init__(self, where: str, name: str, content_type: str, file: IO[Any], charset: str = "") -> None:
        self._where, self._file = where, file
        self.name = name
        self.content_type = content_type
        self.charset = charset
        self.size = _size(file)

    @classmethod
    def open(cls, field: str, item: object) -> Enclosure:
        """Open a path, a file object or a `Content`.

        :param field: the draft's field, for error messages.
        :raises DraftError: it does not exist, cannot be read, is not a file, or has an impossible name.
        """
        if isinstance(item, Content):
            return cls._content(field, item)
        file = _as_file(field, item)
        where = f"{field}: {str(file)!a}"
        name = _checked_name(field, file.name)
        try:
            # A pipe would wait for a writer, a device never end.
            regular = not isinstance(file, Path) or stat.S_ISREG(file.stat().st_mode)
            handle = file.open("rb") if regular else None
        except (OSError, ValueError) as exc:  # ValueError: no such storage, or a NUL in the path
            raise DraftError(f"{where} cannot be opened: {_reason(exc)}") from exc
        if handle is None:
            raise DraftError(f"{where} is not a file")
        try:
            return cls(where, name, _content_type(field, name, ""), handle)
        except BaseException:
            handle.close()
            raise

    @classmethod
    def _content(cls, field: str, item: Content) -> Enclosure:
        name = _checked_name(field, item.name)
        where = f"{field}: {name!a}"
        kind = _content_type(field, name, item.content_type)
        if isinstance(item.data, bytes | bytearray | memoryview):
            return cls(where, name, kind, io.BytesIO(item.data))
        if not isinstance(item.data, str):
            raise DraftError(f"{where}: data must be bytes or text, not {type(item.data).__name__}")
        try:
            data = item.data.encode()
        except UnicodeEncodeError as exc:
            raise DraftError(f"{where}: contains half a surrogate pair, which is no character") from exc
        return cls(where, name, kind, io.BytesIO(data), "utf-8" if kind.startswith("text/") else "")

    @property
    def encoded_size(self) -> int | None:
        """Bytes that `pieces` will give, as far as known."""
        if self.size is None:
            return None
        characters = 4 * -(-self.size // 3)
        return characters + 2 * -(-characters // _LINE)

    def pieces(self) -> Iterator[bytes]:
        """The file in base64, lines ended by CRLF, about 80 kB at a time; once.

        :raises DraftError: it cannot be read any more, or is shorter than it was when it was opened.
        """
        for block in self._blocks():
            text = b2a_base64(block, newline=False)
            yield b"\r\n".join([text[at : at + _LINE] for at in range(0, len(text), _LINE)]) + b"\r\n"

    def measure(self) -> None:
        """Find out the size of a file that cannot tell: it is copied into a temporary one.

        :raises DraftError: it cannot be read.
        """
        if self.size is not None:
            return
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the mail is
        try:
            for block in self._blocks():
                copy.write(block)
        except BaseException:
            copy.close()
            raise
        self.size = copy.tell()
        copy.seek(0)
        self._file.close()
        self._file = copy

    def read_at(self, start: int, wanted: int) -> bytes:
        """So many bytes from anywhere, of a file whose size is known; fewer only at its end.

        :raises DraftError: it cannot be read any more, or has become shorter.
        """
        try:
            self._file.seek(start)
        except (OSError, ValueError) as exc:
            raise DraftError(f"{self._where} cannot be read: {_reason(exc)}") from exc
        data = self._read(min(wanted, (self.size or 0) - start))
        if len(data) < min(wanted, (self.size or 0) - start):
            raise self._shortened()
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _blocks(self) -> Iterator[bytes]:
        """Blocks of PIECE bytes, the last one shorter.

        A file that grows, such as a log, is sent as long as it was when it was opened: SIZE= was said.
        """
        left = self.size
        while left is None or left > 0:
            wanted = PIECE if left is None else min(PIECE, left)
            block = self._read(wanted)
            if left is not None:
                left -= len(block)
                if len(block) < wanted:
                    raise self._shortened()
            if block:
                yield block
            if len(block) < wanted:
                return

    def _shortened(self) -> DraftError:
        return DraftError(f"{self._where} became shorter while it was being sent")

    def _read(self, wanted: int) -> bytes:
        """So many bytes, fewer only at the end of the file: a raw file may give less at a time."""
        block: bytes = b""
        try:
            while len(block) < wanted:
                data = self._file.read(wanted - len(block))
                if not data:
                    break
                block = block + data if block else bytes(data)
        except (OSError, TypeError) as exc:  # TypeError: it was opened as text
            raise DraftError(f"{self._where} cannot be read: {_reason(exc)}") from exc
        return block


def _as_file(field: str, item: object) -> File:
    if isinstance(item, str):
        check_text(field, item)
        if not item:
            raise DraftError(f"{field}: an empty path")
        if "://" in item:
            raise DraftError(f"{field}: {item!a} is a URL: wrap it as ObjectStoragePath({item!a})")
        return Path(item)
    if isinstance(item, PurePath) or (isinstance(item, os.PathLike) and not isinstance(item, File)):
        return Path(os.fsdecode(item))
    if isinstance(item, File):
        return item
    raise DraftError(
        f"{field}: a path, a file with `name` and `open`, or a Content is needed, not {type(item).__name__}"
    )


def _checked_name(field: str, name: object) -> str:
    if not check_text(f"{field}: file name", name, longest=_MAX_NAME).strip():
        raise DraftError(f"{field}: the file name is empty")
    return str(name)


def _content_type(field: str, name: str, given: str) -> str:
    """The type to declare, by the name when none is given.

    A mail or a multipart as an attachment would have to travel without base64 (RFC 2046 5.2.1, 5.1), so a
    bare LF or a long line in it would be changed on the way. As application/octet-stream its bytes arrive
    as they are, and an .eml opens by its name.
    """
    if given and not _CONTENT_TYPE.fullmatch(check_text(f"{field}: content_type", given)):
        raise DraftError(f"{field}: content_type {given!a} is not type/subtype")
    kind = given.lower() or _guess(name)
    return _OCTETS if kind.startswith(("message/", "multipart/")) else kind


def _guess(name: str) -> str:
    # guess_type wants a URL, so nothing in a name may look like a part of one.
    kind, compression = _types().guess_type(re.sub(r"[^A-Za-z0-9.]", "_", name))
    if compression:  # report.csv.gz is not text/csv
        return _COMPRESSED.get(compression, _OCTETS)
    return kind or _OCTETS


@lru_cache(maxsize=1)
def _types() -> mimetypes.MimeTypes:
    """Python's own table: the machine's /etc/mime.types would make the same mail differ by worker."""
    return mimetypes.MimeTypes()


def _size(file: IO[Any]) -> int | None:
    """Bytes to the end, where the file can tell; files of /proc say 0 and mean nothing by it."""
    try:
        if not file.seekable():
            return None
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    except (OSError, ValueError, AttributeError):
        return None
    return size or None


def _reason(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or type(exc).__name__
