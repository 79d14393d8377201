"""What rests in the token store for one credential: a token, and what it is renewed with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.errors import SignInRequiredError

if TYPE_CHECKING:
    from airflow_email_conn.errors import EmailError
    from airflow_email_conn.oauth.authority import Grant

__all__ = ["TokenRecord"]

_VERSION: Final = 1
_KEPT: Final = 60.0  # seconds of a token's life that must be left for it to be used: a sign-in takes its time
_REST: Final = 30.0  # seconds after a failure in which a token that can be used is used
_EARLY: Final = 300.0  # seconds before the end from when on it is renewed, as MSAL does


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """The state of one credential. Times are those of time.time.

    :param access_token: or empty.
    :param issued_at, expires_at: when the access token came, and when it ends.
    :param refresh_token: of a person's sign-in (RFC 6749 1.5), or empty.
    :param refreshed_at: when the refresh token came.
    :param signed_in_at: when a person signed in.
    :param account: who signed in, as the authority calls them; or empty.
    :param secret_digest: of the client secret or certificate that the token was fetched with.
    :param error: why the last renewal failed, in our words; empty after one that did not.
    :param failed_at: when.
    :param retry_at: not to be tried before, as long as there is a token that can be used.
    :param is_dead: the authority takes the refresh token no more.
    """

    access_token: str = field(default="", repr=False)
    issued_at: float = 0.0
    expires_at: float = 0.0
    refresh_token: str = field(default="", repr=False)
    refreshed_at: float = 0.0
    signed_in_at: float = 0.0
    account: str = ""
    secret_digest: str = ""
    error: str = ""
    failed_at: float = 0.0
    retry_at: float = 0.0
    is_dead: bool = False

    def is_usable(self, now: float) -> bool:
        """Whether a server would still take the access token."""
        return bool(self.access_token) and self.expires_at - now > min(_KEPT, self._life / 10)

    def is_fresh(self, now: float) -> bool:
        """Whether the access token needs no renewal yet."""
        early = _EARLY if self._life > _EARLY else self._life / 2
        return self.is_usable(now) and self.expires_at - now > early

    def is_resting(self, now: float) -> bool:
        """Whether another try to renew it would come too soon, or be in vain."""
        return self.is_dead or now < self.retry_at

    def granted(self, grant: Grant, now: float) -> TokenRecord:
        """The record after the authority gave a token. What it did not give anew stays."""
        return TokenRecord(
            access_token=grant.access_token,
            issued_at=now,
            expires_at=now + grant.expires_in,
            refresh_token=grant.refresh_token or self.refresh_token,
            refreshed_at=now if grant.refresh_token else self.refreshed_at,
            signed_in_at=self.signed_in_at,
            account=grant.account or self.account,
            secret_digest=self.secret_digest,
        )

    def failed(self, failure: EmailError, now: float) -> TokenRecord:
        """The record after a renewal that failed."""
        rest = max(_REST, getattr(failure, "retry_after", None) or 0.0)
        is_dead = isinstance(failure, SignInRequiredError)
        return replace(self, error=failure.message, failed_at=now, retry_at=now + rest, is_dead=is_dead)

    @property
    def _life(self) -> float:
        return max(0.0, self.expires_at - self.issued_at)

    def as_text(self) -> str:
        """For the store."""
        return json.dumps({"version": _VERSION, **asdict(self)})

    @classmethod
    def from_text(cls, text: str | None) -> TokenRecord | None:
        """A record from the store; None when there is none, or something else, which a new one replaces."""
        try:
            found: Any = json.loads(text or "null")
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict) or found.get("version") != _VERSION:
            return None
        kept = {each.name: found[each.name] for each in fields(cls) if each.name in found}
        kinds = {"str": str, "float": (int, float), "bool": bool}
        if any(not isinstance(kept[f.name], kinds[str(f.type)]) for f in fields(cls) if f.name in kept):  # type: ignore[arg-type]
            return None
        return cls(**kept)
