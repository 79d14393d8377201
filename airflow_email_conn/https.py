"""Requests over https: a deadline and a bound for each. The only `httpx`."""

from __future__ import annotations

import logging
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from airflow_email_conn.deadline import Deadline
from airflow_email_conn.errors import (
    ConnectError,
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    SettingsError,
    UnavailableError,
)
from airflow_email_conn.incoming import END, Head, Incoming
from airflow_email_conn.lifeline import on_cut
from airflow_email_conn.trust import tls_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Self

    from airflow_email_conn.trust import Trust

__all__ = ["Answer", "HttpsClient", "retry_after"]

_MAX_BODY: Final = 1024 * 1024  # bytes; a token takes 10 kB, the longest discovery document 5
_LONGEST_PAUSE: Final = 86400.0  # seconds that a server may ask to be left alone for; more is nonsense
# Seconds for which an idle connection is used again: longer than the minute between two looks of a trigger,
# shorter than routers remember it (4 minutes and more). One that the server has closed is noticed before.
_IDLE: Final = 90.0
_SHUT_RDWR: Final = 2
# Graph's delta links have some kB; servers refuse request lines of more than 16.
_SAFE_URL: Final = re.compile(r"[\x21-\x7e]{1,16000}")
_SLICE: Final = 64 * 1024  # bytes of a body that are handed to the network at a time


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    :param headers: names in lower case.
    :param text: the body; never shown, since it may hold tokens.
    """

    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)

    def raise_for_status(self) -> None:
        """MSAL calls it for what it has no other use for. :raises ProtocolError: an error status."""
        if self.status_code >= 400:
            raise ProtocolError(f"the answer has the status {self.status_code}")


class _Silence(logging.Filter):
    """Leaves our requests out of httpx's log, which has their addresses in full at INFO: whoever has that of
    an upload may write into a mail. Requests of others in this process are logged as before.
    """

    def filter(self, _record: logging.LogRecord) -> bool:
        """Whether it is to be logged; asked by the thread that logs."""
        return not getattr(_thread, "is_ours", False)


_SILENCE: Final = _Silence()
_LOGGERS: Final = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")
_thread = threading.local()


class HttpsClient:
    """Asks https servers; connections stay open until it is closed. For one thread.

    Proxies are those of the environment (HTTPS_PROXY, NO_PROXY). Redirects are not followed: they could lead
    a secret to another host.

    :param timeout: seconds for each request, from the name's resolution to the last byte.
    :param allows: whether a host may be asked.
    :raises SettingsError: the CA certificates cannot be read, or the environment's proxies not be used.
    """

    def __init__(self, trust: Trust, timeout: float, allows: Callable[[str], bool]) -> None:
        self._timeout = timeout
        self._allows = allows
        self._sockets: list[Any] = []
        self._is_given_up = False
        self._last: Incoming | None = None
        self._was_sent = False
        self._users = 1  # this object, and a thread that asks
        self._lock = threading.Lock()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_SILENCE)
        context = trust.context_for_https()
        try:
            self._client = httpx.Client(
                verify=context,
                timeout=timeout,
                follow_redirects=False,
                limits=httpx.Limits(keepalive_expiry=_IDLE),
                headers={"User-Agent": "airflow-email-conn", "Accept-Encoding": "identity"},
            )
        except (ValueError, ImportError, httpx.InvalidURL):  # what it says may hold the proxy's password
            raise SettingsError(
                "HTTPS_PROXY, ALL_PROXY or NO_PROXY in this process's environment cannot be used: proxies"
                " have addresses such as http://host:port"
            ) from None

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> Answer:
        """GET, as MSAL calls it. Raises as `request`."""
        return self.request("GET", url, params=params, headers=headers)

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> Answer:
        """POST of a form, as MSAL calls it. Raises as `request`."""
        return self.request("POST", url, params=params, data=data, headers=headers)

    def request(
        self, method: str, url: str, *, params: Any = None, data: Any = None, headers: Any = None
    ) -> Answer:
        """One request, whose time does not grow with what is sent and received.

        :param url: https.
        :param params, data: of the query, and of the body as a form; dicts.
        :returns: any answer but those below.
        :raises SettingsError: the host may not be asked.
        :raises UnavailableError: status 408, 429 or 5xx; with `retry_after` where the server said.
        :raises ProtocolError: more than 1 MB, or no HTTP.
        :raises ConnectError, TLSError, DeadlineError, NetworkError:
        """
        where = self._where(url)
        deadline = Deadline(self._timeout, f"{where}: no answer")
        with self._asking(
            deadline, where, method, url, params=params, data=data, headers=headers
        ) as incoming:
            answer = Answer(incoming.status_code, incoming.headers, incoming.text(_MAX_BODY))
        if answer.status_code in {408, 429} or answer.status_code >= 500:
            raise UnavailableError(
                f"{where} cannot answer now (status {answer.status_code})",
                retry_after=retry_after(answer.headers, time.time()),
            )
        return answer

    @contextmanager
    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | bytearray | None = None,
        patience: float = 1.0,
    ) -> Iterator[Incoming]:
        """One request, and its answer as it comes in, whatever its status.

        The time for it is given again with every 16 kB that were sent or received, and does not pass while
        the caller has its turn. Whoever leaves before the end of the answer, leaves the client given up.

        :param url: https.
        :param body: sent with its length; None for none.
        :param patience: times the timeout.
        :raises SettingsError, ConnectError, TLSError, DeadlineError, NetworkError: as `request`.
        """
        self._was_sent = False
        where = self._where(url)
        deadline = Deadline(self._timeout * patience, f"{method} at {where}", renewable=True)
        fields = dict(headers) if body is None else {**headers, "Content-Length": str(len(body))}
        content = None if body is None else _slices(body, deadline)
        with self._asking(deadline, where, method, url, headers=fields, content=content) as incoming:
            yield incoming

    @property
    def is_given_up(self) -> bool:
        """Whether a request was broken off: then its connections are shut down, and nothing more is asked."""
        return self._is_given_up

    @property
    def was_sent(self) -> bool:
        """Whether anything of the last request may have reached the server."""
        return self._was_sent

    @property
    def is_left_open(self) -> bool:
        """Whether the last request was sent, and its answer not waited for to the end."""
        return self._was_sent and self._last is not None and not self._last.is_over

    def close(self) -> None:
        """Close the connections; never raises."""
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _where(self, url: str) -> str:
        """Host and port of an address that may be asked, for messages."""
        try:
            parts = httpx.URL(url if _SAFE_URL.fullmatch(url) else "")
        except httpx.InvalidURL:
            raise ProtocolError("the server named an address that is none") from None
        host = parts.raw_host.decode("ascii")  # as it is asked for; `parts.host` is decoded from IDNA
        if parts.scheme != "https" or not host:
            raise ProtocolError("the server named an address that is not https")
        if not self._allows(host):
            raise SettingsError(
                f"{host}: [email_conn] allowed_hosts does not allow this host; ask the administrator"
            )
        return f"{host} port {parts.port or 443}"

    @contextmanager
    def _asking(
        self, deadline: Deadline, where: str, method: str, url: str, **options: Any
    ) -> Iterator[Incoming]:
        """Around a request: what is not read to its end is broken off."""
        timeouts = httpx.Timeout(deadline.seconds, connect=self._timeout).as_dict()
        request = self._client.build_request(
            method, url, extensions={"timeout": timeouts, "trace": self._remember}, **options
        )
        incoming = self._last = Incoming(deadline, where)
        self._was_sent = False
        on_cut(lambda: self._cut(incoming, where))
        with self._lock:
            self._users += 1
        threading.Thread(
            target=self._ask, args=(request, incoming), name=f"https {where}", daemon=True
        ).start()
        try:
            incoming.begin()
            yield incoming
        finally:
            if not incoming.is_over:
                self._interrupt()
                incoming.abandon()

    def _ask(self, request: httpx.Request, incoming: Incoming) -> None:
        """In a thread of its own: resolving knows no time-out, and headers may come byte by byte."""
        _thread.is_ours = True
        try:
            response = self._client.send(request, stream=True)
            try:
                incoming.put(Head(response.status_code, _lower(response.headers)))
                for piece in response.iter_raw():
                    incoming.put(piece)
            finally:
                response.close()
            incoming.put(END)
        except Exception as exc:  # noqa: BLE001 - the caller raises it
            incoming.put(_problem(exc, incoming.where))
        finally:
            self._let_go()

    def _cut(self, incoming: Incoming, where: str) -> None:
        incoming.put(NetworkError(f"the request to {where} was broken off"))
        self._interrupt()

    def _let_go(self) -> None:
        """Close, when nobody is left: a thread that was given up may still wait for a connection, and closed
        under it, its descriptor could be another connection's, whose bytes the thread would take.
        """
        with self._lock:
            self._users -= 1
            is_last = self._users == 0
        if is_last:
            with suppress(httpx.HTTPError, OSError, RuntimeError):
                self._client.close()

    def _remember(self, event: str, info: dict[str, Any]) -> None:
        """Keep the sockets, so that they can be shut down. httpcore tells of each step."""
        if event.endswith("send_request_headers.started"):
            if self._is_given_up:
                # The name was resolved late. A refresh token that is sent now may be an old one meanwhile.
                raise NetworkError("the request was given up")
            self._was_sent = True
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets = [sock for sock in self._sockets if sock.fileno() != -1]  # a client may live long
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    def _interrupt(self) -> None:
        self._is_given_up = True
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(_SHUT_RDWR)


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _slices(body: bytes | bytearray, deadline: Deadline) -> Iterator[bytes]:
    """A body in pieces; who asks for the next one has sent the one before."""
    view = memoryview(body)
    for at in range(0, len(body), _SLICE):
        yield bytes(view[at : at + _SLICE])
        deadline.moved(min(_SLICE, len(body) - at))


def _problem(failure: Exception, where: str) -> Exception:
    """The error of ours for what httpx raises."""
    if isinstance(failure, EmailError):
        return failure
    if tls := tls_error(failure, where):
        return tls
    kinds: tuple[tuple[type[Exception], NetworkError], ...] = (
        (httpx.TimeoutException, DeadlineError(f"{where}: no answer within the connection's timeout")),
        (httpx.ProxyError, ConnectError(f"the proxy of the environment does not lead to {where}")),
        (httpx.ConnectError, ConnectError(f"cannot connect to {where}: check address, DNS and proxy")),
        (httpx.RemoteProtocolError, NetworkError(f"{where} broke off, or sent no HTTP")),
        (httpx.TransportError, NetworkError(f"the connection to {where} broke")),
        (OSError, NetworkError(f"the connection to {where} broke")),
    )
    return next((error for kind, error in kinds if isinstance(failure, kind)), failure)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds for which a server asks to be left alone (RFC 9110 10.2.3), as a number or a date.

    :param headers: names in lower case.
    :param now: as time.time.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_PAUSE)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
