"""Modified UTF-7: how folder names travel (RFC 3501 5.1.3)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

__all__ = ["decode", "encode"]

_UNSAFE = re.compile(r"[^\x20-\x25\x27-\x7e]+|&")
_SHIFTED = re.compile(r"&([^-]*)-")


def encode(name: str) -> str:
    """A folder name as pure printable ASCII."""
    return _UNSAFE.sub(_encode_run, name)


def _encode_run(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    # surrogatepass: a lone surrogate has a UTF-16 form as well, and what came from a server must go back
    base64 = b64encode(match[0].encode("utf-16-be", "surrogatepass")).rstrip(b"=").replace(b"/", b",")
    return f"&{base64.decode('ascii')}-"


def decode(name: str) -> str:
    """A folder name as people read it; what is not modified UTF-7 stays as it is."""
    return _SHIFTED.sub(_decode_run, name)


def _decode_run(match: re.Match[str]) -> str:
    if not match[1]:
        return "&"
    base64 = match[1].replace(",", "/")
    try:
        text = b64decode(base64 + "=" * (-len(base64) % 4), validate=True).decode("utf-16-be")
    except ValueError:
        return match[0]
    # Only the canonical form is decoded: another spelling would not find the folder on the way back.
    return text if encode(text) == match[0] else match[0]
