"""The access token of requests that outlive it."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import EmailError

if TYPE_CHECKING:
    from airflow_email_conn.backends.base import Renew
    from airflow_email_conn.model.server import Credential

__all__ = ["AccessToken"]

_EARLY: Final = 60.0  # seconds before its end from which on it is replaced


class AccessToken:
    """The access token of a session, and of those beside it; for any number of threads.

    :param renew: see `Renew`.
    :ivar is_first: it is the one that the session was opened with.
    """

    def __init__(self, credential: Credential, renew: Renew) -> None:
        self._credential = credential
        self.renew = renew
        self._lock = threading.Lock()
        self.is_first = True
        self._renew_at = (credential.expires_at or math.inf) - _EARLY

    @property
    def expires_at(self) -> float | None:
        """When it ends, as time.time; None: never, or not known."""
        return self._credential.expires_at

    def current(self) -> Credential:
        """One that lasts for a while yet. Raises what `renew` does."""
        with self._lock:
            if time.time() >= self._renew_at:
                self._renew_early()
            return self._credential

    def replace(self, refused: Credential, claims: str) -> None:
        """Another one than a refused one, unless another thread has it already. Raises what `renew` does.

        :param claims: see `Renew`.
        """
        with self._lock:
            if self._credential is refused:
                self._renew(claims)

    def _renew_early(self) -> None:
        """Once; if that fails, the old one is used to its end."""
        end = self._renew_at = self._credential.expires_at or math.inf
        try:
            self._renew("")
        except EmailError:
            if time.time() >= end:
                raise

    def _renew(self, claims: str) -> None:
        self._credential = self.renew(claims)
        self.is_first = False
        now = time.time()
        left = (self._credential.expires_at or math.inf) - now
        self._renew_at = now + max(left - _EARLY, left / 2)
