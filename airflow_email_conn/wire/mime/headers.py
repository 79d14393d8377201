"""A header block cut into its fields (RFC 5322 2.2), however badly it is written."""

from __future__ import annotations

import re

__all__ = ["MAX_FIELDS", "MAX_HEADER_BYTES", "end_of_headers", "split"]

MAX_HEADER_BYTES = 2 * 1024 * 1024  # of one block; Gmail takes 500 kB, Exchange 256 kB: more is an attack
MAX_FIELDS = (
    5_000  # in one block, with lines that are none; a mail that went through many relays has a hundred
)

_BLANK = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"^([^\s:]+)[ \t]*:(.*)", re.MULTILINE)
_SPACED = bytes.maketrans(b"\r\0", b"  ")  # a bare CR or NUL must neither end a line nor join two words


def split(block: bytes) -> tuple[list[tuple[str, bytes]], list[str]]:
    """The fields of a block, in order: name as written, value raw but unfolded; and what was wrong with it.

    Lines that are no field are passed over: an mbox `From ` line, text without a colon, a continuation at the
    start.
    A bare CR is white space, unless the block has no LF at all: then it ends the lines.
    """
    defects = []
    if len(block) > MAX_HEADER_BYTES:
        block = block[:MAX_HEADER_BYTES]
        defects.append(f"the header is longer than {MAX_HEADER_BYTES} bytes: the rest was not read")
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n") if b"\n" in block else block.replace(b"\r", b"\n")
    block = block.replace(b"\n ", b" ").replace(b"\n\t", b"\t")  # unfolded (RFC 5322 2.2.3)
    if b"\r" in block or b"\0" in block:
        block = block.translate(_SPACED)
    block = block.rstrip()
    lines = block.count(b"\n") + 1 if block else 0
    if lines > MAX_FIELDS:
        block = b"\n".join(block.split(b"\n", MAX_FIELDS)[:MAX_FIELDS])
        lines = MAX_FIELDS
        defects.append(f"more than {MAX_FIELDS} header fields: the rest was not read")
    found = _FIELD.findall(block)
    if len(found) < lines:
        defects.append("header lines that are no field were passed over")
    return [(name.decode("ascii", "replace"), value.strip()) for name, value in found], defects


def end_of_headers(raw: bytes, start: int, limit: int) -> tuple[int, int] | None:
    """Where the block that begins at `start` ends and its body begins; None if no blank line ends it."""
    if raw.startswith(b"\n", start):
        return start, start + 1
    if raw.startswith(b"\r\n", start):
        return start, start + 2
    blank = _BLANK.search(raw, start, limit)
    return (blank.start() + 1, blank.end()) if blank else None
