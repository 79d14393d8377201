"""What a server saw of a client before the end: noted by the tests, shown by `tests.contract.tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.dialects import before_tls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.faults import Fault, Side
    from tests.servers.scripted import ScriptedServer

__all__ = ["Witness"]

_SHOWN = 160  # characters of a cell
_NOTHING = "nothing"


class Witness:
    """Notes one test's row of the table, as properties that pytest writes into its JUnit report.

    :param properties: of the test: where pytest's `record_property` would put them, with a warning.
    """

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def _record(self, name: str, value: str) -> None:
        self._properties.append((name, value))

    def outcome(self, error: BaseException | None, seconds: float | None = None) -> None:
        """Note how it ended for the client: an error, or None for success."""
        shown = f"{type(error).__name__}: {error}" if error else "let in"
        self._record("outcome", _cell(shown))
        if seconds is not None:
            self._record("seconds", f"{seconds:.1f}")

    def memory(self, peak: int) -> None:
        """Note the most bytes that were allocated at one time."""
        self._record("peak", f"{peak / 2**20:.1f} MiB")

    def fault(self, fault: Fault, passed: Mapping[Side, int]) -> None:
        """Note what a proxy did, and the bytes that passed it, by where they came from."""
        self._record("fault", fault.kind)
        self.passed(passed)

    def passed(self, passed: Mapping[Side, int]) -> None:
        """Note the bytes that passed a proxy, by where they came from."""
        self._record("from client", str(passed["client"]))
        self._record("from server", str(passed["server"]))

    def round_trips(self, count: int) -> None:
        """Note how many commands were sent."""
        self._record("commands", str(count))

    def wire(self, seen: bytes) -> bytes:
        """Note what a proxy saw on the wire; returns what of it is in clear."""
        clear = before_tls(seen)
        self._record("in clear", _bytes(clear))
        if seen != clear:
            self._record("in TLS", f"{len(seen) - len(clear)} bytes of TLS")
        return clear

    def server(self, server: ScriptedServer) -> tuple[bytes, bytes]:
        """Note what a scripted server saw, all connections together; returns it, in clear and in TLS."""
        clear = b"".join(before_tls(talk.received_in_clear) for talk in server.conversations)
        inside = b"".join(talk.received_in_tls for talk in server.conversations)
        self._record("in clear", _bytes(clear))
        self._record("in TLS", _bytes(inside))
        return clear, inside


def _bytes(seen: bytes) -> str:
    return _cell(seen.decode("ascii", "backslashreplace").encode("unicode_escape").decode()) or _NOTHING


def _cell(text: str) -> str:
    """One line that XML and Markdown can carry."""
    line = "".join(c if c.isprintable() else " " for c in text).replace("|", "/")
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
