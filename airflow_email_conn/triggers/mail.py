"""Waits for mail in the triggerer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_email_conn.aio import in_thread, within
from airflow_email_conn.backends.position import Position
from airflow_email_conn.errors import EmailError
from airflow_email_conn.hooks.connection import settings_of
from airflow_email_conn.hooks.tokens import tokens_for
from airflow_email_conn.lookout import Lookout, Wanted
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.watch import MailWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import Tokens

__all__ = ["EmailTrigger", "MailWait"]

_LOOKUP = 60.0  # seconds; Airflow asks the secrets backends one by one, and then its own API


@dataclass(frozen=True, kw_only=True)
class MailWait:
    """What EmailTrigger takes: JSON, and nothing secret, since Airflow keeps it in its database.

    :param until: when the wait ends, in ISO 8601.
    :param query: `MailQuery.as_dict()`.
    :param limit, newest_first: as in EmailSensor.
    :param position: `Position.as_dict()` of where the folder ended before somebody looked and found nothing;
        None when nobody did. A triggerer that dies loses nothing: the next one begins here.
    :param poll_interval: seconds between two looks, where the server does not tell of new mail.
    :param idle_refresh: seconds after which a server that does tell is asked nevertheless.
    :param patience: seconds without a successful look after which it gives up.
    """

    email_conn_id: str
    until: str
    folder: str = "INBOX"
    query: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    newest_first: bool = False
    position: dict[str, Any] | None = None
    poll_interval: float = 60.0
    idle_refresh: float = 300.0
    patience: float = 1800.0


class EmailTrigger(BaseTrigger):
    """Waits for mails that match. Takes the fields of MailWait.

    Fires once, with a payload whose `status` is

    - `found`: `mails` are MailSummaries as dicts, as EmailSensor gives them;
    - `missing`: there were none in time;
    - `error`: nobody can or could look, as `message` and `server_text` say; `retryable` if it may heal.

    Each has `until`, as it was given.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wait = MailWait(**arguments)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments."""
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}", asdict(self.wait)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. When it is cancelled the connection is closed at once."""
        try:
            mails = await self._mails()
        except EmailError as exc:
            payload = {
                "status": "error",
                "message": exc.message,
                "server_text": exc.server_text,
                "retryable": exc.retryable,
            }
        else:
            payload = {"status": "found" if mails else "missing", "mails": mails}
        yield TriggerEvent({**payload, "until": self.wait.until})  # type: ignore[no-untyped-call]

    async def _mails(self) -> list[dict[str, Any]]:
        wait = self.wait
        query = MailQuery.from_dict(wait.query)
        settings, tokens = await self._connection()
        watch = MailWatch(
            settings,
            wait.folder,
            tokens=tokens,
            flags=not query.is_settled(flags=True, index=True),
            refresh=wait.idle_refresh,
            interval=wait.poll_interval,
        )
        lookout = Lookout(
            watch,
            Wanted(query, wait.folder, wait.limit, wait.newest_first),
            Position.from_dict(wait.position) if wait.position else None,
            patience=wait.patience,
            warn=self.log.warning,
        )
        try:
            found = await lookout.mails(datetime.fromisoformat(wait.until).timestamp())
        finally:
            watch.close()
        return [mail.as_dict() for mail in found]

    async def _connection(self) -> tuple[EmailSettings, Tokens | None]:
        conn_id = self.wait.email_conn_id
        lookup = BaseHook.aget_connection(conn_id)
        connection = await within(_LOOKUP, f"look up the connection {conn_id!r}", lookup)

        def read() -> tuple[EmailSettings, Tokens | None]:
            settings = settings_of(connection)
            return settings, tokens_for(settings, conn_id)

        # It may ask for a Variable and tells the supervisor what to mask: both block.
        return await in_thread(read)
