r"""Cyrus 3.6: a second real IMAP and POP3 server, with mailboxes of its own, to which nothing is delivered.

Where it differs from Dovecot 2.3, as seen on the wire:

* No login that is not ASCII (``lib/auth_unix.c``); passwords may be. LOGINDISABLED after a sign-in.
* The hierarchy delimiter is ``/``, and making ``a/b`` makes a selectable ``a``. On one more port the same
  mailboxes have the names of older installations and of Courier: ``.``, and everything below ``INBOX.``.
* No ``"`` or ``%`` in folder names; SPECIAL-USE in lower case (``\sent``).
* CREATE, EXAMINE and COPY refuse without a response code, but for TRYCREATE.
* No mail with NUL, bare LF or lines that are no header fields is stored. Octets of a header that are not
  ASCII would become X but for ``munge8bit: no``; no search finds them, not even as UTF-8.
* A mail that another session expunged can be read until the next NOOP.
* A folder's deletion ends the sessions in it. By the default ``delete_mode: delayed`` they go on in what is
  left of it; and the second deletion of a name within one second is refused.
* BODYSTRUCTURE names types in upper case and describes what is nested deeper than 100 multiparts.
* Answers of more than 4 kB go out in several segments with Nagle's algorithm: a client that does not
  acknowledge at once waits 40 ms for each.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from tests.servers.base import HOST
from tests.servers.bedsite import DOMAIN, USERS, User
from tests.servers.mailboxes import Mailboxes
from tests.servers.packages import unpacked
from tests.servers.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tests.servers.bedsite import Site
    from tests.servers.certificates import Certificate

__all__ = ["CYRUS_PACKAGES", "Cyrus", "running_cyrus"]

#: To be installed; ``cyrus-imapd`` and ``cyrus-pop3d`` conflict with Dovecot and are only unpacked.
CYRUS_PACKAGES = ("cyrus-common", "sasl2-bin")

_PROGRAMS = Path("/usr/lib/cyrus/bin")

_CONFIGURATION = Template("""\
configdirectory: $directory/conf
partition-default: $directory/spool
defaultpartition: default
proc_path: $directory/run/proc
mboxname_lockpath: $directory/run/lock
cyrus_user: cyrus
cyrus_group: mail
servername: mail.$domain
virtdomains: userid
altnamespace: $slash_names
unixhierarchysep: $slash_names
delete_mode: immediate
munge8bit: no
skiplist_unsafe: yes
imapidlepoll: 1
allowplaintext: yes
failedloginpause: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $directory/sasldb2
sasl_mech_list: PLAIN LOGIN
tls_server_cert: $chain
tls_server_key: $directory/good.key
autocreate_quota: 0
autocreate_users: anyone
autocreate_inbox_folders: Drafts|Sent|Junk|Trash|Archive
autocreate_subscribe_folders: Drafts|Sent|Junk|Trash|Archive
xlist-drafts: Drafts
xlist-sent: Sent
xlist-junk: Junk
xlist-trash: Trash
xlist-archive: Archive
""")

_SERVICES = Template("""\
START {
  recover cmd="$programs/ctl_cyrusdb -C $directory/imapd.conf -r"
}
SERVICES {
  imap cmd="$imapd -C $directory/imapd.conf" listen="$host:$imap" prefork=0
  imaps cmd="$imapd -C $directory/imapd.conf -s" listen="$host:$imaps" prefork=0
  prefixed cmd="$imapd -C $directory/prefixed.conf" listen="$host:$prefixed" prefork=0
  pop3 cmd="$pop3d -C $directory/imapd.conf" listen="$host:$pop3" prefork=0
  pop3s cmd="$pop3d -C $directory/imapd.conf -s" listen="$host:$pop3s" prefork=0
}
EVENTS {
}
""")


@dataclass(frozen=True)
class Cyrus:
    """The running server; a ``Pop3Servers``."""

    imap_port: int
    imaps_port: int
    #: As ``imap_port``, for the same mailboxes with names such as ``INBOX.Sent``.
    prefixed_port: int
    pop3_port: int
    pop3s_port: int
    ca: Path
    certificate: Certificate
    users: Mapping[str, str] = field(repr=False)
    _mailboxes: Mailboxes = field(repr=False)
    name: str = "cyrus"

    @classmethod
    def at(cls, site: Site) -> Cyrus:
        """Return the one that ``running_cyrus`` runs on a site."""
        passwords = {login: user.password for login, user in _users().items()}
        return cls(
            imap_port=site.ports.cyrus_imap,
            imaps_port=site.ports.cyrus_imaps,
            prefixed_port=site.ports.cyrus_prefixed,
            pop3_port=site.ports.cyrus_pop3,
            pop3s_port=site.ports.cyrus_pop3s,
            ca=site.ca,
            certificate=site.certificates["good"],
            users=passwords,
            _mailboxes=Mailboxes(HOST, site.ports.cyrus_imap, passwords),
        )

    def append(
        self, login: str, raw: bytes, folder: str = "INBOX", flags: str = "", when: datetime | None = None
    ) -> None:
        """Put a message into a folder of a user, exactly as given; see ``Mailboxes.append``."""
        self._mailboxes.append(login, raw, folder, flags, when)

    def empty(self, login: str) -> None:
        """Delete all messages and all folders of a user, but not INBOX and the special folders."""
        self._mailboxes.empty(login)


@contextlib.contextmanager
def running_cyrus(site: Site) -> Iterator[ServerProcess]:
    """Write Cyrus's configuration and run it; it leaves root for the package's own user by itself."""
    directory = site.directory / "cyrus"
    for name in ("conf", "spool", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(site.certificates["good"].key, directory / "good.key")
    _write_configuration(site, directory)
    _write_users(directory / "sasldb2")
    for path in (directory, *directory.iterdir()):
        shutil.chown(path, "cyrus", "mail")
    command: list[str | Path] = [
        *(_PROGRAMS / "master", "-C", directory / "imapd.conf", "-M", directory / "cyrus.conf"),
        *("-p", directory / "run/master.pid"),
    ]
    with ServerProcess.running(command, site.directory / "log/cyrus.stdout") as process:
        process.wait_for_greeting(HOST, site.ports.cyrus_imap, b"* OK")
        yield process


def _write_configuration(site: Site, directory: Path) -> None:
    for name, slash_names in (("imapd", "yes"), ("prefixed", "no")):
        configuration = _CONFIGURATION.substitute(
            directory=directory,
            domain=DOMAIN,
            chain=site.certificates["good"].chain,
            slash_names=slash_names,
        )
        (directory / f"{name}.conf").write_text(configuration, encoding="ascii")
    services = _SERVICES.substitute(
        programs=_PROGRAMS,
        imapd=unpacked("cyrus-imapd", "cyrus-common") / "usr/lib/cyrus/bin/imapd",
        pop3d=unpacked("cyrus-pop3d", "cyrus-common") / "usr/lib/cyrus/bin/pop3d",
        directory=directory,
        host=HOST,
        imap=site.ports.cyrus_imap,
        imaps=site.ports.cyrus_imaps,
        prefixed=site.ports.cyrus_prefixed,
        pop3=site.ports.cyrus_pop3,
        pop3s=site.ports.cyrus_pop3s,
    )
    (directory / "cyrus.conf").write_text(services, encoding="ascii")


def _users() -> dict[str, User]:
    return {login: user for login, user in USERS.items() if login.isascii()}


def _write_users(path: Path) -> None:
    for login, user in _users().items():
        local, _, domain = login.partition("@")
        subprocess.run(
            ["saslpasswd2", "-p", "-c", "-f", path, "-u", domain, local],
            input=user.password.encode(),
            check=True,
            capture_output=True,
        )
