"""The authority that gives tokens: one request of OAuth each. The only module that imports `msal`.

MSAL makes the requests and signs assertions; its cache, which knows neither a second process nor a second
account, is not used.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from airflow_email_conn.errors import EmailError, ProtocolError, SettingsError
from airflow_email_conn.https import HttpsClient
from airflow_email_conn.model.hosts import is_allowed
from airflow_email_conn.model.partners import is_microsoft_authority
from airflow_email_conn.oauth import refusals
from airflow_email_conn.oauth.certificate import checked_parts
from airflow_email_conn.oauth.refusals import Asked
from airflow_email_conn.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_email_conn.https import Answer
    from airflow_email_conn.model.server import Credential, OAuth, Server

__all__ = ["Authority", "Grant"]

# MSAL adds them itself, and raises on whoever names them too.
_RESERVED: Final = frozenset({"openid", "profile", "offline_access"})
_MAX_ASSERTION: Final = 64 * 1024  # bytes; a signed JWT has 1 or 2 kB
_LONGEST_LIFE: Final = 30 * 86400.0  # seconds; a token that says more is renewed after that nevertheless
_DEFAULT_LIFE: Final = 300.0  # seconds, where the authority does not say (RFC 6749 5.1 only recommends it)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the authority gave (RFC 6749 5.1).

    :param expires_in: seconds.
    :param refresh_token: the next one, or empty.
    :param account: whom the id_token names, or empty.
    """

    access_token: str = field(repr=False)
    expires_in: float
    refresh_token: str = field(default="", repr=False)
    account: str = ""


