"""Hosts and service addresses: their one spelling, and those that a deployment allows."""

from __future__ import annotations

import ipaddress
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from airflow_email_conn.model.reader import FieldReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["HostReader", "host_name", "is_allowed", "service_url"]

# Not with a number as the last label, which some resolvers take for an IP address: 0x7f.1 is 127.0.0.1.
_HOST: Final = re.compile(r"(?!(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\Z)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_TENANT: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_MICROSOFT: Final = "login.microsoftonline.com"
_SCHEMES: Final = {"imap", "imaps", "pop", "pop3", "pop3s", "smtp", "smtps", "http", "https", "ssl", "tls"}
_PATH: Final = re.compile(r"[A-Za-z0-9._~/%:@!$&'()*+,;=-]*")


def host_name(text: str) -> str:
    """The one spelling of a host: lower case, IDNA in ASCII, no final dot, no brackets around IPv6.

    URIs lower the case of a host, and certificates carry the ASCII form without a final dot.

    :raises ValueError: what is wrong and the mend, without the text.
    """
    scheme, separator, _ = text.partition("://")
    if separator:
        # Only known schemes are shown: the text may come from a macro.
        shown = f"{scheme}://" if scheme.lower() in _SCHEMES else "what stands before it"
        raise ValueError(f"is an address with a scheme; enter the host name alone, without {shown}")
    for character, name in (("/", "a path"), ("@", "a user"), ("\\", "a backslash")):
        if character in text:
            raise ValueError(f"holds {name}; enter the host name alone")
    if any(c.isspace() for c in text):
        raise ValueError("holds a space; enter one host name")
    if "%" in text:
        raise ValueError("holds a % sign; enter an address without a scope")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        return _dns_name(text)


def _dns_name(text: str) -> str:
    """The spelling of a host that is no IP address. :raises ValueError: as `host_name`."""
    before, colon, after = text.rpartition(":")
    if colon and (after.isdigit() or not after) and (":" not in before or before.endswith("]")):
        raise ValueError("holds a port; enter the port in its own field")
    name = _ascii(text).removesuffix(".")
    if len(name) > 253 or ".." in name or not _HOST.fullmatch(name) or max(map(len, name.split("."))) > 63:
        raise ValueError("is neither a host name nor an IP address; enter it as mail.example.com")
    return name


def _ascii(name: str) -> str:
    """Lower case, and IDNA (RFC 5890) where it is not ASCII; as it is where that cannot be."""
    if name.isascii() or len(name) > 253:  # the codec takes quadratic time for long names
        return name.lower()
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return name.lower()


def is_allowed(host: str, globs: Sequence[str]) -> bool:
    """Whether a host, spelled as by `host_name`, matches one of the globs; without globs nothing does."""
    return any(fnmatchcase(host, _glob(glob)) for glob in globs)


def _glob(glob: str) -> str:
    """A glob in the spelling of `host_name`."""
    try:
        return ipaddress.ip_address(glob.strip("[]")).compressed
    except ValueError:
        return ".".join(_ascii(label) for label in glob.removesuffix(".").split("."))


def service_url(text: str) -> tuple[str, str, int]:
    """An https address in its one spelling, its host and its port.

    The address is put together again from its parts, so that no later reader can see another host in it.

    :raises ValueError: what is wrong and the mend, without the text.
    """
    if not text.lower().startswith("https://"):
        raise ValueError("is not an https address; enter it with https:// in front")
    try:
        parts = urlsplit(text)
        port = parts.port or 443
    except ValueError:
        raise ValueError("is not an https address; enter it as https://host/path") from None
    if "@" in parts.netloc or "?" in text or "#" in text or not _PATH.fullmatch(parts.path):
        raise ValueError("holds more than host and path; enter it as https://host/path")
    host = host_name(parts.hostname or "")
    shown = (f"[{host}]" if ":" in host else host) + ("" if port == 443 else f":{port}")
    return f"https://{shown}{parts.path.rstrip('/')}", host, port


class HostReader(FieldReader):
    """Reads fields, also those that name a host, and notes hosts that the deployment does not allow.

    :param allowed_hosts: globs.
    """

    __slots__ = ("_allowed_hosts",)

    def __init__(
        self,
        values: Mapping[str, Any],
        environ: Mapping[str, str],
        variable: Callable[[str], str | None],
        macro_names: Sequence[str],
        allowed_hosts: Sequence[str],
    ) -> None:
        super().__init__(values, environ, variable, macro_names)
        self._allowed_hosts = allowed_hosts

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Globs of the hosts that the deployment allows."""
        return tuple(self._allowed_hosts)

    def host(self, key: str, mend: str) -> str:
        """The host in its one spelling; an empty field is a problem with that mend."""
        text = self.text(key)
        if not text:
            self.missing(key, mend)
            return ""
        try:
            return self.allowed(key, host_name(text))
        except ValueError as exc:
            self.problem(key, str(exc))
            return ""

    def url(self, key: str) -> tuple[str, str, int]:
        """An https address, its host and its port."""
        return self._url(key, self.text(key))

    def service_root(self, key: str) -> tuple[str, str, int]:
        """Graph's service root, its host and its port. Documentation calls it so with and without /v1.0."""
        url, host, port = self.url(key)
        url = url.removesuffix("/v1.0")
        if "/" in url.removeprefix("https://"):
            self.problem(key, "holds a path; enter the service root alone, as https://graph.microsoft.com")
        return url, host, port

    def authority(self, key: str, tenant: str = "", login: str = _MICROSOFT) -> str:
        """The issuer's https address; a bare tenant is Microsoft's, an empty field means `tenant`.

        :param login: the host of Microsoft's authorities, for a tenant.
        """
        text = self.text(key) or (tenant if _TENANT.fullmatch(tenant) else "")
        if not text:
            self.missing(key, "enter the tenant, or the issuer's https address")
        return self._url(key, f"https://{login}/{text.lower()}" if _TENANT.fullmatch(text) else text)[0]

    def allowed(self, key: str, host: str) -> str:
        """The host, if the deployment allows it; `key` is the field it comes from."""
        if is_allowed(host, self._allowed_hosts):
            return host
        self.problem(
            key,
            "is a host that [email_conn] allowed_hosts does not allow; use another, or ask the administrator",
        )
        return ""

    def _url(self, key: str, text: str) -> tuple[str, str, int]:
        try:
            url, host, port = service_url(text)
        except ValueError as exc:
            self.problem(key, str(exc))
            return "", "", 443
        host = self.allowed(key, host)
        return url if host else "", host, port
