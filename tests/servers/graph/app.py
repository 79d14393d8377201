"""The ASGI application: from bytes to a handler and back, with throttling, faults and checks of both ways."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from tests.servers.graph import uploads
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.call import Call, Reply, Request
from tests.servers.graph.errors import GraphError, access_denied
from tests.servers.graph.routes import find_route
from tests.servers.graph.site import Seen
from tests.servers.graph.validation import problems_of_reply, problems_of_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from tests.servers.graph.faults import Fault, Faults
    from tests.servers.graph.site import Site

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = ["App"]

#: The largest body of a request, as the strictest reading of "4 MB".
BODY_LIMIT = 4_000_000
_MOST_IN_FLIGHT = 4
#: Seconds in which the bytes of an answer leave this process.
_LEAVING = 0.02


class BrokenOffError(Exception):
    """Nothing comes any more: the connection has been closed, by either side."""


class App:
    """Graph for the mailboxes of a site."""

    def __init__(self, site: Site, faults: Faults) -> None:
        self._site = site
        self._faults = faults
        #: The transports of all connections, by the client's address; the server fills it.
        self.transports: Callable[[], dict[Any, asyncio.Transport]] = dict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request, counted = _request(scope), self._site.in_flight
        seen, whose = self._arrived(request)
        try:
            fault = self._faults.of(f"{request.method} {request.path}?{request.query_string}")
            body = await _read(receive)
            seen.length = len(body)
            await self._answer(_with_body(request, body), seen, fault, _Line(self, scope, receive, send))
        except BrokenOffError:
            return
        finally:
            counted[whose] -= 1

    def _arrived(self, request: Request) -> tuple[Seen, str]:
        """Note the request, and whose mailbox it is about."""
        segments = request.segments
        whose = segments[2].casefold() if len(segments) > 2 and segments[1] == "users" else segments[0]
        site = self._site
        site.in_flight[whose] += 1
        site.peak[whose] = max(site.peak[whose], site.in_flight[whose])
        kept = {name: value for name, value in request.headers.items() if name != "authorization"}
        now = time.monotonic()
        seen = Seen(request.method, request.path, request.query_string, kept, 0, now, site.in_flight[whose])
        site.requests.append(seen)
        return seen, whose

    async def _answer(self, request: Request, seen: Seen, fault: Fault | None, line: _Line) -> None:
        if self._site.latency:
            await asyncio.sleep(self._site.latency)
        reply = Reply()
        if fault is None or fault.after or fault.kind in {"cut", "stall-body"}:
            reply = self._reply(request, seen)
        if fault:
            reply = await self._spoiled(fault, reply, request, line)
        await self._send(request, reply, seen, line.send)

    def _reply(self, request: Request, seen: Seen) -> Reply:
        with self._site.lock:
            try:
                self._site.do_what_is_due()
                self._throttle(seen)
                reply = self._handled(request)
            except GraphError as error:
                reply = _error(request, error, self._site)
            except Exception as error:  # noqa: BLE001 - a fault of the fake's own must not look like Graph's
                self._site.violations.append(f"the fake failed: {request.method} {request.path}: {error!r}")
                reply = _error(request, GraphError(500, "generalException"), self._site)
        self._site.violations += problems_of_reply(request, reply)
        return reply

    def _throttle(self, seen: Seen) -> None:
        if seen.in_flight > _MOST_IN_FLIGHT and self._site.has(Behaviour.FOUR_IN_FLIGHT):
            raise GraphError(
                429,
                "ApplicationThrottled",
                "Application is over its MailboxConcurrency limit.",
                {"Retry-After": "1"},
            )

    def _handled(self, request: Request) -> Reply:
        site = self._site
        if request.path.startswith("/uploads/"):
            return uploads.answer(site, request)
        token = site.tokens.check(request.headers, site.off)
        if len(request.body) > BODY_LIMIT and site.has(Behaviour.BODY_LIMIT):
            raise GraphError(413, "RequestEntityTooLarge", "The request body is too large.")
        whose, segments = _mailbox_and_rest(request)
        mailbox = site.mailbox_of(whose, token)
        route, arguments = find_route(request.method, segments)
        if not token.may(route.permission) and site.has(Behaviour.PERMISSION_NEEDED):
            raise access_denied()
        site.violations += problems_of_request(route.path, request)
        return route.handler(Call(site, mailbox, request), **arguments)

    async def _spoiled(self, fault: Fault, reply: Reply, request: Request, line: _Line) -> Reply:
        """What a fault makes of an answer.

        :raises BrokenOffError: nothing comes any more.
        """
        if fault.kind == "status":
            error = GraphError(fault.status, fault.code, "A fault on demand.", fault.headers)
            return _error(request, error, self._site)
        if fault.kind == "garbage":
            return Reply(200, b"<html>\x00\xff this is no JSON", {"Content-Type": "application/json"})
        if fault.kind in {"cut", "stall-body"}:
            await self._send_part(fault, reply, request, line.send)
        if fault.kind in {"stall", "stall-body"}:
            await line.wait(fault.seconds)
        await line.hang_up()
        raise BrokenOffError

    async def _send_part(self, fault: Fault, reply: Reply, request: Request, send: Send) -> None:
        """Begin to answer, and stop within the body."""
        body = b"".join(_pieces(reply))
        length = {"Content-Length": str(max(len(body), fault.octets + 1))}
        await send(_start(reply.status, {**_headers(request, reply, self._site), **length}))
        await send({"type": "http.response.body", "body": body[: fault.octets], "more_body": True})

    async def _send(self, request: Request, reply: Reply, seen: Seen, send: Send) -> None:
        headers = _headers(request, reply, self._site)
        seen.status = reply.status
        if isinstance(reply.body, (dict, bytes)):
            body = b"".join(_pieces(reply))
            if reply.status != 204:
                headers["Content-Length"] = str(len(body))
            await send(_start(reply.status, headers))
            await send({"type": "http.response.body", "body": body})
            return
        await send(_start(reply.status, headers))
        for piece in _pieces(reply):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class _Line:
    """The connection of a request."""

    def __init__(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        self._transports = app.transports
        self._client = scope["client"]
        self._receive = receive
        self.send = send

    async def wait(self, seconds: float) -> None:
        """Do nothing, until the client leaves or the time is over."""
        try:
            await asyncio.wait_for(self._receive(), seconds)
        except asyncio.TimeoutError:
            return

    async def hang_up(self) -> None:
        """Cut the connection, once what was sent has left."""
        await asyncio.sleep(_LEAVING)
        transport = self._transports().get(self._client)
        if transport:
            transport.abort()
            await self._receive()  # until the server has noticed


def _request(scope: Scope) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(
        scope["method"],
        scope["raw_path"].decode("ascii"),
        scope["query_string"].decode("ascii"),
        headers,
        b"",
        f"https://{headers.get('host', '')}",
    )


def _with_body(request: Request, body: bytes) -> Request:
    return Request(request.method, request.path, request.query_string, request.headers, body, request.base)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise BrokenOffError
        body += event.get("body", b"")
        if not event.get("more_body"):
            return bytes(body)


def _mailbox_and_rest(request: Request) -> tuple[str, list[str]]:
    """The address, empty for /me, and the segments below it.

    :raises GraphError: it is about something else.
    """
    segments = request.segments
    if segments[0] == "v1.0" and segments[1:2] == ["me"]:
        return "", segments[2:]
    if segments[0] == "v1.0" and segments[1:2] == ["users"] and len(segments) > 3:
        return segments[2], segments[3:]
    raise GraphError(400, "BadRequest", "Resource not found.")


def _error(request: Request, error: GraphError, site: Site) -> Reply:
    inner = {"date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())}
    if site.has(Behaviour.REQUEST_ID):
        inner["request-id"] = str(uuid.uuid4())
        inner["client-request-id"] = request.headers.get("client-request-id", inner["request-id"])
    body = {"error": {"code": error.code, "message": error.message, "innerError": inner}}
    return Reply(error.status, body, error.headers)


def _headers(request: Request, reply: Reply, site: Site) -> dict[str, str]:
    headers = {"Content-Type": "application/json; odata.metadata=minimal"} if reply.body else {}
    if site.has(Behaviour.REQUEST_ID):
        inner = reply.body.get("error", {}).get("innerError", {}) if isinstance(reply.body, dict) else {}
        headers["request-id"] = inner.get("request-id") or str(uuid.uuid4())
        headers["client-request-id"] = request.headers.get("client-request-id", headers["request-id"])
    return {**headers, **reply.headers}


def _pieces(reply: Reply) -> Iterable[bytes]:
    if isinstance(reply.body, dict):
        return [json.dumps(reply.body).encode()]
    return [reply.body] if isinstance(reply.body, bytes) else reply.body


def _start(status: int, headers: dict[str, str]) -> dict[str, Any]:
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": encoded}
