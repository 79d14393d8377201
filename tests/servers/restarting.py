"""A Dovecot of a test's own: it may be restarted, has room for very many mails, and can be modest."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from tests.servers.base import HOST
from tests.servers.bedsite import DOMAIN, HOSTS, USERS, Site
from tests.servers.dovecot import DOVECOT_PACKAGES, running_dovecot
from tests.servers.mailboxes import Mailboxes
from tests.servers.packages import install
from tests.servers.ports import reservations
from tests.servers.sessions import watchdog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

__all__ = ["MODEST_HOST", "RestartingDovecot", "restarting_dovecot"]

#: Where the server has neither MOVE nor ESEARCH: what RFC 3501 and UIDPLUS ask for, and no more.
MODEST_HOST = "127.0.0.2"

_PASSWORD = "pw-of-them-all"

_CONFIGURATION = Template("""\
# One file for all mails of a folder: 100,000 are written in no time.
namespace large {
  prefix = Large.
  separator = .
  location = mbox:$directory/large
}
# Whoever has the password is a user.
passdb {
  driver = static
  args = password=$password
}
userdb {
  driver = static
  args = allow_all_users=yes
}
local $modest {
  protocol imap {
    imap_capability = IMAP4rev1 UIDPLUS LITERAL+
  }
}
""")


class RestartingDovecot:
    """A ``MailboxServers`` of a Dovecot of its own."""

    name = "restarting"

    def __init__(self, site: Site, stack: contextlib.ExitStack) -> None:
        """Start it; ``restarting_dovecot`` does, and stops it too."""
        self.users = {login: user.password for login, user in USERS.items()}
        self.ca = site.ca
        self.certificate = site.certificates["good"]
        self.imap_port = site.ports.imap
        self.imaps_port = site.ports.imaps
        self.pop3_port = site.ports.pop3
        self.pop3s_port = site.ports.pop3s
        #: Where the mailboxes are, as Maildirs.
        self.mail = site.directory / "mail"
        self._large = site.directory / "large"
        self._site = site
        self._stack = stack
        self._mailboxes = Mailboxes(HOST, self.imap_port, self.users)
        self._running = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._stack.enter_context(running_dovecot(self._site))

    def user(self, name: str) -> str:
        """Make a user; return the login."""
        login = f"{name}@{DOMAIN}"
        self.users[login] = _PASSWORD
        return login

    def restart(self) -> None:
        """End it with its sessions, as a system does that updates it, and start it again."""
        with self._running:
            self._stack.close()
            self._start()

    def append(
        self, login: str, raw: bytes, folder: str = "INBOX", flags: str = "", when: datetime | None = None
    ) -> None:
        """Put a message into a folder of a user, exactly as given; see ``Mailboxes.append``."""
        self._mailboxes.append(login, raw, folder, flags, when)

    def fill(self, folder: str, raws: Iterable[bytes]) -> str:
        """Make a folder with these mails, every other one of them read; return its name.

        :param raws: mails without a line that begins with ``From ``, which an mbox would take for the next.
        """
        self._large.mkdir(exist_ok=True)
        with (self._large / folder).open("wb") as file:
            for number, raw in enumerate(raws):
                status = b"" if number % 2 else b"Status: RO\n"
                file.write(
                    b"From a@acme.com Sat Mar 14 10:26:53 2026\n%b%b\n"
                    % (status, raw.replace(b"\r\n", b"\n"))
                )
        for path in (self._large, self._large / folder):
            shutil.chown(path, "mail", "mail")
        return f"Large.{folder}"

    def empty(self, login: str) -> None:
        """Delete all messages and all folders of a user, but not INBOX and the special folders."""
        self._mailboxes.empty(login)


@contextlib.contextmanager
def restarting_dovecot() -> Iterator[RestartingDovecot]:
    """Run one.

    :raises PackagesError: apt could not install it.
    :raises ServerStartError: it did not start.
    """
    install(DOVECOT_PACKAGES)
    # Below /tmp: a unix socket's path has room for 107 bytes, which a long TMPDIR would use up.
    with contextlib.ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="bed-", dir="/tmp"))
        directory.chmod(0o755)  # the servers' own users have to reach their files
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.enter_context(watchdog(directory))
        ports = reservations(tuple(HOSTS))
        stack.callback(ports.close)
        running = stack.enter_context(contextlib.ExitStack())
        site = Site.prepare(directory, next(ports))
        extra = directory / "etc/dovecot/conf.d/own.conf"
        extra.parent.mkdir(parents=True)
        values = {"directory": directory, "modest": MODEST_HOST, "password": _PASSWORD}
        extra.write_text(_CONFIGURATION.substitute(values), encoding="ascii")
        yield RestartingDovecot(site, running)
