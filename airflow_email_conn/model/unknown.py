"""Keys of a connection that are no field's: what whoever wrote them most likely meant."""

from __future__ import annotations

from typing import Final

from airflow_email_conn.model.fields import BY_KEY

__all__ = ["mend"]

# Names that other software (Airflow's own providers, Django, Flask, curl ...) has for what stands here in
# another field; by likeness of spelling alone most of them would be led astray.
_NAMES: Final = {
    "host": "imap_host imap_server pop_host pop3_host server hostname",
    "incoming_port": "imap_port pop_port pop3_port",
    "login": "username user email",
    "password": "client_secret secret passwd",
    "outgoing_host": "smtp_host smtp_server mail_server",
    "outgoing_port": "smtp_port",
    "outgoing_user": "smtp_user smtp_username outgoing_login outgoing_username",
    "outgoing_secret": "smtp_password outgoing_password",
    "from_address": "from_email mail_from smtp_mail_from sender",
    "authority": "tenant tenant_id",
    "scopes": "scope",
    "timeout": "smtp_timeout",
    "ca_certificates": "ca_file ca_cert cafile",
    "incoming_security or outgoing_security": (
        "security ssl tls use_ssl use_tls starttls disable_ssl disable_tls smtp_ssl smtp_starttls"
    ),
    "outgoing_security": "outgoing_ssl outgoing_tls outgoing_starttls",
    "incoming_check_server_identity or outgoing_check_server_identity": (
        "verify verify_ssl ssl_context check_hostname check_server_identity"
    ),
}
_PLACES: Final = {name: place for place, names in _NAMES.items() for name in names.split()}
# Slips of the keyboard are above it; "incoming_ssl" and incoming_port below.
_CUTOFF: Final = 0.84


def mend(key: str) -> str:
    """What to do about a key that is no field's: where its value belongs, a likely field, or to remove it."""
    name = key.rpartition("__")[2].lower()  # without the prefix that extras had in Airflow 1: extra__email__
    if place := _place(name):
        standard = place in BY_KEY and not BY_KEY[place].extra
        return f"its place is {place}" + (", a standard field" if standard else "")
    import difflib  # noqa: PLC0415 - loaded when needed

    near = difflib.get_close_matches(name, BY_KEY, n=1, cutoff=_CUTOFF)
    return f"did you mean {near[0]}? If not, remove it" if near else "remove it"


def _place(name: str) -> str:
    """The field or fields for a name; empty when nothing is known of it."""
    if name in BY_KEY:
        return name
    # The counterparts of most "outgoing_..." fields have no prefix.
    bare = name.removeprefix("incoming_")
    return _PLACES.get(name) or _PLACES.get(bare) or (bare if bare in BY_KEY else "")