class Authority:
    """The authority of one credential. Every call asks it anew, and ends within twice the timeout.

    Its certificate is always verified, whatever the connection says of the mail server's.

    :raises SettingsError: the certificate, assertion or scope cannot be used, or a host is not allowed.
    :raises SignInRequiredError: of a person's sign-in: it has ended.
    :raises AuthenticationError: it refuses the client, or what was asked for.
    :raises UnavailableError, NetworkError, ProtocolError:
    """

    def __init__(self, server: Server) -> None:
        if server.credential.oauth is None:
            raise ValueError("the credential is not OAuth")
        self._credential: Credential = server.credential
        self._oauth: OAuth = server.credential.oauth
        self._timeout = server.timeout
        self._trust = Trust(ca_certificates=server.ca_certificates)

    # ------------------------------------------------------------ an application

    def client_token(self, claims: str = "") -> Grant:
        """A token for the application itself (RFC 6749 4.4).

        :param claims: of a claims challenge (OpenID Connect Core 5.5), as JSON text; or empty.
        """
        with self._client() as http:
            app = self._confidential(http)
            result = app.acquire_token_for_client(self._scopes, claims_challenge=claims or None)
            return self._grant(result, Asked.APPLICATION, self._credential.secret)

    # ------------------------------------------------------------ a person

    def refresh(self, refresh_token: str, claims: str = "") -> Grant:
        """A new token for a refresh token (RFC 6749 6), which may be used up by that.

        :param claims: see `client_token`.
        """
        with self._client() as http:
            app = self._public(http)
            more = {"data": {"claims": claims}} if claims else {}
            result = app.acquire_token_by_refresh_token(refresh_token, self._scopes, **more)
            return self._grant(result, Asked.REFRESH, refresh_token)

    def begin_device_flow(self) -> dict[str, Any]:
        """Ask for a code that a person enters elsewhere (RFC 8628 3.1). :returns: MSAL's flow, JSON."""
        with self._client() as http:
            flow: dict[str, Any] = self._public(http).initiate_device_flow(self._scopes)
        if "user_code" not in flow:
            raise refusals.refusal(flow, self._oauth, Asked.CODE)
        return flow

    def poll_device_flow(self, flow: dict[str, Any]) -> Grant | None:
        """Ask once whether the person is done (RFC 8628 3.4). :param flow: MSAL writes into it."""
        with self._client() as http:
            # MSAL would ask again and again, and sleep between: the condition ends that.
            result = self._public(http).acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
        if result.get("error") in {"authorization_pending", "slow_down"}:
            return None
        return self._grant(result, Asked.SIGN_IN, str(flow.get("device_code", "")))

    def revoke(self, refresh_token: str) -> bool:
        """End a sign-in (RFC 7009). :returns: whether the authority offers that, and took it."""
        with self._client() as http:
            found = http.get(f"{self._issuer}/.well-known/openid-configuration")
            endpoint = refusals.json_object(found.text).get("revocation_endpoint")
            if not isinstance(endpoint, str):
                return False
            form = {
                "token": refresh_token,
                "token_type_hint": "refresh_token",
                "client_id": self._oauth.client_id,
            }
            return http.post(endpoint, data=form).status_code == 200

    def _grant(self, result: Mapping[str, Any], asked: Asked, sent: str) -> Grant:
        """What MSAL returned, if it is a token. :param sent: the secret that it was asked with."""
        token = result.get("access_token")
        if "error" in result or not isinstance(token, str) or not token:
            raise refusals.refusal(result, self._oauth, asked, [sent])
        refresh_token = result.get("refresh_token")
        return Grant(
            token,
            _seconds(result.get("expires_in")),
            refresh_token if isinstance(refresh_token, str) else "",
            _account(result.get("id_token_claims")),
        )

    # ------------------------------------------------------------ MSAL

    @property
    def _scopes(self) -> list[str]:
        return [scope for scope in self._oauth.scopes if scope not in _RESERVED]

    @property
    def _issuer(self) -> str:
        """Microsoft's authorities are named without the version that their discovery document has."""
        url = self._oauth.authority
        return f"{url.removesuffix('/v2.0')}/v2.0" if is_microsoft_authority(url) else url

    @contextmanager
    def _client(self) -> Iterator[HttpsClient]:
        """The way to the authority, and around what MSAL raises."""
        allowed = self._oauth.allowed_hosts
        with HttpsClient(self._trust, self._timeout, lambda host: is_allowed(host, allowed)) as http:
            try:
                yield http
            except EmailError:
                raise
            except KeyError as exc:
                raise ProtocolError(
                    f"{self._oauth.authority} tells of itself without {exc.args[0]!s:.40}"
                ) from None
            except ValueError as exc:
                raise refusals.misled(exc, self._oauth) from None
            except (TypeError, AttributeError, IndexError, OverflowError) as exc:
                # A number for an address, and the like: what is of the connection was looked at before.
                raise ProtocolError(
                    f"{self._oauth.authority} answered something that makes no sense ({type(exc).__name__})"
                ) from None

    def _public(self, http: HttpsClient) -> Any:
        from msal import PublicClientApplication  # noqa: PLC0415 - takes 0.2 s to load

        return PublicClientApplication(self._oauth.client_id, **self._options(http))

    def _confidential(self, http: HttpsClient) -> Any:
        from msal import ConfidentialClientApplication  # noqa: PLC0415 - takes 0.2 s to load

        return ConfidentialClientApplication(
            self._oauth.client_id,
            client_credential=self._client_credential(),
            azure_region=False,  # an environment variable could lead the secret elsewhere (MSAL_FORCE_REGION)
            **self._options(http),
        )

    def _options(self, http: HttpsClient) -> dict[str, Any]:
        """Where it is. Nothing else is asked (`instance_discovery`): the connection names the authority."""
        url = self._oauth.authority
        answers = _Answers(http, url)
        options = {"http_client": answers, "instance_discovery": False, "token_cache": _no_cache()}
        if is_microsoft_authority(url):
            return {**options, "authority": url.removesuffix("/v2.0")}
        if urlsplit(url).path:
            return {**options, "oidc_authority": url}
        rooted = _Rooted(answers, url)
        return {**options, "oidc_authority": rooted.url, "http_client": rooted}

    def _client_credential(self) -> Any:
        oauth = self._oauth
        if oauth.assertion_file:
            return {"client_assertion": _assertion(oauth.assertion_file)}
        if not oauth.certificate:
            return self._credential.secret
        private_key, certificate = checked_parts(oauth.certificate, oauth.certificate_password)
        return {
            "private_key": private_key,
            "public_certificate": certificate,
            "passphrase": oauth.certificate_password or None,
        }


