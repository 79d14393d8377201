"""What a new token has to claim, as a server tells when it refuses the old one.

Microsoft: "Claims challenges, claims requests, and client capabilities".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Final

__all__ = ["claims_challenge"]

_MAX_CLAIMS: Final = 16 * 1024  # characters; a challenge has some hundred
_CHALLENGE: Final = re.compile(r'(?:\A|[\s,])claims="([A-Za-z0-9+/=_-]{1,16384})"')


def claims_challenge(header: str) -> str:
    """The claims that a new token must have, as JSON text; empty where none are asked for.

    :param header: WWW-Authenticate.
    """
    found = _CHALLENGE.search(header[: 2 * _MAX_CLAIMS])
    if not found:
        return ""
    encoded = found[1].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        return text if isinstance(json.loads(text), dict) else ""
    except (binascii.Error, ValueError, RecursionError):
        return ""
