r"""Mail servers inside this process, from PyPI packages alone: IMAP by pymap, SMTP by aiosmtpd.

For tests where no real servers can run, for the demo, and as a second opinion beside the real ones. What is
accepted by SMTP lies in the recipient's INBOX when the client reads the 250.

Where pymap 0.36.7 differs from Dovecot, as seen on the wire:

* No SASL-IR, NAMESPACE, UNSELECT, ENABLE, CONDSTORE, QRESYNC, ESEARCH, SPECIAL-USE, LIST-EXTENDED, SORT or
  COMPRESS: BAD, or for ``SEARCH RETURN`` a plain SEARCH answer. The hierarchy delimiter is ``/``.
* Keywords are not kept: STORE and APPEND with ``$Done`` say OK and drop it; PERMANENTFLAGS has no ``\*``.
* STARTTLS stays in the capabilities after a sign-in in plain text, which is also offered to anybody.
* The sizes in BODYSTRUCTURE count a part's headers too, text parts have no default charset, and the
  Content-Disposition is one string instead of a list. ``BODY[2]`` holds the line end before the boundary.
* ``BINARY.PEEK[2]`` is answered under that name instead of ``BINARY[2]``.
* Bare line feeds stay as they are. The first UID is 101. UID comes last in a FETCH answer.
* MOVE answers ``* OK [COPYUID ...] Moved.``, without the code when nothing matched.
* A connection whose selected folder is renamed or deleted gets BYE and is closed.

On Python 3.10 it is pymap 0.27.0, which is the same in all this, and has no ID either.

Where aiosmtpd 1.4.6 differs from Postfix:

* No PIPELINING, DSN or CHUNKING; the parameters of DSN get 555. AUTH is only PLAIN and LOGIN.
* Submission without sign-in is 530 at MAIL instead of 554 at RCPT; mail for another domain is 554 5.7.1 also
  after sign-in. Many answers lack the enhanced code.
* A line of more than 1000 bytes is 500 after DATA.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.servers.base import HOST
from tests.servers.certificates import Authority
from tests.servers.loopthread import LoopThread
from tests.servers.mailboxes import Mailboxes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tests.servers.certificates import Certificate

__all__ = ["DEFAULT_USERS", "EmbeddedServers", "embedded_unavailable", "running_embedded"]

DOMAIN = "example.test"
DEFAULT_USERS: Mapping[str, str] = MappingProxyType(
    {
        f"vendor@{DOMAIN}": "vendor-pw",
        f"robot@{DOMAIN}": "robot-pw",
        f"accounting@{DOMAIN}": "pw ü€",
        f"jürgen@{DOMAIN}": "juergen-pw",
    }
)


@dataclass(frozen=True)
class EmbeddedServers:
    """The running servers; a ``MailServers``."""

    imap_port: int
    imaps_port: int
    smtp_port: int
    submission_port: int
    smtps_port: int
    ca: Path
    certificate: Certificate
    message_size_limit: int
    users: Mapping[str, str] = field(repr=False)
    _mailboxes: Mailboxes = field(repr=False)
    domain: str = DOMAIN
    name: str = "embedded"

    def append(
        self, login: str, raw: bytes, folder: str = "INBOX", flags: str = "", when: datetime | None = None
    ) -> None:
        """Put a message into a folder of a user, exactly as given; see ``Mailboxes.append``."""
        self._mailboxes.append(login, raw, folder, flags, when)

    def empty(self, login: str) -> None:
        """Delete all messages and all folders of a user but INBOX; pymap has no special folders."""
        self._mailboxes.empty(login)


def embedded_unavailable() -> str | None:
    """Return in one line why the embedded servers cannot run here, or None when they can."""
    missing = [name for name in ("pymap", "aiosmtpd") if importlib.util.find_spec(name) is None]
    return f"the embedded mail servers need {', '.join(missing)}" if missing else None


@contextlib.contextmanager
def running_embedded(users: Mapping[str, str] = DEFAULT_USERS) -> Iterator[EmbeddedServers]:
    """Run the servers in a thread until the block ends; clients that are still there are dropped.

    :param users: password by login; a login is an address of ``example.test``, at least one.
    """
    # Here, so that this module can be imported, and asked, without the packages.
    if sys.version_info >= (3, 11):
        from tests.servers.embedded_imap import ImapStore  # noqa: PLC0415
    else:
        from tests.servers.embedded_imap_310 import ImapStore  # noqa: PLC0415
    from tests.servers.embedded_smtp import MESSAGE_SIZE_LIMIT, SmtpPorts  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="embedded-") as directory, LoopThread.running("embedded") as loop:
        authority = Authority(Path(directory))
        certificate = authority.issue("good", "localhost", HOST)
        context = certificate.server_context()
        store = ImapStore(users, context)
        smtp = SmtpPorts(users, DOMAIN, context, store.deliver)
        try:
            imap_port, imaps_port = loop.call(store.start())
            smtp_port, submission_port, smtps_port = loop.call(smtp.start())
            yield EmbeddedServers(
                imap_port=imap_port,
                imaps_port=imaps_port,
                smtp_port=smtp_port,
                submission_port=submission_port,
                smtps_port=smtps_port,
                ca=authority.ca,
                certificate=certificate,
                message_size_limit=MESSAGE_SIZE_LIMIT,
                users=dict(users),
                _mailboxes=Mailboxes(HOST, imap_port, users),
            )
        finally:
            loop.call(smtp.stop())
            loop.call(store.stop())
