"""Notifies as the notifier of apache-airflow-providers-smtp does: for DAGs that move over from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

from airflow_email_conn.hooks.smtp import SmtpHook
from airflow_email_conn.notifications.mail import EmailNotifier

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SmtpNotifier", "send_smtp_notification"]


class SmtpNotifier(EmailNotifier):
    """The arguments of the official SmtpNotifier on a connection of type `email`.

    What differs: values in `html_content` are escaped (`{{ value | safe }}` is HTML), and the default mail is
    that of EmailNotifier, which new DAGs use.

    :param smtp_conn_id: a connection of type `email`; that of `[email] email_conn_id` when empty.
    :param template: path of a file for `html_content`.
    :param mime_subtype, mime_charset, auth_type: not used: content and connection decide.
    """

    def __init__(  # noqa: PLR0917 - the official signature
        self,
        to: str | Iterable[str],
        from_email: str | None = None,
        subject: str | None = None,
        html_content: str | None = None,
        files: list[str] | None = None,
        cc: str | Iterable[str] | None = None,
        bcc: str | Iterable[str] | None = None,
        mime_subtype: str = "mixed",  # noqa: ARG002 - the official signature
        mime_charset: str = "utf-8",  # noqa: ARG002 - the official signature
        custom_headers: dict[str, Any] | None = None,
        smtp_conn_id: str | None = None,
        auth_type: str = "basic",  # noqa: ARG002 - the official signature
        *,
        template: str | None = None,
        **kwargs: Any,
    ) -> None:
        if html_content is None and template is not None:
            html_content = Path(template).read_text(encoding="utf-8")
        super().__init__(
            to,
            email_conn_id=smtp_conn_id
            or conf.get("email", "email_conn_id", fallback=SmtpHook.default_conn_name),
            subject=subject or "",
            html=html_content or "",
            sender=from_email or "",
            cc=cc or (),
            bcc=bcc or (),
            attachments=files or (),
            headers=custom_headers,
            **kwargs,
        )


#: The official module's other name for it.
send_smtp_notification = SmtpNotifier
