"""Connections whose secrets are in danger: refused, echoed, cut off, misplaced, not used yet."""

from __future__ import annotations

import contextlib
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization

from tests.airflow.stage import ROBOT, SECRETS, connection
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.airflow.stage import Stage
    from tests.servers.certificates import Certificate

__all__ = ["VARIABLE", "Endangered", "endangered"]

VENDOR, RELAY = "vendor@example.test", "relay@example.test"
#: An Airflow Variable whose name does not say that it holds a secret.
VARIABLE = "mail_room"

_WRONG, _ECHOED, _CUT, _SILENT = "Zq7-wrong-pw", 'Zq7-echo"ed\\pw', "Zq7-cut off=pw", "Zq7-silent-pw"
_CLIENT, _KEY_PASSWORD = "Zq7-client~secret", "Zq7-key-password"
_BROKEN, _MISPLACED = "Zq7-broken\nsecret", "Zq7-misplaced-pw"
#: What people type into a wrong field, where Airflow itself takes it for no secret.
_MISTYPED = {"wrong field": "Zq7-mistyped-value", "unknown field": "Zq7-unknown-value"}


@dataclass(frozen=True)
class Endangered:
    """What there is to drive.

    :param forms: connections by their id.
    :param secrets: what nobody may show, by a name for it.
    :param mistyped: what is no secret to Airflow itself, by the fields' names, but one to us.
    """

    forms: Mapping[str, Mapping[str, Any]]
    secrets: Mapping[str, str]
    mistyped: Mapping[str, str]


@contextlib.contextmanager
def endangered(stage: Stage) -> Iterator[Endangered]:
    """The connections, with the servers that they lead to."""
    with contextlib.ExitStack() as stack:

        def pair(imap: Callable[[Conversation], object], smtp: Callable[[Conversation], object]) -> Any:
            first, second = (stack.enter_context(ScriptedServer(each, seconds=60)) for each in (imap, smtp))
            plain = {"incoming_security": "none", "outgoing_security": "none"}
            return {"port": first.port, "extra": {**plain, "outgoing_port": second.port, "timeout": 1}}

        def form(**changes: Any) -> dict[str, Any]:
            return connection(stage.servers, **changes)

        key = _encrypted_key(stage.servers.certificate)
        oauth = {
            "credential": "oauth_client_credentials",
            "client_id": "some-client",
            "authority": "https://localhost:9/a",
        }
        certificate = {"client_certificate_private_key": key, "client_certificate_password": _KEY_PASSWORD}
        broken = {
            "timeout": _MISTYPED["wrong field"],
            "pasword": _MISTYPED["unknown field"],
            "outgoing_credential": "secret",
            "outgoing_user": ROBOT,
            "outgoing_secret": _BROKEN,
        }
        forms = {
            "mail_variable": form(login=VENDOR, password=None, extra={"credential_variable": VARIABLE}),
            "mail_two": form(
                extra={
                    "outgoing_credential": "secret",
                    "outgoing_user": RELAY,
                    "outgoing_secret": SECRETS[RELAY],
                    "from_address": f"Robot <{ROBOT}>",
                }
            ),
            "mail_macro": form(login=f"${{STAGE_USER:-{ROBOT}}}"),
            "mail_wrong": form(password=_WRONG),
            "mail_echo": form(password=_ECHOED, **pair(_imap_that_echoes, _smtp_that_echoes)),
            "mail_closing": form(password=_CUT, **pair(_imap_that_closes, _smtp_that_closes)),
            "mail_silent": form(password=_SILENT, **pair(Conversation.read_to_end, Conversation.read_to_end)),
            "mail_certificate": form(password=None, extra={**oauth, **certificate}),
            "mail_client": form(password=_CLIENT, extra=oauth),
            "mail_broken": form(extra=broken),
            "mail_misplaced": form(password=None, extra={"password": _MISPLACED}),
        }
        secrets = {
            **SECRETS,
            "wrong password": _WRONG,
            "echoed password": _ECHOED,
            "password when cut off": _CUT,
            "password when silent": _SILENT,
            "OAuth client secret": _CLIENT,
            "client certificate": key,
            "its password": _KEY_PASSWORD,
            "secret that cannot be": _BROKEN,
            "password in the extra": _MISPLACED,
        }
        yield Endangered(forms, secrets, _MISTYPED)


def _encrypted_key(certificate: Certificate) -> str:
    """A private key, encrypted, and its certificate."""
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(_KEY_PASSWORD.encode()),
    )
    return (encrypted + certificate.chain.read_bytes()).decode()


# ------------------------------------------------------------ servers


def _imap_that_echoes(conversation: Conversation) -> None:
    """Knows LOGIN only, and repeats it in its refusal."""
    conversation.send(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
    while line := conversation.readline():
        conversation.send(line.split()[0] + b" NO [AUTHENTICATIONFAILED] refused: " + line)


def _smtp_that_echoes(conversation: Conversation) -> None:
    """Knows AUTH LOGIN only, and repeats what it was told in its refusal, in base64 and decoded."""
    _smtp_up_to_sign_in(conversation, b"LOGIN")
    answers = []
    for question in (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"):
        conversation.send(b"334 " + question + b"\r\n")
        answers.append(conversation.readline().strip())
    told = b" ".join((*answers, *map(b64decode, answers)))
    conversation.send(b"535 5.7.8 refused: " + told + b"\r\n")
    conversation.read_to_end()


def _imap_that_closes(conversation: Conversation) -> None:
    conversation.send(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
    conversation.readline()


def _smtp_that_closes(conversation: Conversation) -> None:
    _smtp_up_to_sign_in(conversation, b"PLAIN")


def _smtp_up_to_sign_in(conversation: Conversation, mechanism: bytes) -> None:
    conversation.send(b"220 ready\r\n")
    conversation.readline()
    conversation.send(b"250-here\r\n250 AUTH " + mechanism + b"\r\n")
    conversation.readline()
