"""Ports for the real servers: a run of free ones, the same on every loopback address that the bed uses."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["Ports", "reservations"]

#: Below 32768, where Linux begins to hand out ports to clients, and above what services use.
_FIRST, _BLOCK, _BLOCKS = 20000, 20, 600


@dataclass(frozen=True)
class Ports:
    """The ports of one bed."""

    imap: int
    imaps: int
    pop3: int
    pop3s: int
    lmtp: int
    sasl: int
    smtp: int
    submission: int
    smtps: int
    policy: int
    cyrus_imap: int
    cyrus_imaps: int
    cyrus_prefixed: int
    cyrus_pop3: int
    cyrus_pop3s: int
    authority: int


def reservations(hosts: Sequence[str]) -> Generator[Ports, None, None]:
    """Yield blocks of ports, one try after the other, beginning at a place that depends on the process.

    The first port of the current block stays bound by this process until the next one is asked for or the
    generator is closed, and blocks lie on a fixed grid: so two beds never get the same block, even when both
    look at the same instant. Another program may still take a port between the look and the use; then the
    caller asks for the next block.
    """
    for number in range(_BLOCKS):
        base = _FIRST + (os.getpid() * 7 + number) % _BLOCKS * _BLOCK
        with contextlib.ExitStack() as guard, contextlib.suppress(OSError):
            guard.enter_context(_bound(hosts[0], base))
            ports = Ports(*range(base + 1, base + 1 + len(Ports.__dataclass_fields__)))
            _look(hosts, ports)
            yield ports
    raise OSError("there is no free block of ports")


def _look(hosts: Sequence[str], ports: Ports) -> None:
    """Raise OSError if one of the ports is taken on one of the addresses."""
    with contextlib.ExitStack() as stack:
        for port in astuple(ports):
            for host in hosts:
                stack.enter_context(_bound(host, port))


def _bound(host: str, port: int) -> socket.socket:
    probe = socket.socket()
    try:
        probe.bind((host, port))
    except OSError:
        probe.close()
        raise
    return probe
