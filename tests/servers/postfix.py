"""Postfix: SMTP for incoming mail, submission and smtps, with refusals by address (see ``addresses``).

Dovecot checks the sign-ins and takes the mail by LMTP. Nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import time
from string import Template
from typing import TYPE_CHECKING

from tests.servers.addresses import ACCEPTED_SPECIAL, RECIPIENT_REFUSALS
from tests.servers.base import HOST
from tests.servers.bedsite import DOMAIN, HOSTS, USERS
from tests.servers.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.bedsite import Site

__all__ = ["MESSAGE_SIZE_LIMIT", "POSTFIX_PACKAGES", "running_postfix"]

POSTFIX_PACKAGES = ("postfix",)
MESSAGE_SIZE_LIMIT = 2_000_000

_MAIN = Template("""\
compatibility_level = 3.6
queue_directory = $spool
data_directory = $data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = $directory/log/postfix.log
maillog_file_prefixes = $directory
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.$domain
myorigin = $domain
mydestination =
mynetworks = 192.0.2.1/32
alias_maps =
local_recipient_maps =
biff = no
smtputf8_enable = yes
message_size_limit = $size_limit
virtual_mailbox_domains = $domain
virtual_mailbox_maps = texthash:$etc/mailboxes
virtual_alias_maps = texthash:$etc/aliases
virtual_transport = lmtp:inet:$host:$lmtp_port
lmtp_destination_concurrency_limit = 5
transport_maps = texthash:$etc/transport
virtual_mailbox_base = $directory/mail
virtual_uid_maps = static:$mail_uid
virtual_gid_maps = static:$mail_gid
virtual_minimum_uid = 1
default_transport = error:5.4.4 outbound mail is switched off in this test
relay_transport = error:5.4.4 outbound mail is switched off in this test
minimal_backoff_time = 5s
maximal_backoff_time = 10s
queue_run_delay = 5s
in_flow_delay = 0
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:$host:$sasl_port
smtpd_sasl_security_options = noanonymous
smtpd_sasl_auth_enable = yes
smtpd_tls_security_level = may
smtpd_tls_chain_files = $certificate
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_tls_session_cache_database =
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_policy_service inet:$host:$policy_port
smtpd_end_of_data_restrictions = check_policy_service inet:$host:$policy_port
""")

#: name, type, private, unprivileged, chroot, wake-up, limit, command: as Debian's, without chroot
_SERVICES = """
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       5       1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""

_QUEUES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved"),
    *("trace", "maildrop", "public", "pid"),
)
_QUEUE_MODES = {"maildrop": 0o730, "public": 0o710, "pid": 0o755}


@contextlib.contextmanager
def running_postfix(site: Site) -> Iterator[ServerProcess]:
    """Write Postfix's configuration and run it; Dovecot and the policy service have to be up."""
    etc, spool, data = (site.directory / name for name in ("etc/postfix", "spool/postfix", "spool/data"))
    for folder in (etc, spool, data):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.chown(data, "postfix", "postfix")
    (etc / "main.cf").write_text(_main(site, etc, spool, data), encoding="utf-8")
    (etc / "master.cf").write_text(_listeners(site) + _SERVICES, encoding="utf-8")
    _write_maps(site, etc)
    _date_back(etc)
    _make_queues(spool)
    # Not `postfix start`: its checks and its making of the queues take seconds.
    command: list[str | Path] = ["/usr/lib/postfix/sbin/master", "-c", etc, "-d"]
    environment = {"MAIL_CONFIG": str(etc), "MAIL_LOGTAG": "postfix"}
    with ServerProcess.running(command, site.directory / "log/postfix.stdout", environment) as process:
        process.wait_for_greeting(HOST, site.ports.smtp, b"220")
        process.wait_for_greeting(HOST, site.ports.submission, b"220")
        yield process


def _main(site: Site, etc: Path, spool: Path, data: Path) -> str:
    mail = pwd.getpwnam("mail")
    return _MAIN.substitute(
        directory=site.directory,
        etc=etc,
        spool=spool,
        data=data,
        domain=DOMAIN,
        host=HOST,
        size_limit=MESSAGE_SIZE_LIMIT,
        lmtp_port=site.ports.lmtp,
        sasl_port=site.ports.sasl,
        policy_port=site.ports.policy,
        mail_uid=mail.pw_uid,
        mail_gid=mail.pw_gid,
        certificate=site.certificates["good"].both,
    )


def _listeners(site: Site) -> str:
    """Return a service for each address and port: inet_interfaces could only name configured addresses."""
    sign_in = ["-o smtpd_relay_restrictions=permit_sasl_authenticated,reject"]
    tls_first = ["-o smtpd_tls_auth_only=yes"]
    lines = []
    for host, kind in HOSTS.items():
        chain = [f"-o smtpd_tls_chain_files={site.certificates[kind].both}"]
        for port, options in (
            (site.ports.smtp, tls_first if kind == "strict" else []),
            (site.ports.submission, ["-o smtpd_tls_security_level=encrypt", *tls_first, *sign_in]),
            (site.ports.smtps, ["-o smtpd_tls_wrappermode=yes", *sign_in]),
        ):
            lines.append(f"{host}:{port} inet n - n - - smtpd {' '.join([*options, *chain])}")
    return "\n".join(lines)


def _write_maps(site: Site, etc: Path) -> None:
    boxes = [*site.all_users, f"postmaster@{DOMAIN}"]
    # Dovecot 2.3's LMTP has no SMTPUTF8: Postfix itself writes into the Maildir of a user who needs it.
    own = [login for login in USERS if not login.isascii()]
    first = next(iter(USERS))
    special = [*ACCEPTED_SPECIAL, *RECIPIENT_REFUSALS]
    for name, lines in {
        "mailboxes": [f"{login} {login}/" for login in boxes],
        "transport": [f"{login} virtual:" for login in own],
        "aliases": [f"{local}@{DOMAIN} {first}" for local in special],
    }.items():
        (etc / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _date_back(etc: Path) -> None:
    # Postfix waits until a file that it reads has not changed for two seconds.
    past = time.time() - 60
    for path in etc.iterdir():
        os.utime(path, (past, past))


def _make_queues(spool: Path) -> None:
    for name in _QUEUES:
        queue = spool / name
        queue.mkdir(exist_ok=True)
        shutil.chown(queue, "root" if name == "pid" else "postfix", "root")
        if name in ("maildrop", "public"):
            shutil.chown(queue, group="postdrop")
        queue.chmod(_QUEUE_MODES.get(name, 0o700))
