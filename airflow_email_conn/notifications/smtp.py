"""Notifies as the notifier of apache-airflow-providers-smtp does: for DAGs that move over from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.configuration import conf

from airflow_email_conn.hooks.smtp import SmtpHook, official_draft
from airflow_email_conn.model.draft import unfolded
from airflow_email_conn.notifications.telling import TellingNotifier
from airflow_email_conn.notifications.wording import Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_email_conn.model.draft import Draft

__all__ = ["SmtpNotifier", "send_smtp_notification"]


class SmtpNotifier(TellingNotifier):
    """The arguments of the official SmtpNotifier on a connection of type `email`.

    What differs: values in `html_content` are escaped (`{{ value | safe }}` is HTML), and the default mail is
    that of EmailNotifier, which new DAGs use.

    :param smtp_conn_id: a connection of type `email`; that of `[email] email_conn_id` when empty.
    :param template: path of a file for `html_content`.
    :param mime_subtype, mime_charset, auth_type: not used: content and connection decide.
    """

    template_fields: Sequence[str] = (
        "from_email",
        "to",
        "subject",
        "html_content",
        "files",
        "cc",
        "bcc",
        "mime_subtype",
        "mime_charset",
        "custom_headers",
        "smtp_conn_id",
    )
    words: ClassVar[Words] = Words("subject", "", "html_content")
    essential: ClassVar[Sequence[str]] = ("smtp_conn_id", "to")

    def __init__(  # noqa: PLR0917 - the official signature
        self,
        to: str | Iterable[str],
        from_email: str | None = None,
        subject: str | None = None,
        html_content: str | None = None,
        files: list[str] | None = None,
        cc: str | Iterable[str] | None = None,
        bcc: str | Iterable[str] | None = None,
        mime_subtype: str = "mixed",
        mime_charset: str = "utf-8",
        custom_headers: dict[str, Any] | None = None,
        smtp_conn_id: str | None = None,
        auth_type: str = "basic",
        *,
        template: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        default_id = conf.get("email", "email_conn_id", fallback=SmtpHook.default_conn_name)
        self.smtp_conn_id = smtp_conn_id or default_id
        self.from_email = from_email
        self.to = to
        self.files = files
        self.cc = cc
        self.bcc = bcc
        self.mime_subtype = mime_subtype
        self.mime_charset = mime_charset
        self.custom_headers = custom_headers
        self.subject = subject
        self.html_content = html_content
        self.auth_type = auth_type
        if html_content is None and template is not None:
            self.html_content = Path(template).read_text(encoding="utf-8")

    def connection_id(self) -> str:
        """See TellingNotifier."""
        return self.smtp_conn_id

    def recipients(self) -> Any:
        """See TellingNotifier."""
        return unfolded(self.to)

    def draft(self) -> Draft:
        """See TellingNotifier. :raises DraftError:"""
        return official_draft(
            to=self.to,
            subject=self.subject or "",
            html_content=self.html_content or "",
            from_email=self.from_email,
            files=self.files,
            cc=self.cc,
            bcc=self.bcc,
            custom_headers=self.custom_headers,
        )


#: The official module's other name for it.
send_smtp_notification = SmtpNotifier
