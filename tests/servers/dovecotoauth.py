"""Sign-in by OAuth tokens at Dovecot, and so at Postfix: XOAUTH2 and OAUTHBEARER beside the passwords.

Dovecot asks the authority about each token (introspection, RFC 7662), and about nothing else: passwords work
without an authority.
"""

from __future__ import annotations

import shutil
from string import Template
from typing import TYPE_CHECKING

from tests.servers.authority import issuer
from tests.servers.oauthclients import DOVECOT_SECRET

if TYPE_CHECKING:
    from tests.servers.bedsite import Site

__all__ = ["configure_oauth"]

_CONFIGURATION = Template("""\
auth_mechanisms = $$auth_mechanisms xoauth2 oauthbearer
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = $etc/oauth2-user.conf
  result_failure = continue
  result_internalfail = continue
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = $etc/oauth2-application.conf
  skip = authenticated
}
""")

_INTROSPECTION = Template("""\
introspection_mode = post
force_introspection = yes
introspection_url = $introspection_url
tls_ca_cert_file = $ca
active_attribute = active
active_value = true
timeout_msecs = 5000
scope = mail
openid_configuration_url = $issuer/.well-known/openid-configuration
""")

#: A person's token opens that person's mailbox.
_USER = "username_attribute = email\n"
#: A token of client credentials opens every mailbox of the domain: Dovecot applies the format to the login
#: name and to the claim, so with %d ``alice@example.test`` meets the claim ``any@example.test``. The claim of
#: a person's token is ``none``.
_APPLICATION = "username_attribute = app_access\nusername_format = %d\n"


def configure_oauth(site: Site) -> None:
    """Write Dovecot's configuration of it; before Dovecot starts."""
    etc = site.directory / "etc/dovecot"
    (etc / "conf.d").mkdir(parents=True, exist_ok=True)
    (etc / "conf.d/oauth.conf").write_text(_CONFIGURATION.substitute(etc=etc), encoding="ascii")
    address = issuer(site.ports.authority)
    introspection = _INTROSPECTION.substitute(
        issuer=address,
        introspection_url=f"{address.replace('//', f'//dovecot:{DOVECOT_SECRET}@')}/token/introspection",
        ca=site.ca,
    )
    for name, whose in (("user", _USER), ("application", _APPLICATION)):
        path = etc / f"oauth2-{name}.conf"
        path.write_text(introspection + whose, encoding="ascii")
        shutil.chown(path, "root", "dovecot")
        path.chmod(0o640)
