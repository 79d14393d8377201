"""Mail about tasks and runs: the notifier, and the function for `[email] email_backend`."""

from __future__ import annotations

import re
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier
from airflow.sdk._shared.secrets_masker import redact

from airflow_email_conn.aio import in_thread
from airflow_email_conn.arguments.content import CONTENT, draft_of, template_of
from airflow_email_conn.errors import clean
from airflow_email_conn.hooks.delivery import deliver, generated
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.smtp import SmtpHook, official_draft
from airflow_email_conn.notifications.notice import Notice, notice_of
from airflow_email_conn.notifications.occasion import Occasion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import jinja2
    from airflow.sdk import Context


__all__ = ["EmailNotifier", "send_email"]

_WORDS = ("subject", "text", "html")
# Airflow 3.3.2 writes the whole object into the subject of its failure mail: "Airflow alert: {{ti}}".
_TASK_INSTANCE = re.compile(
    r"id=UUID\(.*? task_id='(?P<task>.*?)' dag_id='(?P<dag>.*?)' run_id='(?P<run>.*?)'"
    r" try_number=(?P<number>\d+).*"
)
# What Airflow takes for a sender when `[email] from_email` is not set: no server accepts it.
_NOBODY = "airflow@airflow"


class EmailNotifier(BaseNotifier):
    """Mails what became of a task or a run.

    For the callbacks of tasks and DAGs, for human-in-the-loop tasks (`notifiers=`), and for deadlines
    (`AsyncCallback` or `SyncCallback`). Subject and content may be left out: the default mail tells what
    happened, in text and HTML, with links to log and run, the try and the exception.

    All arguments are templates, rendered anew for each mail; besides Airflow's own context they know
    `occasion` (see `Occasion`), the same wherever the notifier is called. In `html`, values are escaped
    (`{{ exception }}` is text, not HTML); write `{{ value | safe }}` for HTML. When `subject`, `text` or
    `html` cannot be rendered, the default mail goes out and says so. A server that is busy is tried again
    for some 20 seconds.

    :param to: addresses, as a list or in one string separated by commas; so are cc, bcc and reply_to.
    :param email_conn_id: a connection of type `email`.
    :param text: plain text, or a template file (`.html`, `.txt`, `.j2`) of the DAG's template path.
    :param html: HTML, or such a file; with `text` they become alternatives of each other.
    :param sender: the From address; the connection's when empty.
    :param attachments: paths, or URLs of object storage.
    :param inline: Content-ID to picture, for `<img src="cid:...">`.
    :param headers: more headers.
    """

    template_fields: Sequence[str] = ("email_conn_id", *CONTENT)

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

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Nothing: `notify` renders a copy. A notifier that renders itself says the same thing ever after."""

    def notify(self, context: Context) -> None:
        """Send. :raises EmailError: it did not go out."""
        ready = copy(self)
        others = [name for name in self.template_fields if name not in _WORDS]
        env = self.get_template_env(dag=_dag(context))
        ready._do_render_template_fields(ready, others, context, env, set())  # noqa: SLF001 - a copy of self
        words = self._words(context)
        draft = replace(draft_of(ready), subject=words.subject, text=words.text, html=words.html)
        deliver(EmailHook(ready.email_conn_id).send, generated(draft))

    async def async_notify(self, context: Context) -> None:
        """Send, in a thread. :raises EmailError: it did not go out."""
        await in_thread(partial(self.notify, context))

    def _words(self, context: Context) -> Notice:
        """The notifier's own words; the default ones for what it leaves out."""
        occasion = Occasion.of(context, self)
        own, remark = Notice(), ""
        try:
            own = self._own_words({**context, "occasion": occasion})
        except Exception as exc:
            self.log.exception("Subject, text or html cannot be rendered: the default mail goes out")
            remark = f"The notifier's own text could not be rendered ({type(exc).__name__}: {exc})."
        if own.subject and (own.text or own.html):
            return own
        default = notice_of(occasion, remark)
        if own.text or own.html:
            return replace(own, subject=clean(default.subject))
        return replace(default, subject=own.subject or clean(default.subject))

    def _own_words(self, context: Mapping[str, Any]) -> Notice:
        """What the arguments say. :raises Exception: whatever a template can raise."""
        dag = _dag(context)
        # Never a native environment: it makes numbers of texts, and escapes nothing.
        env = dag.get_template_env(force_sandboxed=True) if dag else self.get_template_env()

        def rendered(env: jinja2.Environment, value: str) -> str:
            return env.from_string(template_of(value) or value).render(context)

        return Notice(
            subject=clean(rendered(env, self.subject)),  # on one line, whatever an exception says
            text=rendered(env, self.text),
            html=rendered(env.overlay(autoescape=True), self.html),
        )


def _dag(context: Mapping[str, Any]) -> Any:
    """The DAG, if it can render: `dag.test()` gives callbacks of a DAG a serialized one, which cannot."""
    dag = context.get("dag")
    return dag if hasattr(dag, "get_template_env") else None


def send_email(  # noqa: PLR0917 - Airflow's signature
    to: str | Iterable[str],
    subject: str,
    html_content: str,
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
    hold them. A server that is busy is tried again for some 20 seconds.

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
        subject=clean(_TASK_INSTANCE.sub(r"\g<dag>.\g<task>, run \g<run>, try \g<number>", subject or "")),
        html_content=str(redact(html_content or "")),
        files=files,
        cc=cc,
        bcc=bcc,
        from_email=None if from_email == _NOBODY else from_email,
        custom_headers=custom_headers,
    )
    with SmtpHook(conn_id or EmailHook.default_conn_name) as hook:
        hook.deliver(generated(draft), dryrun=dryrun)
