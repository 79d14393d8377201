"""A bed of real servers: Dovecot, Postfix and Cyrus from a throw-away folder, on free ports of loopback.

Needs root on Debian 12 and installs the packages that are missing; ``bed_unavailable`` says whether it can be
had. Each server is one file with one context manager that takes a ``Site``; another server is another file,
another port in ``ports.Ports`` and another line in ``_start``.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.base import HOST
from tests.servers.bedsite import DOMAIN, HOSTS, SPECIAL_USERS, USERS, Site
from tests.servers.cyrus import CYRUS_PACKAGES, Cyrus, running_cyrus
from tests.servers.dovecot import DOVECOT_PACKAGES, running_dovecot
from tests.servers.dovecotoauth import configure_oauth
from tests.servers.mailboxes import Mailboxes
from tests.servers.packages import bed_unavailable, install
from tests.servers.policy import running_policy
from tests.servers.ports import Ports, reservations
from tests.servers.postfix import MESSAGE_SIZE_LIMIT, POSTFIX_PACKAGES, running_postfix
from tests.servers.process import ServerStartError
from tests.servers.sessions import watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tests.servers.certificates import Certificate

__all__ = ["Bed", "bed_unavailable", "running_bed"]

_START_ATTEMPTS = 3


@dataclass(frozen=True)
class Bed:
    """The running servers: Dovecot and Postfix, ``MailServers`` and ``Pop3Servers``; beside them Cyrus.

    The ports answer on every address of ``hosts``, each with its own certificate or rule.
    """

    directory: Path
    ports: Ports
    ca: Path
    certificate: Certificate
    _mailboxes: Mailboxes = field(repr=False)
    #: Password by login of the users everything works for; one password and one login are not ASCII.
    users: Mapping[str, str] = field(repr=False)
    #: Password by login of ``tiny@`` (quota of 20 kB) and ``disabled@`` (may not sign in).
    special_users: Mapping[str, str] = field(repr=False)
    #: The other IMAP server, with the same users where it can have them, and mailboxes of its own.
    cyrus: Cyrus
    #: What is special about each address: good, expired, wronghost, selfsigned, strict.
    hosts: Mapping[str, str] = field(default_factory=lambda: dict(HOSTS))
    domain: str = DOMAIN
    message_size_limit: int = MESSAGE_SIZE_LIMIT
    name: str = "bed"

    @property
    def imap_port(self) -> int:
        """IMAP in plain text, with STARTTLS."""
        return self.ports.imap

    @property
    def imaps_port(self) -> int:
        """IMAP with TLS from the start."""
        return self.ports.imaps

    @property
    def pop3_port(self) -> int:
        """POP3 in plain text, with STARTTLS."""
        return self.ports.pop3

    @property
    def pop3s_port(self) -> int:
        """POP3 with TLS from the start."""
        return self.ports.pop3s

    @property
    def smtp_port(self) -> int:
        """SMTP for incoming mail, without sign-in."""
        return self.ports.smtp

    @property
    def submission_port(self) -> int:
        """SMTP submission: STARTTLS, then sign-in."""
        return self.ports.submission

    @property
    def smtps_port(self) -> int:
        """SMTP submission with TLS from the start."""
        return self.ports.smtps

    def append(
        self, login: str, raw: bytes, folder: str = "INBOX", flags: str = "", when: datetime | None = None
    ) -> None:
        """Put a message into a folder of a user, exactly as given; see ``Mailboxes.append``."""
        self._mailboxes.append(login, raw, folder, flags, when)

    def empty(self, login: str) -> None:
        """Delete all messages and all folders of a user, but not INBOX and the special folders."""
        self._mailboxes.empty(login)


@contextlib.contextmanager
def running_bed() -> Iterator[Bed]:
    """Install what is missing, start the servers, and in the end stop them and remove their folder.

    :raises PackagesError: apt could not install the packages.
    :raises ServerStartError: a server did not start, also not on other ports.
    """
    install([*DOVECOT_PACKAGES, *POSTFIX_PACKAGES, *CYRUS_PACKAGES])
    with contextlib.ExitStack() as stack:
        # pytest may end without leaving this block, by SystemExit in a hook for instance.
        atexit.register(stack.close)
        stack.callback(atexit.unregister, stack.close)
        yield _bed(_start_somewhere(stack))


def _start_somewhere(stack: contextlib.ExitStack) -> Site:
    """Start the servers, on other ports when somebody else was quicker on the first ones."""
    attempts = reservations(tuple(HOSTS))
    stack.callback(attempts.close)
    errors: list[str] = []
    for ports in attempts:
        with contextlib.ExitStack() as attempt:
            site = Site.prepare(attempt.enter_context(_folder()), ports)
            try:
                _start(site, attempt)
            except (ServerStartError, OSError) as error:
                errors.append(f"{error}\n{site.log_tail()}")
            else:
                stack.push(attempt.pop_all())
                return site
        if len(errors) == _START_ATTEMPTS:
            break
    raise ServerStartError("\n".join(errors))


def _start(site: Site, stack: contextlib.ExitStack) -> None:
    stack.enter_context(running_policy(site.ports.policy))
    configure_oauth(site)
    stack.enter_context(running_dovecot(site))
    stack.enter_context(running_postfix(site))
    stack.enter_context(running_cyrus(site))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Always below /tmp: a unix socket's path has room for 107 bytes, which a long TMPDIR would use up.
    directory = Path(tempfile.mkdtemp(prefix="bed-", dir="/tmp"))
    directory.chmod(0o755)  # the servers' own users have to reach their files
    try:
        with watchdog(directory):
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _bed(site: Site) -> Bed:
    passwords = {login: user.password for login, user in USERS.items()}
    return Bed(
        directory=site.directory,
        ports=site.ports,
        ca=site.ca,
        certificate=site.certificates["good"],
        users=passwords,
        cyrus=Cyrus.at(site),
        special_users={login: user.password for login, user in SPECIAL_USERS.items()},
        _mailboxes=Mailboxes(HOST, site.ports.imap, passwords),
    )
