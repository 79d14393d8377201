"""What must not show in Airflow's logs, told to its maskers."""

from __future__ import annotations

import base64
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk.log import mask_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["mask", "mask_token"]

# The body of a private key: 400 lines, where RSA of 16384 bits takes 200.
_KEY: Final = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(.{0,26000}?)-----END ", re.DOTALL)


def mask(secrets: Iterable[str]) -> None:
    """Register secrets and their base64 forms with the maskers of Airflow, for as long as the process lives.

    Blocks: it tells the supervisor.
    """
    plain = [part for secret in secrets for part in (secret, *_key_lines(secret))]
    _register([*plain, *(base64.b64encode(s.encode(errors="replace")).decode() for s in plain)])


def mask_token(token: str) -> None:
    """Register a long secret that is also sent in the middle of a text in base64, such as SASL's messages.

    Blocks: it tells the supervisor.
    """
    _register([token, *_within_base64(token)])


def _register(masked: list[Any]) -> None:
    if not masked:
        return
    mask_secret(masked)
    # The API server and the CLI log through a second masker, which is loaded there.
    core = sys.modules.get("airflow._shared.secrets_masker")
    if core is not None:
        core.mask_secret(masked)


def _within_base64(secret: str) -> list[str]:
    """Three forms, by where it begins; without the characters that what stands around it has a part in."""
    data = secret.encode(errors="replace")
    forms = []
    for before, spoilt in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(b"\0" * before + data).decode()
        forms.append(coded[spoilt : (before + len(data)) * 8 // 6])
    return forms


def _key_lines(secret: str) -> Iterator[str]:
    """The lines of a private key: logs show them with other line ends than the form, or as a repr."""
    for body in _KEY.findall(secret):
        yield from (line for line in body.split() if len(line) >= 16)
