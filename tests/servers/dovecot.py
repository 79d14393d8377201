"""Dovecot 2.3: IMAP, POP3, LMTP, and the sign-in service that Postfix asks.

Another file can add to the configuration before the start: ``etc/dovecot/conf.d/*.conf`` are read just before
the password file, so that more passdbs (OAuth) or other ``auth_mechanisms`` fit in.
"""

from __future__ import annotations

import contextlib
import shutil
from string import Template
from typing import TYPE_CHECKING

from tests.servers.base import HOST
from tests.servers.bedsite import DOMAIN, HOSTS
from tests.servers.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.bedsite import Site

__all__ = ["DOVECOT_PACKAGES", "running_dovecot"]

DOVECOT_PACKAGES = ("dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd")

_CONFIGURATION = Template("""\
protocols = imap pop3 lmtp
base_dir = $directory/run/dovecot
state_dir = $directory/run/dovecot-state
instance_name = email-conn-tests
listen = $host
log_path = $directory/log/dovecot.log
auth_verbose = yes
verbose_proctitle = no
shutdown_clients = yes
login_greeting = test server ready
hostname = mail.$domain
postmaster_address = postmaster@$domain
first_valid_uid = 8
mail_uid = mail
mail_gid = mail
mail_location = maildir:$directory/mail/%u
mail_plugins = quota
# Many triggers wait in IDLE, each with a process for TLS and one for the mailbox.
mail_max_userip_connections = 300
default_process_limit = 400

ssl = yes
ssl_cert = <$good_chain
ssl_key = <$good_key
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
$bad_certificates
local 127.0.0.5 {
  disable_plaintext_auth = yes
  ssl = required
  mail_max_userip_connections = 2
}
# One POP3 session of a user at a time, as other servers have it (RFC 1939 8).
local 127.0.0.4 {
  pop3_lock_session = yes
}

auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_username_chars =
# Without the next two and the anvil service below, each failed sign-in makes the following ones slower.
auth_failure_delay = 0
auth_cache_size = 0
!include_try $directory/etc/dovecot/conf.d/*.conf
passdb {
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = username_format=%u $directory/etc/dovecot/users
}
userdb {
  driver = passwd-file
  args = username_format=%u $directory/etc/dovecot/users
}

namespace inbox {
  inbox = yes
$roles
}

service imap-login {
$imap
$imaps
}
service pop3-login {
$pop3
$pop3s
}
service lmtp {
  inet_listener lmtp {
    address = $host
    port = $lmtp_port
  }
}
service auth {
  inet_listener sasl {
    address = $host
    port = $sasl_port
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  client_limit = 1000
}
protocol imap {
  mail_plugins = quota imap_quota
  imap_idle_notify_interval = 30 secs
}
protocol lmtp {
  lmtp_rcpt_check_quota = yes
}
protocol pop3 {
  pop3_uidl_format = %08Xu%08Xv
}
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=100M
}
""")


@contextlib.contextmanager
def running_dovecot(site: Site) -> Iterator[ServerProcess]:
    """Write Dovecot's configuration and run it."""
    etc = site.directory / "etc/dovecot"
    (etc / "conf.d").mkdir(parents=True, exist_ok=True)
    shutil.chown(site.directory / "mail", "mail", "mail")
    configuration = etc / "dovecot.conf"
    configuration.write_text(_configuration(site), encoding="utf-8")
    _write_users(site, etc / "users")
    command: list[str | Path] = ["/usr/sbin/dovecot", "-F", "-c", configuration]
    with ServerProcess.running(command, site.directory / "log/dovecot.stdout") as process:
        process.wait_for_greeting(HOST, site.ports.imap, b"* OK")
        process.wait_for_greeting(HOST, site.ports.pop3, b"+OK")
        process.wait_for_greeting(HOST, site.ports.lmtp, b"220")
        yield process


def _configuration(site: Site) -> str:
    good = site.certificates["good"]
    return _CONFIGURATION.substitute(
        directory=site.directory,
        domain=DOMAIN,
        host=HOST,
        good_chain=good.chain,
        good_key=good.key,
        bad_certificates="\n".join(
            f"local {host} {{\n  ssl_cert = <{certificate.chain}\n  ssl_key = <{certificate.key}\n}}"
            for host, certificate in ((host, site.certificates[kind]) for host, kind in HOSTS.items())
            if certificate != good
        ),
        roles="\n".join(
            f"  mailbox {name} {{\n    special_use = \\{name}\n    auto = subscribe\n  }}"
            for name in ("Drafts", "Sent", "Junk", "Trash", "Archive")
        ),
        imap=_listeners("imap", site.ports.imap),
        imaps=_listeners("imaps", site.ports.imaps, tls=True),
        pop3=_listeners("pop3", site.ports.pop3),
        pop3s=_listeners("pop3s", site.ports.pop3s, tls=True),
        lmtp_port=site.ports.lmtp,
        sasl_port=site.ports.sasl,
    )


def _listeners(name: str, port: int, *, tls: bool = False) -> str:
    """Return a listener for each address; Dovecot's default one has to be switched off by its name."""
    blocks = [f"  inet_listener {name} {{\n    port = 0\n  }}"]
    blocks += [
        f"  inet_listener {name}-{number} {{\n    address = {host}\n    port = {port}\n"
        + ("    ssl = yes\n" if tls else "")
        + "  }"
        for number, host in enumerate(HOSTS)
    ]
    return "\n".join(blocks)


def _write_users(site: Site, path: Path) -> None:
    # {PLAIN}, so that every challenge mechanism works too
    lines = (
        f"{login}:{{PLAIN}}{user.password}::::::{user.extra}\n" for login, user in site.all_users.items()
    )
    path.write_text("".join(lines), encoding="utf-8")
    shutil.chown(path, "root", "dovecot")
    path.chmod(0o640)
