"""The bytes of a mail, in pieces of any size, cut into its parts (RFC 2046 5.1): one pass, never raises.

Without recursion, and without holding more than a header or a line: what a mail gives does not depend on
where its bytes were cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from airflow_email_conn.wire.mime import headers
from airflow_email_conn.wire.mime.node import BOUNDARY_LIMIT, Node, content_fields, content_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MAX_DEPTH", "MAX_PARTS", "Cutter", "Receiver"]

MAX_DEPTH = 100  # multiparts within each other; forwarding makes ten, and who reads the tree may recurse
MAX_PARTS = 10_000  # of one mail; each takes a kilobyte of memory, and real mails have some hundred at most
_LINE_LIMIT = BOUNDARY_LIMIT + 4  # bytes of a delimiter line behind its `--`

_DASHES = re.compile(rb"\n--([^\n]{0,%d})" % _LINE_LIMIT)  # finds the start faster than bytes.find
_HEADER_END = re.compile(rb"\n(?:(\r?\n)|--([^\n]{0,%d}))" % _LINE_LIMIT)
_TYPE = re.compile(r"[!-~]+/[!-~]+")
# An mbox line, or empty lines that got in front of the header.
_BEFORE = re.compile(rb"[\r\n]*>?From (?![ \t]*:)[^\n]*\n|[\r\n]+(?=[!-9;-~]{1,80}[ \t]*:)")
_FIRST_LINE = re.compile(rb"[\r\n]*[^\r\n][^\n]*\n")
_NOT_HEADER = re.compile(rb"^(?![ \t\r\n]|[^\s:]+[ \t]*:).", re.MULTILINE)


class Receiver(Protocol):
    """Who gets what a Cutter finds, in the order of the mail."""

    def header(self, fields: list[tuple[str, bytes]], defects: list[str]) -> None:
        """The header of the mail, as `headers.split` gives it; comes first."""

    def begin(self, leaf: Node) -> None:
        """A part that is no multipart begins."""

    def body(self, source: bytes, start: int, end: int) -> None:
        """The next encoded bytes of its body: `source[start:end]`."""

    def end(self, node: Node) -> None:
        """A part is complete; a multipart comes behind its children."""


class Cutter:
    """One pass over a mail, delimiter line by delimiter line.

    :ivar size: bytes of the mail so far.
    :ivar defects: what was wrong and how it was read nevertheless, one line each.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.size = 0
        self.defects: dict[str, None] = {}
        self._receiver = receiver
        self._pieces: list[bytes] = []  # not looked at yet
        self._waiting = 0  # bytes of them
        self._wanted = 0  # bytes to wait for, before looking again makes sense
        self._final = False
        self._source = b""  # the bytes being looked at, as they came
        self._window = b""  # the same with the line ends to go by
        self._cr_only = False
        self._base = 0  # offset of the window in the mail
        self._at = 0  # in the window: everything before is done
        self._step: Callable[[], bool] = self._top
        self._open: list[Node] = []  # multiparts, outermost first
        self._leaf: Node | None = None  # what the bytes belong to now, unless to nothing
        self._depths: dict[bytes, list[int]] = {}  # boundary: indexes in `_open`, since names may repeat
        self._parts = 0
        self._headers = 0  # bytes of the headers of all parts: what they say is kept

    def feed(self, data: bytes) -> None:
        """The next bytes of the mail."""
        self._pieces.append(data)
        self._waiting += len(data)
        # Twice as much each time: what is looked at again and again, an endless header say, stays linear.
        if self._waiting >= self._wanted:
            self._look()

    def finish(self, data: bytes = b"") -> None:
        """The last bytes of the mail; call it once."""
        self._pieces.append(data)
        self._final = True
        self._look()
        self._close(0, self._at)

    def _look(self) -> None:
        """Go on as far as the bytes allow, and keep those that are still needed."""
        new = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        self.size += len(new)
        self._see(self._source + new if self._source else new)
        while self._step():
            pass
        keep = max(self._at - 1, 0)  # the line end before a delimiter
        self._base += keep
        self._at -= keep
        self._see(self._source[keep:])
        self._wanted = len(self._source)

    def _see(self, source: bytes) -> None:
        """Look at these bytes."""
        self._source = source
        self._window = source.replace(b"\r", b"\n") if self._cr_only else source

    def _note(self, defect: str) -> None:
        self.defects[defect] = None

    # Steps: each does what it can, and says whether another one may go on.

    def _top(self) -> bool:
        """The header of the mail."""
        limit = headers.MAX_HEADER_BYTES
        if not (self._final or len(self._window) >= limit or _FIRST_LINE.match(self._window)):
            return False
        if self._window.find(b"\n", 0, limit) == -1:
            # A mail of an old Macintosh ends its lines with CR alone; the swap keeps every offset.
            self._cr_only = True
            self._see(self._source)
        before = _BEFORE.match(self._window, 0, limit)
        start = before.end() if before else 0
        found = self._top_end(start, start + limit)
        if found is None:
            return False
        if before:
            self._note("something stood before the header, such as an mbox line: passed over")
        fields, defects = headers.split(self._window[start : found[0]])
        self.defects.update(dict.fromkeys(defects))
        self._receiver.header(fields, defects)
        self._begin(fields, found[1])
        return True

    def _top_end(self, start: int, limit: int) -> tuple[int, int] | None:
        """Where the header of the mail ends and its body begins; None when more bytes must tell."""
        complete = self._final or len(self._window) > limit
        if not complete and len(self._window) < start + 2:
            return None
        found = headers.end_of_headers(self._window, start, limit)
        if found or not complete:
            return found
        stray = _NOT_HEADER.search(self._window, start, limit)
        if stray:
            self._note("no empty line between header and body: the body begins where no field is")
            return stray.start(), stray.start()
        end = min(len(self._window), limit)
        if end == limit:
            self._note(
                f"the header is longer than {headers.MAX_HEADER_BYTES} bytes: the rest was taken as the body"
            )
        return end, end

    def _delimiter(self) -> bool:
        """The next delimiter line; what is before it belongs to the leaf."""
        for line in _DASHES.finditer(self._window, max(self._at - 1, 0)):
            if self._is_open(line):
                self._give(line.start() - 1)
                return False
            found = self._whose(line[1])
            if found:
                self._cut(line, *found)
                return True
        self._give(len(self._window) - (0 if self._final else len(b"\r\n-")))
        if self._final:
            self._note("a multipart is not closed: its last part reaches to the end")
        return False

    def _part(self) -> bool:
        """The header of a part behind its delimiter line."""
        start = self._at
        found = self._part_end(start)
        if found is None:
            return False
        fields, _ = headers.split(self._window[start : found[0]])
        self._headers += found[0] - start
        self._begin(fields, found[1])
        return True

    def _part_end(self, start: int) -> tuple[int, int] | None:
        """As `_top_end`, for a part: it may also end, without a body, where a delimiter line comes."""
        limit = start + headers.MAX_HEADER_BYTES
        # From the line end of the delimiter on, since the header may be empty.
        for match in _HEADER_END.finditer(self._window, start - 1, limit):
            blank, line = match.groups()
            if blank:
                return match.start() + 1, match.end()
            if self._is_open(match):
                return None
            if self._whose(line):
                return match.start() + 1, match.start() + 1
        if not (self._final or len(self._window) > limit):
            return None
        end = min(len(self._window), limit)
        return end, end

    def _rest(self) -> bool:
        """Everything else belongs to the leaf, or to nothing."""
        self._give(len(self._window))
        return False

    # What the steps are made of.

    def _is_open(self, line: re.Match[bytes]) -> bool:
        """Whether more bytes may belong to it."""
        return line.end() == len(self._window) and not self._final

    def _whose(self, line: bytes) -> tuple[int, bool] | None:
        """Whose delimiter the line is, by its index in `_open`, and whether it is the last one."""
        line = line.rstrip()
        depths = self._depths.get(line)
        if depths:
            return depths[-1], False
        depths = self._depths.get(line[:-2].rstrip()) if line.endswith(b"--") else None
        return (depths[-1], True) if depths else None

    def _cut(self, line: re.Match[bytes], depth: int, closing: bool) -> None:
        """End what is open below that multipart; the header of its next part follows unless it is closed."""
        if depth + 1 < len(self._open):
            self._note("a multipart is not closed: it ends where the one around it goes on")
        hit, after = line.span()
        # The line end before a delimiter belongs to the delimiter (RFC 2046 5.1.1).
        end = hit - 1 if self._window[hit - 1 : hit] == b"\r" else hit
        self._give(end)
        self._close(depth if closing else depth + 1, end)
        self._at = after + self._window.startswith(b"\n", after)
        self._step = self._part if not closing else self._delimiter if self._open else self._rest

    def _give(self, end: int) -> None:
        """The bytes up to `end` are done: the leaf gets them."""
        start = self._at
        if end <= start:
            return
        self._at = end
        if self._leaf:
            self._receiver.body(self._source, start, end)
            self._leaf.look(self._window, start, end)

    def _begin(self, fields: list[tuple[str, bytes]], body: int) -> None:
        """A new part, whose body begins at `body`."""
        self._at = body
        self._parts += 1
        node = self._node(fields, self._base + body)
        if node.boundary:
            self._depths.setdefault(node.boundary, []).append(len(self._open))
            self._open.append(node)
        else:
            self._leaf = node
            self._receiver.begin(node)
        self._step = self._delimiter if self._open else self._rest
        if self._parts >= MAX_PARTS:
            self._note(f"more than {MAX_PARTS} parts: the rest was left in the last one")
            self._step = self._rest
        elif self._headers >= headers.MAX_HEADER_BYTES:
            self._note("the headers of the parts are too long: the rest was left in the last one")
            self._step = self._rest

    def _node(self, fields: list[tuple[str, bytes]], start: int) -> Node:
        """A part as its header describes it."""
        header = content_fields(fields)
        parent = self._open[-1] if self._open else None
        kind, params, boundary = self._type(header.get("content-type", b""), parent)
        if parent is None:
            return Node(None, "", kind, params, header, start, False, boundary)  # noqa: FBT003
        parent.count += 1
        number = f"{parent.number}.{parent.count}" if parent.number else str(parent.count)
        related = parent.related or parent.content_type == "multipart/related"
        return Node(parent, number, kind, params, header, start, related, boundary)

    def _type(self, value: bytes, parent: Node | None) -> tuple[str, Mapping[str, str], bytes]:
        """The type to go by, its parameters, and the boundary when it is a multipart to be cut."""
        found, params, boundary = content_type(value)
        if not _TYPE.fullmatch(found):
            if value:
                self._note("a Content-Type cannot be understood: taken as text/plain")
            digest = parent is not None and parent.content_type == "multipart/digest"  # RFC 2046 5.1.5
            return "message/rfc822" if digest and not value else "text/plain", params, b""
        if not found.startswith("multipart/"):
            return found, params, b""
        if not boundary:
            self._note("a multipart without a boundary: taken as text/plain")
            return "text/plain", {}, b""
        if len(self._open) >= MAX_DEPTH:
            self._note(f"parts nested deeper than {MAX_DEPTH}: left together as one attachment")
            return found, params, b""
        return found, params, boundary

    def _close(self, depth: int, end: int) -> None:
        """End the current leaf and every multipart from `depth` on."""
        if self._leaf:
            leaf, self._leaf = self._leaf, None
            self._ended(leaf, end)
        while len(self._open) > depth:
            node = self._open.pop()
            self._depths[node.boundary].pop()
            if not node.count:
                self._note("a multipart whose boundary never comes: taken as text/plain")
            self._ended(node, end)

    def _ended(self, node: Node, end: int) -> None:
        node.end = max(node.start, self._base + end)
        self._receiver.end(node)
