"""Sends as the hook of apache-airflow-providers-smtp does: for code that moves over from it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePath
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_email_conn.aio import in_thread
from airflow_email_conn.errors import DraftError, EmailError
from airflow_email_conn.hooks.delivery import deliver
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.draft import Draft, unfolded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import Sender
    from airflow_email_conn.model.draft import SendReceipt

__all__ = ["SmtpHook", "official_draft"]

_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9._@+-]{1,200}")
# Headers that are arguments of a Draft.
_ARGUMENTS: Final = {
    "reply-to": "reply_to",
    "message-id": "message_id",
    "in-reply-to": "in_reply_to",
    "references": "references",
}


class SmtpHook(EmailHook):
    """The methods of the official SmtpHook on a connection of type `email`.

    What differs: a mail is sent again only when it surely did not go out (the official hook sends again after
    every error), and a text that is missing is an error, as the connection holds no templates.

    :param smtp_conn_id: a connection of type `email`.
    :param auth_type: not used: the connection says how to sign in.
    """

    conn_name_attr = "smtp_conn_id"
    default_conn_name = "smtp_default"

    def __init__(self, smtp_conn_id: str = default_conn_name, auth_type: str = "basic") -> None:  # noqa: ARG002
        super().__init__(smtp_conn_id)
        self.smtp_conn_id = smtp_conn_id
        self._sender: Sender | None = None
        self._entered = False
        # `asyncio.gather` over `asend_email_smtp` sends from several threads.
        self._in_use = Lock()

    def get_conn(self) -> Self:
        """Check the connection; what it opens is used for all mails until the end of the `with` block.

        :raises SettingsError: every problem of the connection in one message.
        """
        _ = self.settings
        self._entered = True
        return self

    async def aget_conn(self) -> Self:
        """`get_conn`, awaited."""
        return await in_thread(self.get_conn)

    async def atest_connection(self) -> tuple[bool, str]:
        """`test_connection`, awaited."""
        return await in_thread(self.test_connection)

    @property
    def from_email(self) -> str | None:
        """The connection's sender, if it has one."""
        return self.settings.from_address or None

    def send_email_smtp(
        self,
        *,
        to: str | Iterable[str],
        subject: str | None = None,
        html_content: str | None = None,
        from_email: str | None = None,
        files: list[str] | None = None,
        dryrun: bool = False,
        cc: str | Iterable[str] | None = None,
        bcc: str | Iterable[str] | None = None,
        mime_subtype: str = "mixed",  # noqa: ARG002 - the official signature; the composer chooses
        mime_charset: str = "utf-8",  # noqa: ARG002 - as above; all text goes out as UTF-8
        custom_headers: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002 - the official hook ignores them too
    ) -> None:
        """Send an HTML mail.

        :param to: addresses, as a list or in one string with commas or semicolons; so are cc and bcc.
        :param from_email: the sender; the connection's when empty.
        :param files: paths; one that the HTML shows (`cid:name`) becomes a picture in it.
        :param dryrun: check everything, send nothing.
        :param mime_subtype, mime_charset: not used: the structure follows the content, and text is UTF-8.
        :raises EmailError: it did not go out.
        """
        draft = official_draft(
            to=to,
            subject=subject,
            html_content=html_content,
            from_email=from_email,
            files=files,
            cc=cc,
            bcc=bcc,
            custom_headers=custom_headers,
        )
        self.deliver(draft, dryrun=dryrun)

    async def asend_email_smtp(self, **arguments: Any) -> None:
        """`send_email_smtp`, awaited; its arguments and errors."""
        await in_thread(partial(self.send_email_smtp, **arguments))

    def deliver(self, draft: Draft, *, dryrun: bool = False) -> SendReceipt | None:
        """Send, again where that may help; None for a dry run.

        :raises EmailError: it did not go out.
        :raises RuntimeError: the hook is not open.
        """
        if not self._entered:
            raise RuntimeError("the hook is not open: use it as `with SmtpHook(...) as hook:`")
        if dryrun:
            self.check(draft)
            return None
        return deliver(self._send, draft)

    def _send(self, draft: Draft) -> SendReceipt:
        """Over the connection that is open, one mail after the other; over a new one after an error."""
        with self._in_use:
            if self._sender is None:
                self._sender = self.sender()
            try:
                return self._sender.send(draft)
            except EmailError:
                self._hang_up()
                raise

    def _hang_up(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def __enter__(self) -> Self:
        return self.get_conn()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._in_use:
            self._hang_up()
        self._entered = False

    async def __aenter__(self) -> Self:
        return await self.aget_conn()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(partial(self.__exit__, kind, value, trace))


def official_draft(
    *,
    to: str | Iterable[str],
    subject: str | None,
    html_content: str | None,
    from_email: str | None = None,
    files: list[str] | str | None = None,
    cc: str | Iterable[str] | None = None,
    bcc: str | Iterable[str] | None = None,
    custom_headers: dict[str, Any] | None = None,
) -> Draft:
    """The draft of a mail that is described in the words of the official provider.

    :raises DraftError: subject or html_content is None.
    """
    for name, value in (("subject", subject), ("html_content", html_content)):
        if value is None:
            raise DraftError(f"{name}: is missing; connections of type email hold no templates for it")
    listed = [files] if isinstance(files, str) else list(files or ())
    html, shown = _with_pictures(str(html_content), listed)
    arguments, headers = _split(custom_headers or {})
    return Draft(
        to=unfolded(to),
        subject=str(subject),
        html=html,
        sender=from_email or "",
        cc=unfolded(cc or ()),
        bcc=unfolded(bcc or ()),
        attachments=[file for file in listed if file not in shown.values()],
        inline=shown,
        headers=headers,
        **arguments,
    )


def _with_pictures(html: str, files: list[Any]) -> tuple[str, dict[str, Any]]:
    """HTML, and by Content-ID the files that it shows.

    The official hook gives each file its name as Content-ID; one that cannot be a Content-ID gets another.
    """
    shown: dict[str, Any] = {}
    for number, file in enumerate(files):
        name = PurePath(file).name if isinstance(file, str) else str(getattr(file, "name", ""))
        for written in {name, quote(name)} - {""}:
            if f"cid:{written}" not in html:
                continue
            content_id = name if _CONTENT_ID.fullmatch(name) else f"file-{number}"
            html = html.replace(f"cid:{written}", f"cid:{content_id}")
            shown[content_id] = file
    return html, shown


def _split(custom_headers: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Those that are arguments of a Draft, and the others."""
    named = {str(name): value for name, value in custom_headers.items()}
    arguments = {_ARGUMENTS[n.lower()]: value for n, value in named.items() if n.lower() in _ARGUMENTS}
    return arguments, {name: str(value) for name, value in named.items() if name.lower() not in _ARGUMENTS}
