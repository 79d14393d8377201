"""Requests to one mailbox of Microsoft 365, with everything that each of them needs. For one thread."""

from __future__ import annotations

import base64
import json
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.backends.graph.limits import Tries, in_flight
from airflow_email_conn.backends.graph.token import AccessToken
from airflow_email_conn.errors import CapabilityError, EmailError, ProtocolError
from airflow_email_conn.https import HttpsClient, retry_after
from airflow_email_conn.model.hosts import is_allowed
from airflow_email_conn.trust import Trust
from airflow_email_conn.wire.graph import paths
from airflow_email_conn.wire.graph.challenge import claims_challenge
from airflow_email_conn.wire.graph.errors import (
    AccessDeniedError,
    Asked,
    OutcomeUnknownError,
    problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_email_conn.backends.base import OnStep, Renew
    from airflow_email_conn.incoming import Incoming
    from airflow_email_conn.model.server import Credential, Server

__all__ = ["GraphSession"]

# Bytes of a JSON answer. A page of 50 mails with all their header fields has some MB.
_MAX_JSON: Final = 64 * 1024 * 1024
_MAX_ERROR: Final = 256 * 1024  # bytes of an error's body
_ID_TYPE: Final = 'IdType="ImmutableId"'  # Graph: "Get immutable identifiers for Outlook resources"
_UNAUTHORIZED: Final = 401
_THROTTLED: Final = 429


class GraphSession:
    """Requests to one mailbox. Every one of them ends by a deadline, raises what is wrong, and tries again
    what may be tried again.

    All raise AuthenticationError (AccessDeniedError: a permission is missing), MailNotFoundError (what is
    asked for is not there, whatever it is), UnavailableError, ProtocolError, and NetworkError.

    :param server: of the protocol `graph`, with a bearer credential.
    :ivar inbox_id: the id of the Inbox; empty before `open`.
    """

    def __init__(self, server: Server, renew: Renew) -> None:
        if server.credential.kind != "bearer":
            raise CapabilityError("signing in to Microsoft 365 takes an access token (bearer)")
        self._server = server
        self._token = AccessToken(server.credential, renew)
        self._root = paths.root(server.url, server.credential.user)
        self._where = f"{server.host} port {server.port}"
        self._http: HttpsClient | None = None
        self.inbox_id = ""

    @classmethod
    def open(
        cls, server: Server, on_step: OnStep, renew: Renew, *, may_be_denied: bool = False
    ) -> GraphSession:
        """Connect, and look whether the mailbox is there and may be read.

        :param renew: asked for another token when this one is refused, or ends soon.
        :param may_be_denied: see `look`.
        :raises CapabilityError: the credential is no access token.
        :raises AuthenticationError, ConnectError, TLSError, DeadlineError, UnavailableError, ProtocolError:
        """
        session = cls(server, renew)
        on_step("connect")
        try:
            on_step("mailbox")
            session.look(may_be_denied=may_be_denied)
        except BaseException:
            session.close()
            raise
        return session

    def look(self, *, may_be_denied: bool = False) -> None:
        """Find the Inbox.

        :param may_be_denied: whoever may only send has a mailbox too, and cannot look.
        :raises AuthenticationError: no such mailbox, or it may not be read.
        """
        path = "/mailFolders/inbox"
        url = paths.address(self._root, path, {"$select": "id"})
        request = _Request("GET", path, url, _preferring(()), may_be_denied=may_be_denied)
        try:
            self.inbox_id = str(self._json(request).get("id", ""))
        except AccessDeniedError:
            if not may_be_denied:
                raise

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return self._where

    @property
    def mailbox(self) -> str:
        """Whose it is: an address."""
        return self._server.credential.user

    @property
    def signed_in_until(self) -> float | None:
        """When the access token ends, as time.time; None: never, or not known."""
        return self._token.expires_at

    def beside(self) -> GraphSession:
        """Another session for the same mailbox, with the same token, for another thread."""
        other = GraphSession(self._server, self._token.renew)
        other._token = self._token
        other.inbox_id = self.inbox_id
        return other

    # ------------------------------------------------------------ requests

    def get(self, path: str, query: Mapping[str, str] | None = None, *, prefer: Sequence[str] = ()) -> Any:
        """GET. :returns: the JSON object.

        :param path: below the mailbox, such as /mailFolders/inbox; ids quoted by `paths.segment`.
        :param query: such as {"$top": "50"}; values as they are.
        :param prefer: more preferences, such as odata.maxpagesize=500.
        """
        return self._json(_Request("GET", path, paths.address(self._root, path, query), _preferring(prefer)))

    def follow(self, link: str, *, prefer: Sequence[str] = ()) -> Any:
        """GET of a link that the server gave (nextLink, deltaLink). :raises ProtocolError: to elsewhere."""
        if not paths.is_below(self._server.url, link):
            raise ProtocolError(f"{self._where} gave a link to another server, which is not followed")
        return self._json(_Request("GET", "", link, _preferring(prefer)))

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | bytearray | None = None,
        *,
        is_repeatable: bool = False,
        patience: float = 1.0,
    ) -> Any:
        """POST of JSON. :returns: the JSON object, empty for an empty answer.

        :param body: also as JSON already.
        :param is_repeatable: it does no harm when it is done twice.
        :param patience: times the timeout, for the answer.
        :raises OutcomeUnknownError: it may have been done.
        """
        request = self._changing("POST", path, body, is_repeatable=is_repeatable, patience=patience)
        return self._json(request)

    def post_mime(self, path: str, pieces: Iterable[bytes], *, patience: float = 1.0) -> Any:
        """POST of a mail as MIME (Graph: "Outlook MIME format"); all of it is in memory, as base64.

        :param pieces: the mail (RFC 5322).
        :param patience: times the timeout, for the answer.
        :raises OutcomeUnknownError: it may have been done.
        """
        headers = {**_preferring(()), "Content-Type": "text/plain"}
        body = _in_base64(pieces)
        return self._json(_Request("POST", path, self._root + path, headers, body, patience=patience))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """PATCH. :returns: the JSON object as it is then."""
        return self._json(self._changing("PATCH", path, body))

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        """GET of bytes, such as `$value`, as they come. It counts as in flight until the end.

        Whoever leaves before their end breaks the connection off; the session goes on with another.
        """
        request = _Request("GET", path, self._root + path, _preferring(()), is_streamed=True)
        with self._asked(request) as answered:
            yield answered.incoming.pieces()

    def upload(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, Mapping[str, str], str]:
        """One request to an address of the server's that needs no token, tried once: of an upload.

        :param url: https, of a host that the deployment allows; never shown.
        :returns: status, header fields (in lower case) and body of any answer.
        """
        with (
            in_flight(self._root, self._server.timeout, self._where),
            self._client().exchange(method, url, headers=headers, body=body) as incoming,
        ):
            text = incoming.text(_MAX_ERROR)
        return incoming.status_code, incoming.headers, text

    @property
    def is_left_open(self) -> bool:
        """Whether the last request was sent, and its answer not waited for: somebody interrupted this."""
        return self._http is not None and self._http.is_left_open

    def close(self) -> None:
        """Close the connection; never raises."""
        if self._http:
            self._http.close()
            self._http = None

    # ------------------------------------------------------------ how

    def _changing(
        self, method: str, path: str, body: Mapping[str, Any] | bytearray | None, **how: Any
    ) -> _Request:
        headers = {**_preferring(()), "Content-Type": "application/json"}
        content = body if isinstance(body, bytearray) else json.dumps(body).encode() if body else b""
        return _Request(method, path, self._root + path, headers, content, **how)

    def _json(self, request: _Request) -> Any:
        with self._asked(request) as answered:
            pass
        if not answered.text:
            return {}
        try:
            found = json.loads(answered.text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ProtocolError(f"{self._where} answered something that is no JSON object")
        return found

    @contextmanager
    def _asked(self, request: _Request) -> Iterator[_Answered]:
        """The answer, which is no error; tried again as often as may be."""
        is_repeatable = request.is_repeatable or request.method != "POST"
        tries, was_renewed = Tries(is_repeatable=is_repeatable), False
        while True:
            credential = self._token.current()
            with ExitStack() as under_way:
                outcome = self._outcome(request, credential, under_way)
                if not isinstance(outcome, _Failure):
                    yield outcome
                    return
            if not was_renewed and self._may_be_the_token(outcome, request):
                was_renewed = True
                self._token.replace(credential, outcome.claims)
            elif outcome.is_ambiguous and not is_repeatable:
                raise OutcomeUnknownError(outcome.error.message, outcome.error.server_text) from outcome.error
            else:
                tries.pause(outcome.error, is_throttled=outcome.status == _THROTTLED)

    def _outcome(
        self, request: _Request, credential: Credential, under_way: ExitStack
    ) -> _Answered | _Failure:
        """An answer, which is under way then if it is streamed; or why there is none."""
        http, was_asked = self._client(), False
        # Outside: who has waited for a place in vain does not queue again.
        under_way.enter_context(in_flight(self._root, self._server.timeout, self._where))
        try:
            headers = {**request.headers, "Authorization": f"Bearer {credential.secret}"}
            was_asked = True
            incoming = under_way.enter_context(
                http.exchange(
                    request.method,
                    request.url,
                    headers=headers,
                    body=request.body,
                    patience=request.patience,
                )
            )
            is_good = 200 <= incoming.status_code < 300
            if is_good and request.is_streamed:
                return _Answered(incoming)
            body = incoming.text(_MAX_JSON if is_good else _MAX_ERROR)
        except EmailError as exc:
            return _Failure(exc, is_ambiguous=was_asked and http.was_sent)
        if is_good:
            return _Answered(incoming, body)
        asked = Asked(request.method, request.path, self.mailbox, self._where)
        answered = incoming.headers
        pause = retry_after(answered, time.time())
        error = problem(incoming.status_code, answered, body, asked, pause)
        claims = claims_challenge(answered.get("www-authenticate", ""))
        return _Failure(error, incoming.status_code, claims, is_ambiguous=incoming.status_code >= 500)

    def _may_be_the_token(self, failure: _Failure, request: _Request) -> bool:
        """Whether a new token could help: also against a permission that is younger than the token."""
        if failure.status == _UNAUTHORIZED:
            return True
        is_denied = isinstance(failure.error, AccessDeniedError) and not request.may_be_denied
        return is_denied and self._token.is_first

    def _client(self) -> HttpsClient:
        """The connections; new ones after some were broken off."""
        if self._http and self._http.is_given_up:
            self.close()
        if self._http is None:
            server = self._server
            trust = Trust.of(server)
            self._http = HttpsClient(trust, server.timeout, lambda host: is_allowed(host, server.link_hosts))
        return self._http


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str  # for messages
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | bytearray | None = field(default=None, repr=False)
    is_streamed: bool = False
    is_repeatable: bool = False
    may_be_denied: bool = False
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class _Answered:
    incoming: Incoming
    text: str = field(default="", repr=False)  # of what is not streamed


@dataclass(frozen=True, slots=True)
class _Failure:
    error: EmailError
    status: int = 0
    claims: str = field(default="", repr=False)
    is_ambiguous: bool = False  # the server may have done what it was asked for


def _preferring(more: Sequence[str]) -> dict[str, str]:
    """The header fields of every request; what it prefers, in one."""
    return {
        "Accept": "*/*",
        "Prefer": ", ".join([_ID_TYPE, *more]),
        "client-request-id": str(uuid.uuid4()),
    }


def _in_base64(pieces: Iterable[bytes]) -> bytearray:
    """Encoded piece by piece, so that the mail itself is not in memory as a whole beside it."""
    encoded, rest = bytearray(), b""
    for piece in pieces:
        data = rest + piece
        cut = len(data) - len(data) % 3
        encoded += base64.b64encode(data[:cut])
        rest = data[cut:]
    encoded += base64.b64encode(rest)
    return encoded
