"""All that the fake knows: mailboxes, tokens, what is switched off, what has come and gone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.errors import GraphError, access_denied, bad_request
from tests.servers.graph.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.servers.graph.delta import Round
    from tests.servers.graph.tokens import Token, Tokens
    from tests.servers.graph.uploads import Upload

__all__ = ["Seen", "Sent", "Site"]


@dataclass
class Seen:
    """A request that came.

    :param path: below the host, percent-encoded, without the query.
    :param headers: names in lower case, without Authorization.
    :param at: as time.monotonic.
    :param in_flight: requests under way for this mailbox, this one too.
    :param status: of the answer; 0 while there is none.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    length: int
    at: float
    in_flight: int = 1
    status: int = 0


@dataclass(frozen=True)
class Sent:
    """A mail that was accepted: who sent it, to whom, and its MIME as it is delivered."""

    mailbox: str
    recipients: tuple[str, ...]
    message_id: str


class Site:
    """The state behind the addresses.

    :param addresses: of the mailboxes.
    """

    def __init__(self, addresses: Iterable[str], tokens: Tokens) -> None:
        self._addresses = list(addresses)
        self.tokens = tokens
        #: Where uploads go, as in ``https://127.0.0.1:20444``.
        self.upload_base = ""
        #: Held while a request is handled, and while a test changes something.
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Begin anew, with other ids; tokens stay. What is under way counts no more."""
        self.mailboxes = {address.casefold(): Mailbox(address) for address in self._addresses}
        self.tokens.challenged.clear()
        self.off: set[Behaviour] = set()
        self.requests: list[Seen] = []
        self.sent: list[Sent] = []
        #: What was wrong with requests and answers: a test must not end with anything here.
        self.violations: list[str] = []
        self.in_flight: Counter[str] = Counter()
        #: Most requests that were in flight at one time, by mailbox.
        self.peak: Counter[str] = Counter()
        #: Seconds that each answer takes at least.
        self.latency = 0.0
        #: Seconds until what was sent is in Sent Items.
        self.sent_delay = 0.05
        #: Work to be done at a time (time.monotonic): copies in Sent Items.
        self._later: list[tuple[float, Callable[[], None]]] = []
        #: Uploads under way, by the end of their address.
        self.uploads: dict[str, Upload] = {}
        #: Rounds of delta, by the tokens of their links.
        self.rounds: dict[str, Round] = {}

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Have something done when that time is over."""
        self._later.append((time.monotonic() + seconds, work))

    def do_what_is_due(self) -> None:
        """Do what should have been done by now."""
        now = time.monotonic()
        due = [work for at, work in self._later if at <= now]
        self._later = [(at, work) for at, work in self._later if at > now]
        for work in due:
            work()

    def has(self, behaviour: Behaviour) -> bool:
        """Whether the fake does so now."""
        return behaviour not in self.off

    def mailbox_of(self, key: str, token: Token) -> Mailbox:
        """The mailbox of an address.

        :param key: an address, or empty for ``/me``.
        :raises GraphError: there is none, or the token does not open it.
        """
        if not key:
            if token.login is None and self.has(Behaviour.ME_NEEDS_A_PERSON):
                raise bad_request(
                    "BadRequest", "/me request is only valid with delegated authentication flow."
                )
            key = token.login or next(iter(self.mailboxes))
        mailbox = self.mailboxes.get(key.casefold())
        if mailbox is None and not self.has(Behaviour.MAILBOX_UNKNOWN):
            mailbox = self.mailboxes[next(iter(self.mailboxes))]
        if mailbox is None:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{key}' is invalid.")
        if not mailbox.enabled and self.has(Behaviour.MAILBOX_NOT_ENABLED):
            raise GraphError(
                404,
                "MailboxNotEnabledForRESTAPI",
                "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            )
        allowed = {mailbox.address.casefold(), *map(str.casefold, mailbox.shared_with)}
        own_only = token.login is not None and self.has(Behaviour.OWN_MAILBOX_ONLY)
        if own_only and token.login is not None and token.login.casefold() not in allowed:
            raise access_denied()
        return mailbox
