"""Sign-in by SASL: what PLAIN (RFC 4616) and LOGIN send. For SMTP and IMAP alike."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from airflow_email_conn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["choose", "hidden_forms", "login", "plain"]

# PLAIN first: LOGIN was never standardised and costs two round trips more.
_BY_PREFERENCE = ("PLAIN", "LOGIN")


def choose(offered: Collection[str]) -> str | None:
    """The one mechanism to try; None when the server offers none of ours.

    A second one with the same secret could only fail again and bring an account nearer to its lock.

    :param offered: mechanism names in upper case.
    """
    return next((mechanism for mechanism in _BY_PREFERENCE if mechanism in offered), None)


def plain(user: str, secret: str) -> bytes:
    """The message of PLAIN, not yet in base64, with no other identity to act as (RFC 4616 2).

    :raises SettingsError: empty, or contains NUL; names the field.
    """
    return b"\0" + _octets("user", user) + b"\0" + _octets("secret", secret)


def login(user: str, secret: str) -> tuple[bytes, bytes]:
    """The answers to LOGIN's two questions, not yet in base64 (draft-murchison-sasl-login-00).

    :raises SettingsError: as `plain`.
    """
    return _octets("user", user), _octets("secret", secret)


def hidden_forms(secret: bytes) -> tuple[str, str, str]:
    """A secret as text, as IMAP's LOGIN quotes it (RFC 9051 4.3) and in base64: as a server could echo it."""
    text = secret.decode("utf-8", "replace")
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return text, quoted, b64encode(secret).decode("ascii")


def _octets(field: str, value: str) -> bytes:
    """UTF-8, unprepared: servers compare with what they stored, few know SASLprep (RFC 4013)."""
    if not value:
        raise SettingsError(f"{field}: is empty, but the credential needs it to sign in")
    if "\0" in value:
        raise SettingsError(f"{field}: contains a NUL character, which no sign-in can carry")
    try:
        return value.encode()
    except UnicodeEncodeError:  # not chained: that exception holds the whole text, which may be the secret
        raise SettingsError(f"{field}: contains half a surrogate pair, which is no character") from None
