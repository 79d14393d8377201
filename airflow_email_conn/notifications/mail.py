"""Mail about tasks and runs: the notifier, and the function for `[email] email_backend`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_email_conn.arguments.content import CONTENT, draft_of
from airflow_email_conn.hooks.delivery import generated
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.smtp import SmtpHook, official_draft
from airflow_email_conn.model.draft import unfolded
from airflow_email_conn.notifications.telling import TellingNotifier
from airflow_email_conn.notifications.wording import Words, masked, masked_html, one_line, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_email_conn.model.draft import Draft

__all__ = ["EmailNotifier", "send_email"]

# Airflow 3.3.2 writes the whole object into the subject of its failure mail: "Airflow alert: {{ti}}".
_TASK_INSTANCE = re.compile(
    r"id=UUID\('[^']{1,40}'\) task_id='(?P<task>[^']{1,250})' dag_id='(?P<dag>[^']{1,250})'"
    r" run_id='(?P<run>[^']{1,250})' try_number=(?P<number>\d{1,9}) dag_version_id=UUID\('[^']{1,40}'\)"
    r" map_index=(?P<index>-?\d{1,9}) [^\n]{0,4000}? sentry_integration='[^']{0,250}'"
)
_MAX_SUBJECT = 10_000  # characters that are looked at
# What Airflow takes for a sender when `[email] from_email` is not set: no server accepts it.
_NOBODY = "airflow@airflow"


class EmailNotifier(TellingNotifier):
    """Mails what became of a task or a run.

    For the callbacks of tasks and DAGs, for human-in-the-loop tasks (`notifiers=`), and for deadlines
    (`AsyncCallback` or `SyncCallback`). Subject and content may be left out: the default mail tells what
    happened, in text and HTML, with links to log and run, the try and the exception.

    All arguments are templates, rendered anew for each mail; besides Airflow's own context they know
    `occasion` (see `Occasion`), the same wherever the notifier is called. In `html`, values are escaped
    (`{{ exception }}` is text, not HTML); write `{{ value | safe }}` for HTML. Secrets that Airflow masks in
    logs are masked. What cannot be rendered or attached does not lose the mail: the default one goes out and
    says so. A server that is busy is tried again, up to four times within 20 seconds.

    :param to: addresses, as a list or in one string separated by commas; so are cc, bcc and reply_to.
    :param email_conn_id: a connection of type `email`.
    :param text: plain text, or a template file (`.html`, `.txt`, `.j2`) of the DAG's template path.
    :param html: HTML, or such a file; with `text` they become alternatives of each other.
    :param sender: the From address; the connection's when empty.
    :param attachments: paths, or URLs of object storage.
    :param inline: Content-ID to picture, for `<img src="cid:...">`.
    :param headers: more headers.
    :raises ValueError: nobody is told: to, cc and bcc are empty.
    """

    template_fields: Sequence[str] = ("email_conn_id", *CONTENT)
    words: ClassVar[Words] = Words("subject", "text", "html")
    essential: ClassVar[Sequence[str]] = ("email_conn_id", "to")

    def __init__(
        self,
        to: str | Iterable[str] = (),
        *,
        email_conn_id: str = EmailHook.default_conn_name,
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (to or cc or bcc):  # found now, and not in the log of the night when it should have told
            raise ValueError("to: is empty, and so are cc and bcc; enter who is to be told")
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

    def connection_id(self) -> str:
        """See TellingNotifier."""
        return self.email_conn_id

    def recipients(self) -> Any:
        """See TellingNotifier."""
        return unfolded(self.to)

    def draft(self) -> Draft:
        """See TellingNotifier. :raises DraftError:"""
        return draft_of(self)


def send_email(  # noqa: PLR0917 - Airflow's signature
    to: str | Iterable[str],
    subject: str,
    html_content: str | None,
    files: list[str] | None = None,
    dryrun: bool = False,
    cc: str | Iterable[str] | None = None,
    bcc: str | Iterable[str] | None = None,
    mime_subtype: str = "mixed",  # noqa: ARG001 - Airflow's signature; the composer chooses
    mime_charset: str = "utf-8",  # noqa: ARG001 - as above; all text goes out as UTF-8
    conn_id: str | None = None,
    from_email: str | None = None,
    custom_headers: dict[str, Any] | None = None,
    **kwargs: Any,  # noqa: ARG001 - Airflow hands on what its callers add
) -> None:
    """Send a mail of Airflow's own: name this function in `[email] email_backend`.

    Then failure and retry mails (`email=` of a task) and `airflow.utils.email.send_email` go out by a
    connection of type `email`. Secrets that Airflow masks in its logs are masked in the mail too: exceptions
    hold them. A server that is busy is tried again, up to four times within 20 seconds.

    :param to: addresses, as a list or in one string with commas or semicolons; so are cc and bcc.
    :param files: paths; one that the HTML shows (`cid:name`) becomes a picture in it.
    :param dryrun: check everything, send nothing.
    :param conn_id: the connection, from `[email] email_conn_id`; `email_default` when empty.
    :param from_email: the sender, from `[email] from_email`; the connection's when that is not set.
    :param mime_subtype, mime_charset: not used: the structure follows the content, and text is UTF-8.
    :raises EmailError: it did not go out.
    """
    draft = official_draft(
        to=to,
        subject=one_line(masked(_TASK_INSTANCE.sub(_told, (subject or "")[:_MAX_SUBJECT]))),
        html_content=None if html_content is None else readable(masked_html(html_content)),
        files=files,
        cc=cc,
        bcc=bcc,
        from_email=None if _is_nobody(from_email) else from_email,
        custom_headers=custom_headers,
    )
    with SmtpHook(conn_id or EmailHook.default_conn_name) as hook:
        hook.deliver(generated(draft), dryrun=dryrun)


def _told(ti: re.Match[str]) -> str:
    index = "" if ti["index"] == "-1" else f"[{ti['index']}]"
    return f"{ti['dag']}.{ti['task']}{index}, run {ti['run']}, try {ti['number']}"


def _is_nobody(sender: str | None) -> bool:
    bare = (sender or "").strip().removesuffix(">").rpartition("<")[2]
    return bare.strip().lower() == _NOBODY
