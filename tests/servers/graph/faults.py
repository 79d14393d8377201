"""What goes wrong on demand: for certain requests, once or often, before or after they were handled."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fault", "Faults"]


@dataclass
class Fault:
    """One way to go wrong.

    :param match: a regular expression that is searched for in ``METHOD path?query``.
    :param kind: ``status``: an error answer. ``close``: the connection ends without an answer. ``cut``: it
        ends in the body, after `octets`. ``stall``: nothing comes, for `seconds`. ``stall-body``: nothing
        comes after `octets` of the body. ``garbage``: 200 and a body that is no JSON.
    :param after: whether the request is handled all the same, and its answer is lost.
    :param skip: how many matching requests go by unharmed first.
    :param times: how many are hit; None for all.
    :param headers: of a ``status``, as in ``{"Retry-After": "1"}``.
    """

    match: str
    kind: Literal["status", "close", "cut", "stall", "stall-body", "garbage"] = "status"
    status: int = 503
    code: str = "serviceNotAvailable"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    skip: int = 0
    times: int | None = 1
    octets: int = 100
    seconds: float = 3600.0
    #: How many requests it has hit.
    hits: int = 0

    def hits_now(self, request: str) -> bool:
        """Whether it hits this request; counts."""
        if not re.search(self.match, request) or (self.times is not None and self.hits >= self.times):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True


class Faults:
    """Those that are in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Let something go wrong from now on."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Heal everything."""
        self._faults.clear()

    def of(self, request: str) -> Fault | None:
        """The first that hits a request."""
        return next((fault for fault in self._faults if fault.hits_now(request)), None)
