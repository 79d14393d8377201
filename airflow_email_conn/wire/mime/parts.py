"""The bytes of a mail cut into its parts (RFC 2046 5.1): one pass, no copies, no recursion, never raises."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from airflow_email_conn.wire.mime import headers, words
from airflow_email_conn.wire.mime.parameters import decode_parameters, parse_parameters, split_parameters
from airflow_email_conn.wire.mime.structure import Part
from airflow_email_conn.wire.mime.transfer import normalise

__all__ = ["MAX_DEPTH", "MAX_PARTS", "Scanned", "scan_parts"]

MAX_DEPTH = 100  # multiparts within each other; forwarding makes ten, and who reads the tree may recurse
MAX_PARTS = 10_000  # of one mail; each takes a kilobyte of memory, and real mails have some hundred at most
_BOUNDARY_LIMIT = 1_000  # bytes; RFC 2046 5.1.1 allows 70
_INNER_LIMIT = 64 * 1024  # bytes of a forwarded mail's header that are searched for its subject

_TYPE = re.compile(r"[!-~]+/[!-~]+")
# An mbox line, or empty lines that got in front of the header.
_BEFORE = re.compile(rb"[\r\n]*>?From (?![ \t]*:)[^\n]*\n|[\r\n]+(?=[!-9;-~]{1,80}[ \t]*:)")
_NOT_HEADER = re.compile(rb"^(?![ \t\r\n]|[^\s:]+[ \t]*:).", re.MULTILINE)
_IDENTITY = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class Scanned:
    """A mail in parts.

    :param root: the tree; offsets count from the first byte of the mail.
    :param fields: the header of the mail, as `headers.split` gives it.
    :param defects: what was wrong and how it was read nevertheless, one line each.
    """

    root: Part
    fields: list[tuple[str, bytes]]
    defects: list[str]


class _Delimiter(NamedTuple):
    """A delimiter line: the line end before it, what follows, whose it is (in `open`), if it is the last."""

    at: int
    after: int
    depth: int
    closing: bool


@dataclass(slots=True, eq=False)
class _Node:
    """A part that is still being read."""

    parent: _Node | None
    number: str
    content_type: str
    header: dict[str, bytes]
    start: int
    params: dict[str, str]
    boundary: bytes = b""
    end: int = -1
    children: list[Part] = field(default_factory=list)
    count: int = 0  # children begun so far


def scan_parts(raw: bytes) -> Scanned:
    """Cut a mail into its parts."""
    return _Scanner(raw).scan()


class _Scanner:
    """One pass over a mail, delimiter line by delimiter line."""

    def __init__(self, raw: bytes) -> None:
        # A mail of an old Macintosh ends its lines with CR alone; the swap keeps every offset.
        self.raw = raw if b"\n" in raw else raw.replace(b"\r", b"\n")
        self.nodes: list[_Node] = []
        self.open: list[_Node] = []  # multiparts, outermost first
        self.leaf: _Node | None = None  # what the bytes belong to now, unless to nothing
        self.depths: dict[bytes, list[int]] = {}  # boundary: indexes in `open`, since names may repeat
        self.defects: dict[str, None] = {}

    def scan(self) -> Scanned:
        at, fields = self._top()
        while self.open:
            found = self._delimiter(at)
            if found is None:
                self._note("a multipart is not closed: its last part reaches to the end")
                break
            at = self._cut(found)
            if len(self.nodes) >= MAX_PARTS:
                self._note(f"more than {MAX_PARTS} parts: the rest was left in the last one")
                break
        self._close(0, len(self.raw))
        return Scanned(self._tree(), fields, list(self.defects))

    def _note(self, defect: str) -> None:
        self.defects[defect] = None

    def _top(self) -> tuple[int, list[tuple[str, bytes]]]:
        """Begin with the header of the mail: where to go on, and its fields."""
        before = _BEFORE.match(self.raw)
        start = before.end() if before else 0
        if before:
            self._note("something stood before the header, such as an mbox line: passed over")
        limit = min(len(self.raw), start + headers.MAX_HEADER_BYTES)
        found = headers.end_of_headers(self.raw, start, limit)
        if found is None:
            stray = _NOT_HEADER.search(self.raw, start, limit)
            found = (stray.start(), stray.start()) if stray else (limit, limit)
            if stray:
                self._note("no empty line between header and body: the body begins where no field is")
        fields, defects = headers.split(self.raw[start : found[0]])
        self.defects.update(dict.fromkeys(defects))
        self._begin(fields, found[1])
        return found[1], fields

    def _delimiter(self, start: int) -> _Delimiter | None:
        """The next delimiter line that begins at or behind `start`."""
        at = self.raw.find(b"\n--", max(start - 1, 0))
        while at != -1:
            found = self._match(at)
            if found:
                return found
            at = self.raw.find(b"\n--", at + 1)
        return None

    def _match(self, at: int) -> _Delimiter | None:
        """The line behind the line end at `at`, if it is a delimiter of an open multipart."""
        limit = min(len(self.raw), at + 3 + _BOUNDARY_LIMIT + 4)
        end = self.raw.find(b"\n", at + 3, limit)
        line = self.raw[at + 3 : limit if end == -1 else end].rstrip()
        after = limit if end == -1 else end + 1
        depths = self.depths.get(line)
        if depths:
            return _Delimiter(at, after, depths[-1], closing=False)
        depths = self.depths.get(line[:-2].rstrip()) if line.endswith(b"--") else None
        return _Delimiter(at, after, depths[-1], closing=True) if depths else None

    def _cut(self, line: _Delimiter) -> int:
        """End what is open below that multipart, begin its next part: where to go on."""
        if line.depth + 1 < len(self.open):
            self._note("a multipart is not closed: it ends where the one around it goes on")
        # The line end before a delimiter belongs to the delimiter (RFC 2046 5.1.1).
        end = line.at - 1 if self.raw[line.at - 1 : line.at] == b"\r" else line.at
        self._close(line.depth if line.closing else line.depth + 1, end)
        if line.closing:
            return line.after
        stop, body = self._header(line.after)
        fields, _ = headers.split(self.raw[line.after : stop])
        self._begin(fields, body)
        return body

    def _header(self, start: int) -> tuple[int, int]:
        """Where the header of a part that begins at `start` ends, and where its body begins.

        Looks no further than the next line with `--`, so that many headers without an end stay linear.
        """
        limit = min(len(self.raw), start + headers.MAX_HEADER_BYTES)
        mark = start - 1  # the line end of the delimiter: the header may be empty
        while True:
            hit = self.raw.find(b"\n--", mark, limit)
            found = headers.blank_line(self.raw, mark, limit if hit == -1 else hit + 1)
            if found:
                return found
            if hit == -1:
                return limit, limit
            if self._match(hit):  # no empty line: the part has no body
                return hit + 1, hit + 1
            mark = hit + 1

    def _begin(self, fields: list[tuple[str, bytes]], start: int) -> None:
        """A new part, whose body begins at `start`."""
        parent = self.open[-1] if self.open else None
        header: dict[str, bytes] = {}
        for name, value in fields:
            key = name.lower()
            if key.startswith("content-"):
                header.setdefault(key, value)
        number = ""
        if parent:
            parent.count += 1
            number = f"{parent.number}.{parent.count}" if parent.number else str(parent.count)
        content_type, params, boundary = self._type(header.get("content-type", b""), parent)
        node = _Node(parent, number, content_type, header, start, params, boundary)
        self.nodes.append(node)
        if boundary:
            self.depths.setdefault(boundary, []).append(len(self.open))
            self.open.append(node)
            self.leaf = None
        else:
            self.leaf = node

    def _type(self, value: bytes, parent: _Node | None) -> tuple[str, dict[str, str], bytes]:
        """Content-Type, its parameters, and the boundary when it is a multipart to be cut."""
        content_type, params = parse_parameters(value)
        if not _TYPE.fullmatch(content_type):
            if value:
                self._note("a Content-Type cannot be understood: taken as text/plain")
            digest = parent is not None and parent.content_type == "multipart/digest"  # RFC 2046 5.1.5
            return "message/rfc822" if digest and not value else "text/plain", params, b""
        if not content_type.startswith("multipart/"):
            return content_type, params, b""
        boundary = _boundary(value)
        if not boundary:
            self._note("a multipart without a boundary: taken as text/plain")
            return "text/plain", {}, b""
        if len(self.open) >= MAX_DEPTH:
            self._note(f"parts nested deeper than {MAX_DEPTH}: left together as one attachment")
            return content_type, params, b""
        return content_type, params, boundary

    def _close(self, depth: int, end: int) -> None:
        """End the current leaf and every multipart from `depth` on."""
        if self.leaf:
            self.leaf.end = max(self.leaf.start, end)
            self.leaf = None
        while len(self.open) > depth:
            node = self.open.pop()
            node.end = max(node.start, end)
            self.depths[node.boundary].pop()

    def _tree(self) -> Part:
        """The finished parts: children come after their parents, so backwards each finds its own complete."""
        for node in reversed(self.nodes):
            if node.parent:
                node.parent.children.append(self._part(node))
        return self._part(self.nodes[0])

    def _part(self, node: _Node) -> Part:
        content_type, params = node.content_type, node.params
        if node.boundary and not node.children:
            self._note("a multipart whose boundary never comes: taken as text/plain")
            content_type, params = "text/plain", {}
        disposition, disposition_params = parse_parameters(node.header.get("content-disposition", b""))
        encoding = normalise(node.header.get("content-transfer-encoding", b"").decode("ascii", "replace"))
        children = tuple(reversed(node.children))
        subject = content_type == "message/rfc822" and encoding in _IDENTITY
        return Part(
            number=node.number or ("" if children else "1"),
            content_type=content_type,
            params=params,
            disposition=disposition,
            disposition_params=disposition_params,
            content_id=words.decode(node.header.get("content-id", b"")).strip(" <>"),
            encoding=encoding,
            size=node.end - node.start,
            children=children,
            inner_subject=self._subject(node) if subject else "",
            start=node.start,
            end=node.end,
        )

    def _subject(self, node: _Node) -> str:
        """The subject of a mail within the mail."""
        limit = min(node.end, node.start + _INNER_LIMIT)
        found = headers.end_of_headers(self.raw, node.start, limit)
        fields, _ = headers.split(self.raw[node.start : found[0] if found else limit])
        return next((words.decode(value) for name, value in fields if name.lower() == "subject"), "")


def _boundary(value: bytes) -> bytes:
    """The boundary as its bytes are, so that it matches; trailing space does not count (RFC 2046 5.1.1)."""
    _, pairs = split_parameters(value)
    for name, text in pairs:
        if name.lower() == b"boundary":
            return text.rstrip()[:_BOUNDARY_LIMIT]
    return decode_parameters(pairs).get("boundary", "").encode("utf-8", "replace").rstrip()[:_BOUNDARY_LIMIT]
