"""The mails that an operator works on: those of another task, or those that its filters find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_email_conn.arguments.filters import MailFilterArguments, mails_from
from airflow_email_conn.errors import QueryError
from airflow_email_conn.model.query import FILTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailSummary

__all__ = ["GivenOrFound"]

_ABSENT: Final = object()


class GivenOrFound(MailFilterArguments):
    """Works on the mails of another task, or else on those that the filters find.

    :param mails: what EmailSensor or FetchEmailOperator gave: one mail, a list, or the lists of a mapped
        task. Then filters are refused, and a task that gave nothing means no mails: never all.
    :cvar selects: filters that still mean something for given mails.
    """

    selects: ClassVar[frozenset[str]] = frozenset()

    template_fields: Sequence[str] = ("mails", *MailFilterArguments.template_fields)

    def __init__(self, *, mails: Any = _ABSENT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Told apart here, since None is also what a skipped or silent task gives when the task runs.
        self.searches = mails is _ABSENT
        self.mails = None if self.searches else mails

    def check(self) -> None:
        """Refuse what cannot work, before anything is opened. :raises QueryError:"""
        _ = self.query
        given = [name for name in FILTERS if name not in self.selects and getattr(self, name) is not None]
        if given and not self.searches:
            raise QueryError(
                f"{', '.join(given)}: filters choose nothing among given mails; leave out `mails`"
            )

    def chosen(self, mailbox: Mailbox) -> list[MailSummary]:
        """The mails to work on. :raises QueryError: `mails` are none."""
        if self.searches:
            return self.found(mailbox)
        if self.mails is None:
            self.log.info("The task that should give the mails gave none")
            return []
        return mails_from(self.mails)
