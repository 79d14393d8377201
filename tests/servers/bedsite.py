"""What the real servers of one bed have in common: folder, ports, addresses, certificates and users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.servers.certificates import Authority, Certificate, self_signed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.ports import Ports

__all__ = ["DOMAIN", "HOSTS", "Site", "User"]

DOMAIN = "example.test"

#: What is special about each listening address. Dovecot picks its certificate by local address, not by port;
#: so the bad certificates can be had for every protocol alike. On ``strict`` there is no sign-in in plain
#: text, and no more than two sessions of a user.
HOSTS = {
    "127.0.0.1": "good",
    "127.0.0.2": "expired",
    "127.0.0.3": "wronghost",
    "127.0.0.4": "selfsigned",
    "127.0.0.5": "strict",
}


@dataclass(frozen=True)
class User:
    """One mailbox."""

    password: str = field(repr=False)
    #: More fields of Dovecot's passwd-file, such as a quota.
    extra: str = ""


#: The users everything works for.
USERS = {
    f"alice@{DOMAIN}": User("alice-pw"),
    f"bob@{DOMAIN}": User("bob pw ü€"),
    f"carol@{DOMAIN}": User("carol-pw"),
    f"jürgen@{DOMAIN}": User("juergen-pw"),
}
#: A user whose quota is soon full, and one who may not sign in.
SPECIAL_USERS = {
    f"tiny@{DOMAIN}": User("tiny-pw", "userdb_quota_rule=*:bytes=20k"),
    f"disabled@{DOMAIN}": User("disabled-pw", "nologin=yes reason=account=locked"),
}


@dataclass(frozen=True)
class Site:
    """The common ground of the servers of one bed."""

    directory: Path
    ports: Ports
    ca: Path
    #: By what is special about the address; ``strict`` shares the good one.
    certificates: Mapping[str, Certificate]

    @classmethod
    def prepare(cls, directory: Path, ports: Ports) -> Site:
        """Make the folders and the certificates."""
        for name in ("etc", "log", "run", "mail", "tls"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        # Postfix and Dovecot write their logs as several users.
        (directory / "log").chmod(0o777)
        tls = directory / "tls"
        authority = Authority(tls)
        good = authority.issue("good", "localhost", "127.0.0.1", "127.0.0.5", f"mail.{DOMAIN}")
        certificates = {
            "good": good,
            "strict": good,
            "expired": authority.issue("expired", "localhost", "127.0.0.2", expired=True),
            "wronghost": authority.issue("wronghost", "somewhere-else.test"),
            "selfsigned": self_signed(tls, "selfsigned", "127.0.0.4"),
        }
        return cls(directory, ports, authority.ca, certificates)

    @property
    def all_users(self) -> dict[str, User]:
        """Every mailbox, the special ones too."""
        return {**USERS, **SPECIAL_USERS}

    def log_tail(self) -> str:
        """Return the end of every log, for a message about a server that does not start."""
        logs = sorted((self.directory / "log").iterdir())
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)
