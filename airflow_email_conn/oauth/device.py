"""A sign-in by device flow (RFC 8628) that is under way."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_email_conn.errors import ProtocolError

__all__ = ["DeviceCode"]

_INTERVAL: Final = 5  # seconds, where the authority does not say (RFC 8628 3.2)
_MAX_INTERVAL: Final = 60
_LONGEST: Final = 3600.0  # seconds that a code may live; 900 is usual


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person enters, and where; and with what the result is asked for.

    :param user_code: to be typed.
    :param verification_uri: where.
    :param verification_uri_complete: the same with the code in it, or empty.
    :param expires_at: when the code ends, as time.time.
    :param flow: MSAL's own; holds the device code, which is as good as a password until then.
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_at: float
    flow: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, flow: dict[str, Any]) -> DeviceCode:
        """From what the authority answered. :raises ProtocolError: it lacks something, or shows nonsense."""
        texts = {name: flow.get(name) for name in ("user_code", "device_code", "verification_uri")}
        complete = flow.get("verification_uri_complete") or ""
        for name, text in {**texts, "verification_uri_complete": complete}.items():
            if not isinstance(text, str) or len(text) > 4000 or not text.isprintable():
                raise ProtocolError(f"the authority began the device flow without a proper {name}")
        for uri in filter(None, (texts["verification_uri"], complete)):
            if not str(uri).startswith("https://"):
                raise ProtocolError("the authority wants the code entered at an address that is not https")
        life = flow.get("expires_in")
        seconds = float(min(life, _LONGEST)) if isinstance(life, (int, float)) else _LONGEST / 4
        return cls(
            str(texts["user_code"]),
            str(texts["verification_uri"]),
            complete,
            time.time() + seconds,
            _in_bounds(flow),
        )

    @property
    def interval(self) -> float:
        """Seconds to wait before each time the result is asked for; grows when the authority says so."""
        return float(_interval(self.flow))

    def as_text(self) -> str:
        """For a token store: it is a secret."""
        return json.dumps({"expires_at": self.expires_at, "flow": self.flow})

    @classmethod
    def from_text(cls, text: str) -> DeviceCode:
        """From `as_text`. :raises ValueError, KeyError, TypeError: it is none."""
        try:
            kept: Any = json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        flow = kept["flow"]
        if not isinstance(flow, dict):
            raise TypeError("the flow is no object")
        complete = flow.get("verification_uri_complete") or ""
        end = float(kept["expires_at"])
        return cls(flow["user_code"], flow["verification_uri"], complete, end, _in_bounds(flow))


def _in_bounds(flow: dict[str, Any]) -> dict[str, Any]:
    """With a number to wait for: MSAL counts up to it, and without a single count asks for ever."""
    return {**flow, "interval": _interval(flow)}


def _interval(flow: dict[str, Any]) -> int:
    asked = flow.get("interval")
    try:
        return int(min(max(1, float(asked)), _MAX_INTERVAL)) if asked is not None else _INTERVAL
    except (TypeError, ValueError, OverflowError):
        return _INTERVAL
