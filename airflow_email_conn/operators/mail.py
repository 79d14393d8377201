"""Sends, fetches and files mail."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.definitions.xcom_arg import PlainXComArg, XComArg

from airflow_email_conn.arguments import MailFilterArguments, mails_from
from airflow_email_conn.errors import DraftError, QueryError
from airflow_email_conn.hooks.failures import no_useless_retries
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.criteria import read_texts
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import FILTERS, matches_name
from airflow_email_conn.operators.storage import MailStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import jinja2
    from airflow.sdk import Context

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Attachment, MailRef, MailSummary

__all__ = ["FetchEmailOperator", "SendEmailOperator", "UpdateEmailOperator"]

_TEMPLATE_FILES = (".html", ".txt", ".j2")


class _GivenOrFound(MailFilterArguments):
    """Works on the mails of another task, or else on those that the filters find.

    :param mails: what EmailSensor or FetchEmailOperator gave: one mail or a list; then `attachment` still
        selects files, and every other filter is refused.
    """

    template_fields: Sequence[str] = ("mails", *MailFilterArguments.template_fields)

    def __init__(
        self, *, mails: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.mails = mails

    def chosen(self, mailbox: Mailbox) -> list[MailSummary]:
        """The mails to work on."""
        return self.found(mailbox) if self.mails is None else mails_from(self.mails)

    def check(self) -> None:
        """Refuse arguments that contradict each other, before anything is opened. :raises QueryError:"""
        if self.mails is None:
            _ = self.query
            return
        given = [name for name in FILTERS if name != "attachment" and getattr(self, name) is not None]
        if given:
            raise QueryError(
                f"{', '.join(given)}: filters choose nothing among given mails; leave out `mails`"
            )


class FetchEmailOperator(_GivenOrFound):
    """Streams attachments into storage, each once, however often it runs.

    Layout: `<path>/dt=<day received, UTC>/<id>/<file>`, and in the same folder `_manifest.json`, written
    last.

    Gives `output["files"]`, a dict for each file: path, name, size (bytes), sha256, content_type, message_id;
    and `output["mails"]`, the mails it took them from. The files are the task's return value, since Airflow
    maps over nothing else: `load.expand(file=fetch.output["files"])`.

    :param path: a folder, local or remote (`s3://conn@bucket/key`).
    :param inline: pictures of the displayed text too.
    :param eml: the whole mail too, as `mail.eml`.
    """

    template_fields: Sequence[str] = ("path", *_GivenOrFound.template_fields)

    def __init__(self, *, path: str, inline: bool = False, eml: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.inline = inline
        self.eml = eml

    @property
    def output(self) -> XComArg:
        """The files; `["files"]` and `["mails"]` of it."""
        return _FetchOutput(self)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Fetch; what was stored before an error stays and is not fetched again."""
        files: list[dict[str, Any]] = []
        with no_useless_retries():
            self.check()
            store = MailStore(ObjectStoragePath(self.path))
            with EmailHook(self.email_conn_id).mailbox() as mailbox:
                mails = self.chosen(mailbox)
                for mail in mails:
                    stored = store.store(mailbox, mail, self._selected(mail), eml=self.eml)
                    self.log.info("%s: %d files", mail.message_id or mail.ref, len(stored))
                    files += stored
        context["ti"].xcom_push(key="mails", value=[mail.as_dict() for mail in mails])
        context["ti"].xcom_push(key="files", value=files)
        return files

    def _selected(self, mail: MailSummary) -> list[Attachment]:
        wanted = read_texts("attachment", self.attachment)
        return [
            attachment
            for attachment in mail.attachments
            if (self.inline or not attachment.inline)
            and (not wanted or matches_name(wanted, attachment.name))
        ]


class _FetchOutput(PlainXComArg):
    """The output of a FetchEmailOperator, whose files are the return value and so can be mapped over."""

    def __getitem__(self, item: str) -> XComArg:
        return XComArg(self.operator) if item == "files" else super().__getitem__(item)


