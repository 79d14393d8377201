"""One request and one answer, as the handlers of the fake see them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from tests.servers.graph.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.servers.graph.mailbox import Mailbox
    from tests.servers.graph.site import Site

__all__ = ["Call", "Reply", "Request"]

_PREFERENCE = re.compile(r'\s*([\w.-]+)\s*=\s*(?:"([^"]*)"|([^\s,;]+))\s*')
#: A collection and a key, as OData writes them.
_KEYED = re.compile(r"(?i)^(users|mailfolders|messages|attachments)\('(.+)'\)$")


@dataclass(frozen=True)
class Request:
    """What a client asks for.

    :param path: as it came, percent-encoded, without the query.
    :param headers: names in lower case; several of one name joined by a comma.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    #: The address before the path, as in ``https://localhost:20443``.
    base: str = ""

    @property
    def segments(self) -> list[str]:
        """The parts of the path, decoded; a slash that was encoded is part of its segment.

        ``users('x')`` is two, as ``users/x`` is.
        """
        decoded = map(unquote, self.path.strip("/").split("/"))
        return [part for segment in decoded for part in _KEYED.sub(r"\1\0\2", segment).split("\0")]

    @property
    def query(self) -> dict[str, str]:
        """The options by name.

        :raises GraphError: one stands there twice.
        """
        pairs = parse_qsl(self.query_string, keep_blank_values=True)
        if len(dict(pairs)) != len(pairs):
            raise bad_request("BadRequest", "Query option was specified more than once, but it must be once.")
        return dict(pairs)

    @property
    def preferences(self) -> dict[str, str]:
        """What stands in ``Prefer``; names in lower case."""
        found = _PREFERENCE.finditer(self.headers.get("prefer", ""))
        return {match[1].lower(): match[2] or match[3] or "" for match in found}

    @property
    def wants_immutable_ids(self) -> bool:
        """Whether ids have to stay when a mail is moved."""
        return self.preferences.get("idtype", "").lower() == "immutableid"

    @property
    def is_mime(self) -> bool:
        """Whether the body is a mail in base64."""
        return self.headers.get("content-type", "").partition(";")[0].strip() == "text/plain"

    def json(self) -> dict[str, Any]:
        """The body.

        :raises GraphError: it is no JSON object.
        """
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise bad_request("BadRequest", "Unable to read JSON request payload.")
        return value


@dataclass(frozen=True)
class Reply:
    """What the client gets.

    :param body: a dict becomes JSON; bytes or pieces of them go as they are.
    """

    status: int = 200
    body: dict[str, Any] | bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request to a mailbox, with all that a handler needs."""

    site: Site
    mailbox: Mailbox
    request: Request
