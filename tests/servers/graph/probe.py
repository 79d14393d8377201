"""What the fake's own tests ask it with: plain httpx, and nothing of the package."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from tests.servers.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Self

    from tests.servers.graph.behaviours import Behaviour
    from tests.servers.graph.items import Message
    from tests.servers.graph.server import GraphServer

__all__ = ["IMMUTABLE", "PROOFS", "ROBOT", "VENDOR", "Probe", "at", "proves"]

ROBOT, VENDOR = "robot@example.test", "vendor@example.test"
IMMUTABLE: dict[str, Any] = {"Prefer": 'IdType="ImmutableId"'}
_WAIT = 5.0
#: The test of each behaviour.
PROOFS: dict[Behaviour, Callable[[Probe], None]] = {}


def proves(behaviour: Behaviour) -> Callable[[Callable[[Probe], None]], Callable[[Probe], None]]:
    """Say that a test fails when the fake does not do so."""

    def note(test: Callable[[Probe], None]) -> Callable[[Probe], None]:
        assert behaviour not in PROOFS
        PROOFS[behaviour] = test
        return test

    return note


class Probe:
    """A client of one mailbox: the robot's, with a token of the robot."""

    def __init__(self, graph: GraphServer) -> None:
        self.graph = graph
        self.root = f"{graph.url}/v1.0/users/{ROBOT}"
        self.token = graph.token(ROBOT)
        self.http = httpx.Client(verify=client_context(graph.ca), timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, query: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """One request.

        :param path: below the mailbox, or a whole address.
        :param more: headers, json or content.
        """
        url = path if path.startswith("https:") else self.root + path
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= more.pop("headers", {})
        return self.http.request(method, url, params=query, headers=headers, **more)

    def get(self, path: str, query: dict[str, str] | None = None, **headers: Any) -> dict[str, Any]:
        """The JSON of a GET, which has to be 200."""
        response = self.ask("GET", path, query, headers=headers)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: Any) -> httpx.Response:
        """A POST of JSON."""
        return self.ask("POST", path, headers=headers, **({} if body is None else {"json": body}))

    def post_mime(self, path: str, raw: bytes, **headers: Any) -> httpx.Response:
        """A POST of MIME."""
        headers = {"Content-Type": "text/plain", **headers}
        return self.ask("POST", path, headers=headers, content=base64.b64encode(raw))

    def put(self, url: str, piece: bytes, start: int, total: int, **headers: Any) -> httpx.Response:
        """A piece of an upload, without Authorization."""
        span = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{total}"}
        return self.http.put(url, content=piece, headers={**span, **headers})

    def pages(
        self, path: str, query: dict[str, str] | None = None, **headers: Any
    ) -> Iterator[dict[str, Any]]:
        """All pages, the one that ends a round of delta too."""
        page = self.get(path, query, **headers)
        yield page
        while link := page.get("@odata.nextLink"):
            page = self.get(link, **headers)
            yield page

    def round(self, path: str, query: dict[str, str] | None = None, **headers: Any) -> tuple[list[Any], str]:
        """All items of a round of delta, and its deltaLink."""
        pages = list(self.pages(path, query, **headers))
        return [item for page in pages for item in page["value"]], pages[-1].get("@odata.deltaLink", "")

    def refused(self, response: httpx.Response, status: int, code: str = "") -> None:
        """Check that an answer is this error."""
        assert response.status_code == status, (response.status_code, response.text[:500])
        if code:
            assert response.json()["error"]["code"] == code

    def eventually(self, look: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """What there is to see, as soon as there is something."""
        end = time.monotonic() + _WAIT
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.01)
        raise AssertionError("nothing came")


def at(message: Message | str, *, immutable: bool = False) -> str:
    """The path of a message, by its object or its id."""
    key = message if isinstance(message, str) else message.id if immutable else message.ordinary_id
    return f"/messages/{quote(key, safe='')}"
