"""The floor: each job by hand on a plain socket, with nothing that is not needed.

Commands that need no answer of one another go in one write, mails are named by sets of UIDs, answers are
taken apart by `in` and regular expressions. It trusts the server in everything, as no library can.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections import defaultdict
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING

from tests.bench.mails import SENDER
from tests.bench.wire import Wire, drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    from tests.bench.case import Begin, Place

__all__ = ["Floor", "find_reports", "list_all", "read_all", "save_large", "save_large_pop3"]

_REPORT = re.compile(rb'"filename" "(report-[^"]*\.csv)"')
_FILE = re.compile(rb'"filename" "([^"]*)"')
_UID = re.compile(rb"UID (\d+)")
_AHEAD = 16  # pieces of up to 256 kB
_LISTED = (
    b"UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE)]"
)


class Floor:
    """A job by hand; `drain` is the job of sending the same and throwing the answers away."""

    def __init__(self, work: Callable[[Place, Wire], int | None]) -> None:
        self._work = work

    def __call__(self, place: Place, begin: Begin) -> int | None:
        """Work."""
        begin()
        with Wire(place.port) as wire:
            return self._work(place, wire)

    def drain(self, place: Place, begin: Begin) -> None:
        """Work to learn what is sent, then send it again."""
        with Wire(place.port) as wire:
            self._work(place, wire)
        begin()
        drain(place.port, wire.exchanges)


@Floor
def find_reports(place: Place, wire: Wire) -> None:
    """SEARCH by sender, FETCH of the structures, then of the parts that are reports, into files."""
    uids: list[bytes] = []
    for line in _open_imap(place, wire, b'c UID SEARCH FROM "%b"\r\n' % SENDER.encode()):
        if line.startswith(b"* SEARCH"):
            uids = line.split()[2:]
    wire.send(b"d UID FETCH %b BODYSTRUCTURE\r\n" % b",".join(uids), b"d ")
    names: dict[bytes, bytes] = {}
    parts: dict[int, list[bytes]] = defaultdict(list)
    for line in wire.lines():
        if (report := _REPORT.search(line)) and (uid := _UID.search(line)):
            names[uid[1]] = report[1]
            parts[_part(line, report.start())].append(uid[1])
    commands = (b"e UID FETCH %b BODY.PEEK[%d]\r\n" % (b",".join(uids), part) for part, uids in parts.items())
    wire.send(b"".join(commands) + b"f NOOP\r\n", b"f ")
    for line in wire.lines():
        if line.endswith(b"}\r\n") and (uid := _UID.search(line)):
            with _file(place, names[uid[1]].decode()) as file:
                file.write(a2b_base64(wire.read(_literal(line))))
    wire.send(b"z LOGOUT\r\n", b"")


@Floor
def list_all(place: Place, wire: Wire) -> int:
    """FETCH of the structure and some header fields of each mail, and the names of its files."""
    count = 0
    files: list[bytes] = []
    for line in _open_imap(place, wire, b"c UID FETCH 1:* (%b)\r\n" % _LISTED):
        if line.endswith(b"}\r\n"):
            count += bool(wire.read(_literal(line)))
            if b'"filename"' in line:
                files += _FILE.findall(line)
    wire.send(b"z LOGOUT\r\n", b"")
    return count


@Floor
def read_all(place: Place, wire: Wire) -> int:
    """FETCH of each mail, one after the other in memory; how many there are."""
    count = 0
    for line in _open_imap(place, wire, b"c UID FETCH 1:* BODY.PEEK[]\r\n"):
        if line.endswith(b"}\r\n"):
            count += bool(wire.read(_literal(line)))
    wire.send(b"z LOGOUT\r\n", b"")
    return count


@Floor
def save_large(place: Place, wire: Wire) -> None:
    """FETCH of the second part, decoded into a file as it comes."""
    for line in _open_imap(place, wire, b"c UID FETCH 1:* BODY.PEEK[2]\r\n"):
        if line.endswith(b"}\r\n"):
            with _file(place, "large.bin") as file:
                _decode(_ahead(wire.pieces(_literal(line))), file)
    wire.send(b"z LOGOUT\r\n", b"")


@Floor
def save_large_pop3(place: Place, wire: Wire) -> None:
    """RETR, with the second part decoded into a file as it comes."""
    wire.send(b"", b"+OK")
    list(wire.lines())
    wire.send(f"USER {place.user}\r\nPASS {place.password}\r\nRETR 1\r\n".encode(), b".\r\n")
    while not wire.line().startswith(b"Content-Disposition: attachment"):
        pass
    wire.line()
    with _file(place, "large.bin") as file:
        _decode(_before_boundary(_ahead(wire.rest())), file)
    wire.send(b"QUIT\r\n", b"")


def _open_imap(place: Place, wire: Wire, command: bytes) -> Iterator[bytes]:
    """Sign in, enter the folder and give the command `c`, all at once; the lines of the answers."""
    wire.send(b"", b"* OK")
    list(wire.lines())
    opening = f'a LOGIN "{place.user}" "{place.password}"\r\nb EXAMINE "{place.folder}"\r\n'
    wire.send(opening.encode() + command, b"c ")
    return wire.lines()


def _file(place: Place, name: str) -> IO[bytes]:
    return open(f"{place.out}/{name}", "wb", buffering=0)  # noqa: PTH123 - a Path takes 0.2 ms


def _literal(line: bytes) -> int:
    """The size of the literal that follows."""
    return int(line[line.rindex(b"{") + 1 : -3])


def _part(line: bytes, end: int) -> int:
    """The number of the part, of those of the first level, that a place in a BODYSTRUCTURE belongs to."""
    depth = number = 0
    for bracket in re.findall(rb"[()]", line[line.index(b"BODYSTRUCTURE (") : end]):
        depth += 1 if bracket == b"(" else -1
        number += bracket == b"(" and depth == 2
    return number


def _ahead(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same, received by a thread of its own: while one piece is decoded, others come in."""
    received: Queue[bytes] = Queue(_AHEAD)

    def receive() -> None:
        for piece in pieces:
            received.put(piece)
        received.put(b"")

    Thread(target=receive).start()
    return iter(received.get, b"")


def _decode(pieces: Iterable[bytes], file: IO[bytes]) -> None:
    """Decode base64, cut at the ends of its lines, each of which is whole by itself."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        cut = data.rfind(b"\n") + 1
        file.write(a2b_base64(memoryview(data)[:cut]))
        rest = data[cut:]
    file.write(a2b_base64(rest))


def _before_boundary(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Base64 up to its end, which is a line of hyphens, and base64 has none."""
    inside = True
    for piece in pieces:
        if inside:
            content, boundary, _ = piece.partition(b"-")
            inside = not boundary
            yield content