class UpdateEmailOperator(_GivenOrFound):
    r"""Marks, flags, copies, moves or deletes mails, in that order; changes nothing unless told to.

    Mails that are not there any more are reported in the log and left out: a rerun after a move succeeds.
    Gives `output["mails"]`: the mails that were there, with the references they have now.

    :param seen: True marks as read, False as unread.
    :param flag: True sets the flag, False clears it.
    :param copy_to: a folder by its name, or by its special use such as `\Archive`.
    :param move_to: the same.
    :param create_folder: create the folders first where they are missing.
    :param delete: delete for good.
    """

    template_fields: Sequence[str] = ("copy_to", "move_to", *_GivenOrFound.template_fields)

    def __init__(
        self,
        *,
        seen: bool | None = None,
        flag: bool | None = None,
        copy_to: str | None = None,
        move_to: str | None = None,
        create_folder: bool = False,
        delete: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.seen = seen
        self.flag = flag
        self.copy_to = copy_to
        self.move_to = move_to
        self.create_folder = create_folder
        self.delete = delete

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Change the mails."""
        with no_useless_retries():
            self.check()
            if self.move_to and self.delete:
                raise QueryError("move_to, delete: one of them, not both")
            with EmailHook(self.email_conn_id).mailbox() as mailbox:
                mails = self.chosen(mailbox)
                done = self._changed(mailbox, mails) if mails else []
        if len(done) < len(mails):
            self.log.warning("%d of %d mails were not there any more", len(mails) - len(done), len(mails))
        return {"mails": done}

    def _changed(self, mailbox: Mailbox, mails: list[MailSummary]) -> list[dict[str, Any]]:
        if self.create_folder:
            for folder in filter(None, (self.copy_to, self.move_to)):
                mailbox.create_folder(folder)
        now = {mail.ref: mail for mail in mails}
        if self.seen is not None:
            there = mailbox.mark_seen(now, seen=self.seen)
            now = {ref: replace(now[ref], seen=self.seen) for ref in there}
        if self.flag is not None:
            there = mailbox.flag(now, flagged=self.flag)
            now = {ref: replace(now[ref], flagged=self.flag) for ref in there}
        if self.copy_to:
            now = {ref: now[ref] for ref in mailbox.copy(now, self.copy_to)}
        if self.move_to:
            now = {new: _at(now[old], new) for old, new in mailbox.move(now, self.move_to).items()}
        if self.delete:
            now = {ref: now[ref] for ref in mailbox.delete(now)}
        return [mail.as_dict() for mail in now.values()]


def _at(mail: MailSummary, ref: MailRef) -> MailSummary:
    """The mail at its new place, and its attachments with it."""
    attachments = tuple(replace(attachment, ref=ref) for attachment in mail.attachments)
    return replace(mail, ref=ref, attachments=attachments)


class SendEmailOperator(BaseOperator):
    """Sends one mail.

    Gives a dict: message_id, accepted (addresses), refused (address to code and reason).
    When the answer of the server is lost the task fails without a retry: the mail may have gone out.

    :param to: addresses, as a list or in one string separated by commas; so are cc, bcc and reply_to.
    :param text: plain text, or a template file (`.html`, `.txt`, `.j2`) of the DAG's template path.
    :param html: HTML, or such a file; with `text` they become alternatives of each other.
    :param sender: the From address; the connection's when empty.
    :param attachments: paths, URLs of object storage, or the dicts that FetchEmailOperator gives.
    :param inline: Content-ID to picture, for `<img src="cid:...">`.
    :param headers: more headers.
    :param answers: a mail of EmailSensor or FetchEmailOperator to be answered: its sender, subject and thread
        are used for what is left empty, and the answer is marked as automatic (RFC 3834).
    """

    template_fields: Sequence[str] = (
        "email_conn_id",
        "to",
        "subject",
        "text",
        "html",
        "sender",
        "cc",
        "bcc",
        "reply_to",
        "attachments",
        "inline",
        "headers",
        "answers",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"text": "md", "html": "html"}

    def __init__(
        self,
        *,
        email_conn_id: str = EmailHook.default_conn_name,
        to: str | Iterable[str] = (),
        subject: str = "",
        text: str = "",
        html: str = "",
        sender: str = "",
        cc: str | Iterable[str] = (),
        bcc: str | Iterable[str] = (),
        reply_to: str | Iterable[str] = (),
        attachments: Any = (),
        inline: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        answers: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.email_conn_id = email_conn_id
        self.to = to
        self.subject = subject
        self.text = text
        self.html = html
        self.sender = sender
        self.cc = cc
        self.bcc = bcc
        self.reply_to = reply_to
        self.attachments = attachments
        self.inline = inline
        self.headers = headers
        self.answers = answers

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        # Not by `template_ext`: Airflow would take every field that ends so for a template, attachments too.
        # What comes from another task (`seen_oids`) is data, whatever it ends in.
        for name in ("text", "html"):
            value = getattr(parent, name)
            if _is_template_file(value) and id(value) not in seen_oids:
                setattr(parent, name, "{% include " + repr(value) + " %}")
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Send."""
        with no_useless_retries():
            receipt = EmailHook(self.email_conn_id).send(self._draft())
        self.log.info("Sent %s to %s", receipt.message_id, ", ".join(receipt.accepted))
        for address, refusal in receipt.refused.items():
            self.log.warning("The server refused %s: %d %s", address, refusal.code, refusal.reason)
        return receipt.as_dict()

    def _draft(self) -> Draft:
        draft = Draft(
            to=self.to,
            subject=self.subject,
            text=self.text,
            html=self.html,
            sender=self.sender,
            cc=self.cc,
            bcc=self.bcc,
            reply_to=self.reply_to,
            attachments=[_path(item) for item in _listed(self.attachments)],
            inline={cid: _path(item) for cid, item in (self.inline or {}).items()},
            headers=self.headers or {},
        )
        return draft if self.answers is None else _answer(draft, self.answers)


def _is_template_file(value: object) -> bool:
    """A path that ends like a template; a sentence that ends in an address of a web page is none."""
    return isinstance(value, str) and value.endswith(_TEMPLATE_FILES) and not re.search(r"\s|://", value)


def _listed(attachments: Any) -> list[Any]:
    """A list, whether one attachment or several were given."""
    single = attachments is not None and (
        isinstance(attachments, str) or not hasattr(attachments, "__iter__")
    )
    return [attachments] if single or hasattr(attachments, "keys") else list(attachments or ())


def _path(attachment: Any) -> Any:
    """What Draft takes: the path out of a dict of FetchEmailOperator."""
    if not hasattr(attachment, "keys"):
        return attachment
    if "path" not in attachment:
        raise DraftError("attachments: a dict must have a path, as those of FetchEmailOperator do")
    return attachment["path"]


def _answer(draft: Draft, answers: Any) -> Draft:
    """The draft as an answer to a mail (RFC 5322 3.6.4)."""
    mails = mails_from(answers)
    if len(mails) != 1:
        raise DraftError(f"answers: one mail, not {len(mails)}; map over them: .expand(answers=wait.output)")
    mail = mails[0]
    sender = [str(mail.sender.email)] if mail.sender else []
    subject = mail.subject if mail.subject.lower().startswith("re:") else f"Re: {mail.subject}"
    return replace(
        draft,
        to=draft.to or [address.email for address in mail.reply_to] or sender,
        subject=draft.subject or subject,
        in_reply_to=mail.message_id or "",
        references=mail.references or mail.in_reply_to,
        headers={"Auto-Submitted": "auto-replied", **draft.headers},
    )
