"""Marks, flags, copies, moves and deletes mail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_email_conn.errors import QueryError
from airflow_email_conn.hooks.failures import no_useless_retries
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.criteria import read_bool
from airflow_email_conn.model.keywords import KeywordChange
from airflow_email_conn.operators.given import GivenOrFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailRef, MailSummary

__all__ = ["UpdateEmailOperator"]


class UpdateEmailOperator(GivenOrFound):
    r"""Marks, flags, labels, copies, moves or deletes mails, in that order; changes nothing unless told to.

    Mails that were moved or deleted meanwhile are reported in the log and left out: a rerun after a move
    succeeds. A second run after a copy makes a second copy. A folder that the server rebuilt is an error.
    Gives `output["mails"]`: the mails that were there, with the references they have now.

    Wants `mails` or at least one filter; to change every mail of a folder, say so: `larger_than=0`.

    :param seen: True marks as read, False as unread.
    :param flag: True sets the flag, False clears it.
    :param add_keywords: labels to add, one or many: IMAP's keywords (no space, ASCII), Outlook's categories.
    :param remove_keywords: labels to take away.
    :param copy_to: a folder by its name, or by its special use such as `\Archive`.
    :param move_to: the same.
    :param create_folder: create the folders first where they are missing.
    :param delete: delete for good.
    """

    template_fields: Sequence[str] = (
        "seen",
        "flag",
        "add_keywords",
        "remove_keywords",
        "copy_to",
        "move_to",
        "create_folder",
        "delete",
        *GivenOrFound.template_fields,
    )

    def __init__(
        self,
        *,
        seen: bool | str | None = None,
        flag: bool | str | None = None,
        add_keywords: str | Sequence[str] = (),
        remove_keywords: str | Sequence[str] = (),
        copy_to: str | None = None,
        move_to: str | None = None,
        create_folder: bool | str = False,
        delete: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.seen = seen
        self.flag = flag
        self.add_keywords = add_keywords
        self.remove_keywords = remove_keywords
        self.copy_to = copy_to
        self.move_to = move_to
        self.create_folder = create_folder
        self.delete = delete

    def check(self) -> None:
        """Refuse what cannot work, before anything is opened. :raises QueryError:"""
        super().check()
        for name in ("copy_to", "move_to"):
            value = getattr(self, name)
            if value is not None and not str(value).strip():
                raise QueryError(f"{name}: is empty; leave it out (None) to leave the mails where they are")
        if self.move_to and self.switch("delete"):
            raise QueryError("move_to, delete: one of them, not both")
        if self.searches and self.query.takes_all:
            raise QueryError(
                "mails: neither mails nor a filter; to change every mail of the folder say larger_than=0"
            )

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Change the mails."""
        with no_useless_retries():
            self.check()
            change = _Change(self)
            with EmailHook(self.email_conn_id).mailbox() as mailbox:
                mails = self.chosen(mailbox)
                done = change.apply(mailbox, mails) if mails else []
        if len(done) < len(mails):
            self.log.warning("%d of %d mails were not there any more", len(mails) - len(done), len(mails))
        return {"mails": [mail.as_dict() for mail in done]}


class _Change:
    """What is to be done, read from the rendered arguments. :raises QueryError: one makes no sense."""

    def __init__(self, operator: UpdateEmailOperator) -> None:
        self._seen = read_bool("seen", operator.seen)
        self._flag = read_bool("flag", operator.flag)
        self._keywords = {
            "add": _listed("add_keywords", operator.add_keywords),
            "remove": _listed("remove_keywords", operator.remove_keywords),
        }
        self._labelled = KeywordChange(**self._keywords).of
        self._copy_to, self._move_to = operator.copy_to, operator.move_to
        self._create, self._delete = operator.switch("create_folder"), operator.switch("delete")

    def apply(self, mailbox: Mailbox, mails: list[MailSummary]) -> list[MailSummary]:
        """Do it; the mails that were there, as they are now."""
        if self._create:
            for folder in filter(None, (self._copy_to, self._move_to)):
                mailbox.create_folder(folder)
        now = {mail.ref: mail for mail in mails}
        if self._seen is not None:
            there = mailbox.mark_seen(now, seen=self._seen)
            now = {ref: replace(now[ref], seen=self._seen) for ref in there}
        if self._flag is not None:
            there = mailbox.flag(now, flagged=self._flag)
            now = {ref: replace(now[ref], flagged=self._flag) for ref in there}
        if any(self._keywords.values()):
            there = mailbox.change_keywords(now, **self._keywords)
            now = {ref: replace(now[ref], keywords=self._labelled(now[ref].keywords)) for ref in there}
        if self._copy_to:
            now = {ref: now[ref] for ref in mailbox.copy(now, self._copy_to)}
        if self._move_to:
            now = {new: _at(now[old], new) for old, new in mailbox.move(now, self._move_to).items()}
        if self._delete:
            now = {ref: now[ref] for ref in mailbox.delete(now)}
        return list(now.values())


def _listed(name: str, value: object) -> list[str]:
    """One label or many. :raises QueryError: something else."""
    found = [value] if isinstance(value, str) else value
    if found is None:
        return []
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) and one.strip() for one in found):
        raise QueryError(f"{name}: give a text, or a list of texts, none of them empty")
    return [one.strip() for one in found]


def _at(mail: MailSummary, ref: MailRef) -> MailSummary:
    """The mail at its new place, and its attachments with it."""
    attachments = tuple(replace(attachment, ref=ref) for attachment in mail.attachments)
    return replace(mail, ref=ref, attachments=attachments)
