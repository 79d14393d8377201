"""Everything that holds a secret, in one deployment: what works, and what goes wrong. See test_secrets.py."""

from __future__ import annotations

import os
import traceback
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, task

from airflow_email_conn.hooks.imap import ImapHook
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.smtp import SmtpHook
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.notifications.mail import EmailNotifier, send_email
from airflow_email_conn.notifications.smtp import SmtpNotifier
from airflow_email_conn.operators.mail import FetchEmailOperator, SendEmailOperator, UpdateEmailOperator
from airflow_email_conn.operators.smtp import EmailOperator
from airflow_email_conn.sensors.imap_attachment import ImapAttachmentSensor
from airflow_email_conn.sensors.mail import EmailSensor

TEAM = "robot@example.test"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
FILES = os.environ.get("STAGE_FILES", "")
GOOD = ("email_default", "email_env", "mail_variable", "mail_two", "mail_macro")
BAD = (
    "mail_wrong",
    "mail_echo",
    "mail_closing",
    "mail_silent",
    "mail_certificate",
    "mail_client",
    "mail_broken",
    "mail_misplaced",
)

with DAG(
    "everything",
    schedule=None,
    start_date=START,
    # A busy machine makes servers late, and Airflow 3.3.2 fails a task that goes on before the scheduler has
    # heard from the executor that it had stopped to wait, as `never` may.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
    on_success_callback=EmailNotifier(TEAM, email_conn_id="mail_two"),
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=1),
        callback=AsyncCallback(EmailNotifier, kwargs={"to": TEAM, "email_conn_id": "mail_variable"}),
    ),
):
    wait = EmailSensor(
        task_id="wait", email_conn_id="mail_variable", sender="@acme.com", poke_interval=1, timeout=60
    )
    fetch = FetchEmailOperator(
        task_id="fetch", email_conn_id="mail_variable", mails=wait.output, path=f"{FILES}/fetched", eml=True
    )
    answer = SendEmailOperator.partial(
        task_id="answer",
        email_conn_id="mail_two",
        to=TEAM,
        text="From {{ conn.mail_two.login }} by {{ conn.mail_two.host }}, marker-of-the-template",
        attachments=fetch.output,
    ).expand(answers=wait.output)
    update = UpdateEmailOperator(
        task_id="update",
        email_conn_id="mail_variable",
        mails=wait.output,
        seen=True,
        move_to="Done",
        create_folder=True,
    )
    EmailSensor(
        task_id="never",
        email_conn_id="mail_variable",
        subject="marker-of-the-filter",
        deferrable=True,
        timeout=15,
        on_missing="report",
    )
    old_wait = ImapAttachmentSensor(
        task_id="old_wait", conn_id="mail_macro", attachment_name="rechnung märz.csv", poke_interval=1
    )
    old_send = EmailOperator(
        task_id="old_send", conn_id="email_env", to=TEAM, subject="By EmailOperator", html_content="<p>x</p>"
    )

    @task(retries=0, on_success_callback=SmtpNotifier(TEAM, smtp_conn_id="email_default"))
    def by_hand() -> dict[str, str]:
        """What people write themselves: hooks, send_email, the connection test, and looking at all of it."""
        print("marker-of-the-task")
        with ImapHook("mail_two") as hook:
            found = hook.retrieve_mail_attachments("rechnung märz.csv")
            hook.download_mail_attachments("rechnung märz.csv", FILES)
        with SmtpHook("mail_variable") as hook:
            hook.send_email_smtp(to=TEAM, subject="By SmtpHook", html_content="<p>x</p>")
        send_email(TEAM, "By send_email", "<p>x</p>", conn_id="mail_two")
        print(len(found), [EmailHook(conn_id).test_connection() for conn_id in GOOD])
        return {conn_id: shown(EmailHook(conn_id)) for conn_id in GOOD}

    wait >> fetch >> answer >> update
    old_wait >> old_send >> by_hand()


def shown(hook: EmailHook) -> str:
    """A hook, as far as a person would print it who looks for a fault."""
    settings = hook.settings  # from now on in `vars` too
    return f"{hook!r} {vars(hook)} {settings!r} {settings.incoming} {settings.outgoing!s}"


def told(conn_id: str, direction: str) -> str:
    """What goes wrong with a connection, with everything that its exception has to say."""
    hook = EmailHook(conn_id)
    try:
        if direction == "incoming":
            hook.mailbox().close()
        else:
            hook.send(Draft(to=TEAM, subject="Never sent", text="x"))
    except Exception as exc:
        hook.log.exception("%s, %s", conn_id, direction)
        trace = traceback.TracebackException.from_exception(exc, capture_locals=False)
        return f"{exc} {exc!r} {exc.args} {vars(exc)} {''.join(trace.format())} {exc.__cause__!r}"
    raise AssertionError(f"{conn_id} works, {direction}")


with DAG(
    "refused", schedule=None, start_date=START, on_failure_callback=EmailNotifier(TEAM, subject="Refused")
):
    on_failure: dict[str, Any] = {"on_failure_callback": EmailNotifier(TEAM)}
    EmailSensor(task_id="wrong_in", email_conn_id="mail_wrong", **on_failure)
    SendEmailOperator(
        task_id="wrong_out", email_conn_id="mail_wrong", to=TEAM, subject="x", text="x", **on_failure
    )
    SendEmailOperator(
        task_id="closing",
        email_conn_id="mail_closing",
        to=TEAM,
        subject="x",
        text="x",
        retries=1,
        retry_delay=timedelta(seconds=1),
        on_retry_callback=EmailNotifier(TEAM),
        **on_failure,
    )

    @task(on_failure_callback=EmailNotifier(TEAM), email=TEAM)
    def tell() -> None:
        """Collect every error, store it, log it, and raise it all together."""
        texts = [told(conn_id, direction) for conn_id in BAD for direction in ("incoming", "outgoing")]
        texts += [str(EmailHook(conn_id).test_connection()) for conn_id in BAD]
        texts += [shown(EmailHook(conn_id)) for conn_id in (*GOOD, "mail_certificate", "mail_client")]
        Path(FILES, "told.txt").write_text("\n".join(texts), encoding="utf-8")
        raise RuntimeError("marker-of-the-error " + " ".join(texts))

    @task(on_failure_callback=EmailNotifier(TEAM))
    def blurt() -> None:
        """Raise secrets, as only a person can who takes them out of the settings on purpose."""
        hooks = [EmailHook(conn_id) for conn_id in ("email_default", "mail_variable")]
        secrets = [hook.settings.incoming.credential.secret for hook in hooks if hook.settings.incoming]
        raise RuntimeError(f"blurted<<{secrets[0]} {secrets[1]}>>")

    tell()
    blurt()