def _no_cache() -> Any:
    """In the place of MSAL's cache, which logs what it gets, but for what it knows as secret."""
    from msal import TokenCache  # noqa: PLC0415 - takes 0.2 s to load

    class NoCache(TokenCache):  # type: ignore[misc]
        def add(self, event: Any, now: Any = None) -> None:
            """Forget it."""

    return NoCache()


class _Answers:
    """What MSAL asks with: nothing reaches it but JSON objects, of which it makes sense.

    Others it takes for objects too, and what is no JSON it writes into the log: it may hold a token.

    :param authority: for messages.
    """

    def __init__(self, http: HttpsClient, authority: str) -> None:
        self._http = http
        self._authority = authority
        self.close = http.close

    def get(self, url: str, **options: Any) -> Answer:
        """GET; of errors MSAL reads the status alone. :raises ProtocolError: beside those of `request`."""
        answer = self._http.get(url, **options)
        return answer if answer.status_code >= 400 else self._sensible(answer)

    def post(self, url: str, data: Mapping[str, Any], **options: Any) -> Answer:
        """POST of a form. :raises ProtocolError: beside those of `request`."""
        # Assertions that MSAL signs are bytes, which httpx would send as Python writes them.
        form = {name: value.decode() if isinstance(value, bytes) else value for name, value in data.items()}
        return self._sensible(self._http.post(url, data=form, **options))

    def _sensible(self, answer: Answer) -> Answer:
        if 300 <= answer.status_code < 400:
            raise ProtocolError(
                f"{self._authority} leads elsewhere, which is not followed: correct authority"
            )
        if not refusals.json_object(answer.text):
            raise ProtocolError(
                f"{self._authority} answered something that is no JSON object (status {answer.status_code})"
            )
        return answer


class _Rooted:
    """Lets MSAL ask an issuer whose address has no path, such as Auth0's: MSAL insists on one.

    :param issuer: https://host
    :ivar url: to be given to MSAL.
    """

    def __init__(self, http: _Answers, issuer: str) -> None:
        self._http = http
        self._issuer = issuer
        self.url = f"{issuer}/issuer"
        self.post = http.post
        self.close = http.close

    def get(self, url: str, **options: Any) -> Answer:
        """GET, with the path taken off again."""
        return self._http.get(self._issuer + url.removeprefix(self.url).removeprefix(self._issuer), **options)


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFE
    return min(max(seconds, 0.0), _LONGEST_LIFE) if math.isfinite(seconds) else _DEFAULT_LIFE


def _account(claims: Any) -> str:
    """Who signed in, by the first claim that tells a person something."""
    if not isinstance(claims, dict):
        return ""
    told = (claims.get(name) for name in ("preferred_username", "email", "upn", "name", "sub"))
    found = next((each for each in told if isinstance(each, str) and each), "")
    return "".join(c for c in found[:200] if c.isprintable())


def _assertion(path: str) -> Callable[[], str]:
    """Reads a workload's assertion each time it is needed: it is replaced every hour or so.

    https://learn.microsoft.com/entra/workload-id/workload-identity-federation
    """

    def read() -> str:
        try:
            with Path(path).open("rb") as file:
                text = file.read(_MAX_ASSERTION + 1).decode("ascii").strip()
        except (OSError, ValueError):
            raise SettingsError("client_assertion_file: cannot be read as a text in this process") from None
        if not text or len(text) > _MAX_ASSERTION:
            raise SettingsError("client_assertion_file: is empty, or longer than any assertion")
        return text

    return read
