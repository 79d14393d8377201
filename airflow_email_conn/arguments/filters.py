"""The flat filter arguments that the sensor and the operators share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_email_conn.errors import QueryError
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.criteria import read_bool, read_limit
from airflow_email_conn.model.message import MailSummary
from airflow_email_conn.model.query import FILTERS, MailQuery

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.criteria import TextFilter
    from airflow_email_conn.model.rules import HeaderFilter, RuleFilter

__all__ = ["MailFilterArguments", "flat", "mails_from"]


class MailFilterArguments(BaseOperator):
    r"""Takes a MailQuery apart, since Jinja renders plain arguments only. See MailQuery for what they mean.

    :param email_conn_id: a connection of type `email`.
    :param folder: where to look: a folder's name, or its special use such as `\Archive`.
    :param limit: at most so many mails, so that an XCom stays small; None for all.
    :param newest_first: begin with the newest mail instead of the oldest.
    """

    template_fields: Sequence[str] = ("email_conn_id", "folder", "limit", "newest_first", *FILTERS)

    def __init__(
        self,
        *,
        email_conn_id: str = EmailHook.default_conn_name,
        folder: str = "INBOX",
        limit: int | str | None = 100,
        newest_first: bool | str = False,
        sender: TextFilter = None,
        recipient: TextFilter = None,
        subject: TextFilter = None,
        body: TextFilter = None,
        attachment: TextFilter = None,
        attachment_type: TextFilter = None,
        message_id: TextFilter = None,
        in_reply_to: TextFilter = None,
        header: HeaderFilter = None,
        deny: RuleFilter = None,
        allow: RuleFilter = None,
        unseen: bool | str | None = None,
        flagged: bool | str | None = None,
        answered: bool | str | None = None,
        has_attachments: bool | str | None = None,
        since: datetime | str | None = None,
        before: datetime | str | None = None,
        larger_than: int | str | None = None,
        smaller_than: int | str | None = None,
        raw: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.email_conn_id = email_conn_id
        self.folder = folder
        self.limit = limit
        self.newest_first = newest_first
        self.sender = sender
        self.recipient = recipient
        self.subject = subject
        self.body = body
        self.attachment = attachment
        self.attachment_type = attachment_type
        self.message_id = message_id
        self.in_reply_to = in_reply_to
        self.header = header
        self.deny = deny
        self.allow = allow
        self.unseen = unseen
        self.flagged = flagged
        self.answered = answered
        self.has_attachments = has_attachments
        self.since = since
        self.before = before
        self.larger_than = larger_than
        self.smaller_than = smaller_than
        self.raw = raw

    def switch(self, name: str) -> bool:
        """A rendered argument that is on or off: `delete="False"` must not delete. :raises QueryError:"""
        return bool(read_bool(name, getattr(self, name)))

    @property
    def query(self) -> MailQuery:
        """The query that the rendered arguments make. :raises QueryError:"""
        return MailQuery(**{name: getattr(self, name) for name in FILTERS})

    def found(self, mailbox: Mailbox) -> list[MailSummary]:
        """The mails that match, at most `limit`; says so in the log when there may be more.

        :raises QueryError:
        """
        limit = read_limit("limit", self.limit)
        newest_first = self.switch("newest_first")
        mails = list(mailbox.search(self.query, folder=self.folder, limit=limit, newest_first=newest_first))
        if len(mails) == limit:
            self.log.info("Took %d mails, the limit; more may match", limit)
        return mails


def mails_from(value: Any) -> list[MailSummary]:
    """Mails as other tasks gave them: one dict, a list, or the lists of a mapped task.

    :raises QueryError: something else.
    """
    try:
        return [MailSummary.from_dict(dict(item)) for item in flat(value)]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise QueryError(
            "mails: wants what EmailSensor or FetchEmailOperator gave, one mail or a list of them: "
            'mails=wait.output or mails=fetch.output["mails"]'
        ) from exc


def flat(value: Any) -> Iterator[Any]:
    """The items of a list, or of lists in it: what mapped tasks give. A single item is a list of one."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        yield value
        return
    for item in value:
        if isinstance(item, str | Mapping) or not isinstance(item, Iterable):
            yield item
        else:
            yield from item
