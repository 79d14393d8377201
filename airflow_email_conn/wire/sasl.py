"""Sign-in by SASL: what PLAIN, LOGIN, OAUTHBEARER and XOAUTH2 say. For IMAP, POP3 and SMTP alike.

Whatever the mechanism, a client has a fixed row of answers, one for each time it is asked. With an access
token the second one is for a server that explains its refusal, which comes only after that answer.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from airflow_email_conn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from airflow_email_conn.model.server import Server

__all__ = [
    "bearer",
    "choose",
    "forms_of",
    "hidden_forms",
    "login",
    "named",
    "oauthbearer",
    "objection",
    "plain",
    "xoauth2",
]

_BY_PREFERENCE = {
    # PLAIN first: LOGIN was never standardised and costs two round trips more.
    "secret": ("PLAIN", "LOGIN"),
    # OAUTHBEARER is the standard; Exchange has XOAUTH2 only.
    "bearer": ("OAUTHBEARER", "XOAUTH2"),
}
# What may be named in a message: anything else would be a text that the server chose.
_KNOWN = frozenset(
    {"CRAM-MD5", "DIGEST-MD5", "GSSAPI", "LOGIN", "NTLM", "OAUTHBEARER", "PLAIN", "SCRAM-SHA-1"}
    | {"SCRAM-SHA-256", "XOAUTH2"}
)

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 2.1
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# RFC 4954 4: a line of AUTH has 12288 octets, which are 9214 before base64 and CRLF. Entra's tokens stay
# below 4 kB: it leaves out the groups of a user who has more than 200.
_MAX_MESSAGE = 9214

_MAX_CHALLENGE = 4096  # characters; servers send about 200
_STATUS = re.compile(r"[A-Za-z0-9_.-]{1,40}")  # "401", or "invalid_token" (RFC 7628 3.2.2)
_SCOPE = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")  # RFC 6749 3.3
_MAX_OBJECTION = 250  # characters; the server's other words are to have a place too


def choose(kind: str, offered: Collection[str]) -> str | None:
    """The one mechanism to try; None when the server offers none of ours.

    A second one with the same secret could only fail again and bring an account nearer to its lock.

    :param kind: of the credential, `secret` or `bearer`.
    :param offered: mechanism names in upper case.
    """
    return next((mechanism for mechanism in _BY_PREFERENCE[kind] if mechanism in offered), None)


def named(offered: Iterable[str]) -> str:
    """What a server offers, for a message; `others` where only names came that nobody knows."""
    return ", ".join(sorted(_KNOWN.intersection(offered))) or "others"


# ------------------------------------------------------------ passwords


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


# ------------------------------------------------------------ access tokens


def bearer(server: Server) -> dict[str, tuple[bytes, bytes]]:
    """What a token's sign-in says to a server, by mechanism: the message, and the answer to an explanation.

    Made before connecting.

    :raises SettingsError: the connection would not be encrypted; or as `xoauth2`.
    """
    if server.security not in {"tls", "starttls"}:  # RFC 6750 5.3; whoever reads it along has the mailbox
        raise SettingsError("security: an access token travels encrypted only; choose 'tls' or 'starttls'")
    user, token = server.credential.user, server.credential.secret
    return {
        "OAUTHBEARER": (oauthbearer(user, token, server.host, server.port), b"\x01"),  # RFC 7628 3.2.3
        "XOAUTH2": (xoauth2(user, token), b""),
    }


def xoauth2(user: str, token: str) -> bytes:
    """The message of XOAUTH2, not yet in base64.

    It is Google's (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol), and Microsoft's too.

    :param user: the mailbox.
    :param token: access token.
    :raises SettingsError: empty, too long, or with characters that would end its place in the message; names
        the field, never shows the token.
    """
    return _bounded(b"user=" + _mailbox(user) + b"\x01auth=Bearer " + _token(token) + b"\x01\x01")


def oauthbearer(user: str, token: str, host: str, port: int) -> bytes:
    """The message of OAUTHBEARER, not yet in base64 (RFC 7628 3.1).

    :param host: of the mail server, as it is connected to.
    :raises SettingsError: as `xoauth2`.
    """
    identity = _mailbox(user).replace(b"=", b"=3D").replace(b",", b"=2C")  # saslname of RFC 5801 4
    address = b"\x01host=" + _text("host", host) + b"\x01port=%d" % port
    return _bounded(b"n,a=" + identity + b"," + address + b"\x01auth=Bearer " + _token(token) + b"\x01\x01")


def forms_of(secret: str, answers: Mapping[str, Sequence[bytes]]) -> list[str]:
    """Every form of a secret in which a server could echo what it was told, the longest first.

    :param answers: of each mechanism, as `bearer` makes them; the first holds the secret, or who signs in.
    """
    told = [secret.encode(), *(row[0] for mechanism, row in answers.items() if mechanism != "LOGIN")]
    return sorted({form for message in told for form in hidden_forms(message)}, key=len, reverse=True)


def objection(challenge: str | bytes, hidden: Iterable[str] = ()) -> str:
    """What a server explains before it refuses a token: status and scope, as a short text; or nothing.

    It comes as base64 of JSON (RFC 7628 3.2.2, and alike for XOAUTH2); whatever else comes explains nothing.

    :param hidden: texts to show as `***`, in case that the server repeats what it was told.
    """
    told = _decoded(challenge)
    parts = (("status", _STATUS), ("scope", _SCOPE))
    text = ", ".join(f"{name} {told[name]}" for name, form in parts if _fits(told.get(name), form))
    for form in hidden:
        text = text.replace(form, "***")
    return text[:_MAX_OBJECTION]  # not before: half a token would not be found


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


def _text(field: str, value: str) -> bytes:
    """Text without control characters: ^A ends each part of a token's message."""
    if _CONTROL.search(value):
        raise SettingsError(f"{field}: contains a control character, which no sign-in can carry")
    return _octets(field, value)


def _mailbox(user: str) -> bytes:
    return _text("user", user)


def _token(token: str) -> bytes:
    if not _B64TOKEN.fullmatch(token):
        raise SettingsError("access token: is empty, or has characters that no token has (RFC 6750 2.1)")
    return token.encode()


def _bounded(message: bytes) -> bytes:
    if len(message) > _MAX_MESSAGE:
        raise SettingsError(
            f"access token: makes a sign-in of more than {_MAX_MESSAGE} octets, too long to send"
        )
    return message


def _decoded(challenge: str | bytes) -> dict[str, object]:
    """The JSON object of a challenge; empty when it is none."""
    try:
        told = json.loads(b64decode(challenge[:_MAX_CHALLENGE]))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _fits(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str | int) and bool(form.fullmatch(str(value)))
