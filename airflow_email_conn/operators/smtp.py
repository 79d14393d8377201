"""Sends as the operator of apache-airflow-providers-smtp does: for DAGs that move over from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_email_conn.hooks.failures import no_useless_retries
from airflow_email_conn.hooks.smtp import SmtpHook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

__all__ = ["EmailOperator"]


class EmailOperator(BaseOperator):
    """The official EmailOperator on a connection of type `email`; new DAGs use SendEmailOperator.

    :param to: addresses, as a list or in one string with commas or semicolons; so are cc and bcc.
    :param subject, html_content: needed: the connection holds no templates for them.
    :param from_email: the sender; the connection's when empty.
    :param files: paths; one that the HTML shows (`cid:name`) becomes a picture in it.
    :param mime_subtype, mime_charset: not used: the structure follows the content, and text is UTF-8.
    :param conn_id: a connection of type `email`.
    """

    template_fields: Sequence[str] = (
        "to",
        "subject",
        "html_content",
        "from_email",
        "files",
        "cc",
        "bcc",
        "mime_subtype",
        "mime_charset",
        "conn_id",
        "custom_headers",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"html_content": "html"}
    template_ext: Sequence[str] = (".html",)

    def __init__(
        self,
        *,
        to: list[str] | str,
        subject: str | None = None,
        html_content: str | None = None,
        from_email: str | None = None,
        files: list[str] | None = None,
        cc: list[str] | str | None = None,
        bcc: list[str] | str | None = None,
        mime_subtype: str = "mixed",
        mime_charset: str = "utf-8",
        conn_id: str = SmtpHook.default_conn_name,
        custom_headers: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.subject = subject
        self.html_content = html_content
        self.from_email = from_email
        self.files = files or []
        self.cc = cc
        self.bcc = bcc
        self.mime_subtype = mime_subtype
        self.mime_charset = mime_charset
        self.conn_id = conn_id
        self.custom_headers = custom_headers

    def execute(self, context: Context) -> None:  # noqa: ARG002 - Airflow's signature
        """Send."""
        with no_useless_retries(), SmtpHook(self.conn_id) as hook:
            hook.send_email_smtp(
                to=self.to,
                subject=self.subject,
                html_content=self.html_content,
                from_email=self.from_email,
                files=self.files,
                cc=self.cc,
                bcc=self.bcc,
                custom_headers=self.custom_headers,
            )
