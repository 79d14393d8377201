"""Requests over https: a deadline for the whole of each, and a bound on what comes back. The only `httpx`."""

from __future__ import annotations

import queue
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from airflow_email_conn.errors import (
    ConnectError,
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    SettingsError,
    UnavailableError,
)
from airflow_email_conn.lifeline import on_cut
from airflow_email_conn.trust import tls_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from airflow_email_conn.trust import Trust

__all__ = ["Answer", "HttpsClient"]

_MAX_BODY: Final = 1024 * 1024  # bytes; a token takes 10 kB, the longest discovery document 5
_LONGEST_PAUSE: Final = 86400.0  # seconds that a server may ask to be left alone for; more is nonsense
_SHUT_RDWR: Final = 2
_SAFE_URL: Final = re.compile(r"[\x21-\x7e]{1,4000}")


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
        self._users = 1  # this object, and a thread that asks
        self._lock = threading.Lock()
        context = trust.context_for_https()
        try:
            self._client = httpx.Client(
                verify=context,
                timeout=timeout,
                follow_redirects=False,
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
        """One request.

        :param url: https.
        :param params, data: of the query, and of the body as a form; dicts.
        :returns: any answer but those below.
        :raises SettingsError: the host may not be asked.
        :raises UnavailableError: status 408, 429 or 5xx; with `retry_after` where the server said.
        :raises ProtocolError: more than 1 MB, or no HTTP.
        :raises ConnectError, TLSError, DeadlineError, NetworkError:
        """
        where = self._where(url)
        request = self._client.build_request(
            method,
            url,
            params=params,
            data=data,
            headers=headers,
            extensions={"timeout": httpx.Timeout(self._timeout).as_dict(), "trace": self._remember},
        )
        answer = self._in_time(request, where)
        if answer.status_code in {408, 429} or answer.status_code >= 500:
            raise UnavailableError(
                f"{where} cannot answer now (status {answer.status_code})",
                retry_after=retry_after(answer.headers, time.time()),
            )
        return answer

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

    def _in_time(self, request: httpx.Request, where: str) -> Answer:
        """In a thread of its own: resolving knows no time-out, and headers may come byte by byte."""
        result: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                result.put(self._ask(request, where))
            except Exception as exc:  # noqa: BLE001 - the caller raises it
                result.put(exc)
            finally:
                self._let_go()

        def end() -> None:
            result.put(NetworkError(f"the request to {where} was broken off"))
            self._interrupt()

        on_cut(end)
        with self._lock:
            self._users += 1
        threading.Thread(target=ask, name=f"https {where}", daemon=True).start()
        try:
            answer = result.get(timeout=self._timeout)
        except queue.Empty:
            self._interrupt()
            raise DeadlineError(
                f"{where}: no answer within {self._timeout:g} s (the connection's timeout)"
            ) from None
        if isinstance(answer, Exception):
            raise _problem(answer, where)
        return answer

    def _ask(self, request: httpx.Request, where: str) -> Answer:
        response = self._client.send(request, stream=True)
        try:
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                if len(body) > _MAX_BODY:
                    raise ProtocolError(f"{where} sent more than {_MAX_BODY} bytes")
        finally:
            response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, body.decode("utf-8", "replace"))

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
        if self._is_given_up and event.endswith("send_request_headers.started"):
            # The name was resolved late. A refresh token that is sent now may be an old one meanwhile.
            raise NetworkError("the request was given up")
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    def _interrupt(self) -> None:
        self._is_given_up = True
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(_SHUT_RDWR)


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
