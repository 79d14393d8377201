"""An OAuth authority: npm's oidc-provider over https, whose tokens the bed's Dovecot and Postfix take.

It is started when a test asks for it; the mail servers know its address from the beginning. ``oidc.mjs`` is
the server, ``oauthclients`` has its clients. A token with scope ``mail`` opens a mailbox: one of a person the
person's own, one of client credentials every mailbox. There is another scope, ``other``, that opens none.
"""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.base import HOST
from tests.servers.bedsite import DOMAIN
from tests.servers.certificates import client_context
from tests.servers.npm import node, npm_package
from tests.servers.oauthclients import OAuthClients
from tests.servers.process import ServerProcess, ServerStartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.bed import Bed

__all__ = ["ISSUER_PATH", "Authority", "Counts", "issuer", "running_authority"]

_PACKAGE, _VERSION = "oidc-provider", "9.13.3"
#: MSAL refuses an issuer without a path. With this one it can take the authority for one of Microsoft's too:
#: ``authority="https://localhost:PORT/bed", instance_discovery=False``.
ISSUER_PATH = "/bed/v2.0"
_TIMEOUT = 10
#: Lifetimes in seconds, and how long a client waits between two polls of the device flow.
_SETTINGS = {"access": 3600, "device": 900, "refresh": 86400, "interval": 1}


@dataclass(frozen=True)
class Counts:
    """How many requests the authority has answered since the last reset, refusals included."""

    discovery: int = 0
    device_authorization: int = 0
    #: Requests to the token endpoint, by grant type.
    client_credentials: int = 0
    device_code: int = 0
    refresh_token: int = 0
    #: Token requests with any other grant type, or with none.
    other: int = 0
    #: What the mail servers ask about tokens: once or twice for each sign-in by token.
    introspection: int = 0
    revocation: int = 0
    #: Refresh tokens that came a second time; each ended its grant.
    replays: int = 0


class Authority:
    """A running authority; ``running_authority`` makes one."""

    def __init__(self, bed: Bed, clients: OAuthClients) -> None:
        """Prepare it; ``up`` starts it."""
        self.port = bed.ports.authority
        #: For ``authority`` of a connection, and for MSAL's ``oidc_authority``.
        self.issuer = issuer(self.port)
        #: The PEM file with the certificate authority a client has to trust; the mail servers' own.
        self.ca = bed.ca
        self.certificate = bed.certificate
        self.clients = clients
        self._folder = bed.directory / "etc/oauth"
        self._log = bed.directory / "log/authority.log"
        self._stack = contextlib.ExitStack()
        self._trust = client_context(bed.ca)
        self._running = False

    def up(self) -> None:
        """Start it, with the grants, counts and lifetimes that it had; nothing happens when it runs.

        :raises ServerStartError: it did not start.
        """
        if self._running:
            return
        command: list[str | Path] = [
            node(),
            Path(__file__).with_name("oidc.mjs"),
            self._folder / "configuration.json",
        ]
        with contextlib.ExitStack() as stack:
            process = stack.enter_context(ServerProcess.running(command, self._log))
            try:
                process.wait_until(self._answers, f"answer on {HOST}:{self.port}")
            except ServerStartError as error:
                raise ServerStartError(f"{error}\n{self._log.read_text(errors='replace')[-1500:]}") from None
            self._stack = stack.pop_all()
        self._running = True

    def down(self) -> None:
        """Stop it: nothing listens on its port until ``up``."""
        self._stack.close()
        self._running = False

    def approve(self, user_code: str, login: str) -> None:
        """Do what a person does who signs in and allows what was asked for (RFC 8628 3.3).

        :raises LookupError: no such code or user.
        """
        self._hook("approve", user_code=user_code, login=login)

    def deny(self, user_code: str) -> None:
        """Do what a person does who does not allow it.

        :raises LookupError: no such code.
        """
        self._hook("deny", user_code=user_code)

    def ttl(
        self,
        *,
        access: int | None = None,
        device: int | None = None,
        refresh: int | None = None,
        interval: int | None = None,
    ) -> None:
        """Change lifetimes from now on, in seconds; ``reset`` restores them.

        :param access: of access tokens; 3600 at first.
        :param device: of device codes; 900 at first.
        :param refresh: of refresh tokens; 86400 at first.
        :param interval: how long a client of the device flow should wait between polls; 1 at first.
        """
        given = {"access": access, "device": device, "refresh": refresh, "interval": interval}
        self._hook("settings", **{name: seconds for name, seconds in given.items() if seconds is not None})

    def revoke_grants(self, login: str) -> int:
        """End all grants of a user, so that their tokens are dead at once; return how many they were."""
        return int(self._hook("revoke", login=login)["grants"])

    def token(self, login: str | None = None, scope: str = "mail", seconds: int = 3600) -> str:
        """Return an access token, past all flows.

        :param login: whose; None for one of client credentials.
        :param scope: ``mail``, ``other``, or both.
        :param seconds: when it ends, from now; a negative one has ended.
        """
        return str(self._hook("token", login=login, scope=scope, expires_in=seconds)["access_token"])

    def counts(self) -> Counts:
        """Return what was asked for since the last reset."""
        return Counts(**self._hook("counts"))

    def reset(self) -> None:
        """Start it if it is down; restore the lifetimes, and count from zero. Grants stay."""
        self.up()
        self._hook("reset")

    def _answers(self) -> bool:
        self._hook("counts")
        return True

    def _hook(self, name: str, **values: object) -> dict[str, Any]:
        request = urllib.request.Request(
            f"https://localhost:{self.port}/test/{name}", json.dumps(values).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self._trust) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise LookupError(error.read().decode()) from None
        return answer


def issuer(port: int) -> str:
    """Return the issuer of the authority that listens on a port."""
    return f"https://localhost:{port}{ISSUER_PATH}"


@contextlib.contextmanager
def running_authority(bed: Bed) -> Iterator[Authority]:
    """Install what is missing, start the authority of a bed, and in the end stop it.

    :raises PackagesError: apt or npm could not install it.
    :raises ServerStartError: it did not start.
    """
    clients = OAuthClients()
    folder = bed.directory / "etc/oauth"
    folder.mkdir(exist_ok=True)
    configuration = {
        "issuer": issuer(bed.ports.authority),
        "host": HOST,
        "port": bed.ports.authority,
        "key": str(bed.certificate.key),
        "chain": str(bed.certificate.chain),
        "node_modules": str(npm_package(_PACKAGE, _VERSION)),
        "clients": clients.registrations(),
        "jwks": clients.signing_keys(),
        "users": list(bed.users),
        "domain": DOMAIN,
        "settings": _SETTINGS,
        "records": str(folder / "records.json"),
        "state": str(folder / "state.json"),
    }
    (folder / "configuration.json").write_text(json.dumps(configuration), encoding="ascii")
    authority = Authority(bed, clients)
    authority.up()
    try:
        yield authority
    finally:
        authority.down()
