"""The fake's error answers, by the names that Graph gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GraphError", "access_denied", "bad_request", "not_found"]


@dataclass
class GraphError(Exception):
    """An answer with an error in it."""

    status: int
    code: str
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def not_found() -> GraphError:
    """What has gone, or never was."""
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def access_denied() -> GraphError:
    """What the token does not allow."""
    return GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def bad_request(code: str, message: str) -> GraphError:
    """What nobody could answer."""
    return GraphError(400, code, message)
