"""A part of a mail while it is being read: what its header says, and where its body lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_email_conn.wire.mime import headers, words
from airflow_email_conn.wire.mime.parameters import decode_parameters, parse_parameters, split_parameters
from airflow_email_conn.wire.mime.structure import Part
from airflow_email_conn.wire.mime.transfer import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BOUNDARY_LIMIT", "Node", "content_fields", "content_type"]

BOUNDARY_LIMIT = 1_000  # bytes; RFC 2046 5.1.1 allows 70
_INNER_LIMIT = 64 * 1024  # bytes of a forwarded mail's header that are searched for its subject
_KNOWN_LIMIT = 64  # bytes of a Content-Type that is remembered: most parts have the same ones
_IDENTITY = frozenset({"7bit", "8bit", "binary"})


@dataclass(slots=True, eq=False)
class Node:
    """One part.

    :param number: the IMAP part number; empty for the root.
    :param header: its `Content-` fields, as `content_fields` gives them.
    :param start: where the body begins in the mail.
    :param related: a multipart/related is around it.
    :param boundary: of a multipart that is cut; a leaf has none.
    :param end: where the body ends, once that is known.
    :param count: children begun so far.
    :param children: for whoever wants the tree.
    """

    parent: Node | None
    number: str
    content_type: str
    params: Mapping[str, str]
    header: dict[str, bytes]
    start: int
    related: bool = False
    boundary: bytes = b""
    end: int = -1
    count: int = 0
    children: list[Part] = field(default_factory=list)
    _inner: bytearray = field(default_factory=bytearray)  # the start of a mail within the mail

    @property
    def encoding(self) -> str:
        """Content-Transfer-Encoding in lower case."""
        return normalise(self.header.get("content-transfer-encoding", b"").decode("ascii", "replace"))

    def look(self, data: bytes, start: int, end: int) -> None:
        """The next bytes of the body, of which a mail within the mail takes its subject."""
        left = _INNER_LIMIT - len(self._inner)
        if left and self.content_type == "message/rfc822" and self.encoding in _IDENTITY:
            self._inner += data[start : min(end, start + left)]

    def part(self) -> Part:
        """The finished part."""
        size = self.end - self.start
        if self.boundary and not self.count:  # its boundary never came: text, whatever its header says
            number = self.number or "1"
            return Part(number, encoding=self.encoding, size=size, start=self.start, end=self.end)
        disposition, disposition_params = parse_parameters(self.header.get("content-disposition", b""))
        content_id = self.header.get("content-id")
        return Part(
            number=self.number or ("" if self.count else "1"),
            content_type=self.content_type,
            params=self.params,
            disposition=disposition,
            disposition_params=disposition_params,
            content_id=words.decode(content_id).strip(" <>") if content_id else "",
            encoding=self.encoding,
            size=size,
            children=tuple(self.children),
            inner_subject=_subject(bytes(self._inner)) if self._inner else "",
            start=self.start,
            end=self.end,
        )


def content_fields(fields: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """What a header says about its part: the first `Content-` field of each name, in lower case."""
    found: dict[str, bytes] = {}
    for name, value in fields:
        key = name.lower()
        if key.startswith("content-"):
            found.setdefault(key, value)
    return found


def content_type(value: bytes) -> tuple[str, Mapping[str, str], bytes]:
    """What a Content-Type says: the type in lower case, its parameters, the boundary of a multipart."""
    return _known(value) if len(value) <= _KNOWN_LIMIT else _content_type(value)


def _content_type(value: bytes) -> tuple[str, Mapping[str, str], bytes]:
    main, pairs = split_parameters(value)
    params = decode_parameters(pairs) if pairs else {}
    return main, params, _boundary(pairs, params) if main.startswith("multipart/") else b""


_known = lru_cache(maxsize=64)(_content_type)


def _boundary(pairs: Iterable[tuple[bytes, bytes]], params: Mapping[str, str]) -> bytes:
    """The boundary as its bytes are, so that it matches; trailing space does not count (RFC 2046 5.1.1)."""
    raw = next((text for name, text in pairs if name.lower() == b"boundary"), None)
    if raw is None:  # in sections, perhaps (RFC 2231 3)
        raw = params.get("boundary", "").encode("utf-8", "replace")
    return raw.rstrip()[:BOUNDARY_LIMIT]


def _subject(block: bytes) -> str:
    """The subject of a mail that begins with these bytes."""
    found = headers.end_of_headers(block, 0, len(block))
    fields, _ = headers.split(block[: found[0]] if found else block)
    return next((words.decode(value) for name, value in fields if name.lower() == "subject"), "")
