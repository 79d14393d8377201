"""What a measurement is: a case, the jobs that are compared in it, their figures, and what is promised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["DRAIN", "FLOOR", "Begin", "Case", "Figures", "Job", "Place", "Target"]

# The rows that a case with a floor has besides its jobs.
FLOOR, DRAIN = "floor", "drain"


@dataclass(frozen=True)
class Place:
    """Where a job works.

    :param port: of the server, or of the link to it, on 127.0.0.1.
    :param folder: of the mails to look at.
    :param ca: PEM file with the authorities to trust, as many as a system has.
    :param large: a file of 30 MB.
    :param out: an empty folder for files; what lies there in the end is compared.
    """

    port: int
    user: str
    password: str
    folder: str
    ca: str
    large: str
    out: str = ""


# Called by a job when all is ready and the work begins.
Begin: TypeAlias = Callable[[], None]
# What it returns, unless that is None, must be the same in every row of a case; so must be the contents of
# the files that it leaves in `out`.
Job: TypeAlias = Callable[[Place, Begin], "int | None"]


@dataclass(frozen=True)
class Target:
    """What is promised: a figure of a row is at most so much, or so many times that of another row.

    :param figure: name of a field or property of `Figures`.
    :param over: the other row; empty for an absolute bound.
    """

    row: str
    figure: str
    at_most: float
    over: str = ""


@dataclass(frozen=True)
class Case:
    """One thing to do, and who does it.

    :param title: what is done.
    :param service: the server: `imap`, `pop3`, `imaps`, `smtp`; or empty.
    :param jobs: label to job, as `module:function`, since each process imports its own alone; ours first.
    :param floor: name of the same job in `floor`, if it is there; its drain is measured with it.
    :param mailbox: `many` (10,000 mails, and the folder Pdf) or `large` (one mail of 137 MB).
    :param delay: seconds that each direction of the link to the server takes.
    :param rounds: how often each row is timed.
    :param decodes: decoding base64 takes longer than the way, so the floor cannot be as fast as its drain.
    """

    title: str
    service: str
    jobs: Mapping[str, str]
    targets: tuple[Target, ...] = ()
    floor: str = ""
    mailbox: str = "many"
    folder: str = "INBOX"
    delay: float = 0.0
    rounds: int = 3
    decodes: bool = False

    @property
    def rows(self) -> dict[str, str]:
        """All that is measured: label to job."""
        by_hand = f"floor:{self.floor}"
        floors = {FLOOR: by_hand, DRAIN: f"{by_hand}.drain"} if self.floor else {}
        return {**floors, **self.jobs}


@dataclass(frozen=True)
class Figures:
    """What a row took: medians.

    :param wall: seconds, from before the connection to after it.
    :param cpu: seconds of this process.
    :param peak: MB of memory over that at the beginning, imports done.
    :param up: bytes to the server.
    :param down: bytes from the server.
    :param trips: round trips: how often the client spoke after the server had.
    """

    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    up: int = 0
    down: int = 0
    trips: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of both directions."""
        return self.up + self.down
