"""Sends mail."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_email_conn.arguments.content import CONTENT, draft_of, template_of
from airflow_email_conn.arguments.filters import mails_from
from airflow_email_conn.errors import DraftError
from airflow_email_conn.hooks.delivery import log_receipt
from airflow_email_conn.hooks.failures import no_useless_retries
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.criteria import read_bool
from airflow_email_conn.model.draft import SendReceipt
from airflow_email_conn.wire.compose.recipients import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import jinja2
    from airflow.sdk import Context

    from airflow_email_conn.model.draft import Draft
    from airflow_email_conn.model.message import Address, MailSummary

__all__ = ["SendEmailOperator"]

_MAX_ANSWERED = 10  # addresses in Reply-To: more is a list, or a sender who wants others to be mailed
_MAX_SUBJECT = 900  # characters; RFC 5322 2.1.1 ends a line at 998
_MAX_REFERENCES = 50  # the last ones of a thread; RFC 5322 sets no end to them
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")  # what can be written into a header again


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
        are used for what is left empty, and the answer is marked as automatic (RFC 3834 3.1.7).
    :param answer_automatic: answer also a mail that a program or a list sent; else nothing is sent to it, as
        two programs that answer each other never end (RFC 3834 2).
    """

    template_fields: Sequence[str] = ("email_conn_id", *CONTENT, "answers", "answer_automatic")
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
        answer_automatic: bool | str = False,
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
        self.answer_automatic = answer_automatic

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        for name in ("text", "html"):
            value = getattr(parent, name)
            template = template_of(value)
            # What comes from another task (`seen_oids`) is data, whatever it ends in.
            if template and id(value) not in seen_oids:
                setattr(parent, name, template)
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Send."""
        with no_useless_retries():
            mail = None if self.answers is None else _answered(self.answers)
            if mail and mail.automatic and not read_bool("answer_automatic", self.answer_automatic):
                self.log.warning(
                    "Not answered: %s was sent by a program or a list", mail.message_id or mail.ref
                )
                return SendReceipt("").as_dict()
            receipt = EmailHook(self.email_conn_id).send(self._draft(mail))
        log_receipt(self.log, receipt)
        return receipt.as_dict()

    def _draft(self, mail: MailSummary | None) -> Draft:
        draft = draft_of(self)
        return _answer(draft, mail) if mail else draft


def _answered(answers: Any) -> MailSummary:
    """The mail to be answered. :raises DraftError: none, or several."""
    mails = mails_from(answers)
    if len(mails) != 1:
        raise DraftError(f"answers: one mail, not {len(mails)}; map over them: .expand(answers=wait.output)")
    return mails[0]


def _sendable(addresses: Iterable[Address]) -> list[str]:
    """Those that mail can be sent to, as strictly written; what a sender wrote wrongly is left out."""
    found = []
    for address in addresses:
        local, _, domain = address.email.rpartition("@")
        # Dots at odd places are wrong without quotes, and real at Japanese carriers: a..b@docomo.ne.jp.
        for text in (address.email, f'"{local}"@{domain.rstrip(".")}'):
            with suppress(DraftError):
                found.append(parse_address("to", text).email)
                break
    return found


def _answer(draft: Draft, mail: MailSummary) -> Draft:
    """The draft as an answer to a mail (RFC 5322 3.6.4)."""
    sender = _sendable([mail.sender] if mail.sender else [])
    reply_to = _sendable(mail.reply_to)
    thread = [i for i in mail.references or mail.in_reply_to if _MESSAGE_ID.fullmatch(i)]
    answers = mail.message_id if mail.message_id and _MESSAGE_ID.fullmatch(mail.message_id) else ""
    subject = mail.subject if mail.subject.lower().startswith("re:") else f"Re: {mail.subject}"
    return replace(
        draft,
        to=draft.to or (reply_to if 0 < len(reply_to) <= _MAX_ANSWERED else sender),
        subject=draft.subject or subject[:_MAX_SUBJECT],
        in_reply_to=answers,
        references=thread[-_MAX_REFERENCES:],
        headers={"Auto-Submitted": "auto-replied", **draft.headers},
    )
