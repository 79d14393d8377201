"""The official IMAP provider's hook, on a connection of type `email`."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from airflow.providers.imap.hooks.imap import ImapHook as OfficialImapHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from airflow_email_conn.backends.base import MAX_MAIL_SIZE
from airflow_email_conn.backends.memory import MemoryMailbox
from airflow_email_conn.errors import CapabilityError, MailNotFoundError, ProtocolError
from airflow_email_conn.hooks.downloads import Downloads
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.wire.imap import utf7

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Attachment

__all__ = ["ImapHook"]

_Match: TypeAlias = "tuple[Mailbox, Attachment]"

_MAILS = frozenset({"message/rfc822", "message/global"})
# Mails forwarded as attachments are held in memory while they are looked into, each within the next.
_MAX_FORWARDED = 40 * 1024 * 1024  # bytes; most servers let 25 to 35 MB through
_MAX_DEPTH = 4
# Search keys that find a mail until somebody has read it.
_UNREAD_KEYS = re.compile(r"\b(?:UNSEEN|NEW|RECENT)\b", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


class ImapHook(OfficialImapHook):
    """Finds attachments by their names: the methods, arguments and results of the official ImapHook.

    What differs: nothing is marked as read and nothing is expunged; mails in any charset work, and so do
    attachments without a Content-Disposition, mails that are nothing but one file, and forwarded mails as
    files; every step ends with the connection's timeout. A mail that is moved or deleted meanwhile is left
    out. Errors are EmailErrors (`airflow_email_conn.errors`), not imaplib's.

    Use it in a `with` statement::

        with ImapHook("mail") as hook:
            hook.download_mail_attachments("report.csv", "/data", latest_only=True)

    :param imap_conn_id: a connection of type `email`.
    """

    default_conn_name = "imap_default"
    conn_type = EmailHook.conn_type
    hook_name = EmailHook.hook_name

    def __init__(self, imap_conn_id: str = default_conn_name) -> None:
        BaseHook.__init__(self)  # the official hook's own would set `mail_client`
        self.imap_conn_id = imap_conn_id
        self._mailbox: Mailbox | None = None

    # ------------------------------------------------------------ the connection

    def get_conn(self) -> Self:
        """Sign in, unless that is done already; a `with` statement does it, and signs out.

        :raises CapabilityError, SettingsError, ServerError, NetworkError:
        """
        if self._mailbox is None:
            self._mailbox = EmailHook(self.imap_conn_id).mailbox()
        return self

    def __enter__(self) -> Self:
        return self.get_conn()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            mailbox.close()

    @property
    def mail_client(self) -> NoReturn:  # type: ignore[override]
        """The official hook's imaplib object, which does not exist here. :raises AttributeError: always."""
        raise AttributeError(
            "mail_client: this hook has no imaplib client. To sign out, leave the `with` statement; "
            f"for the rest use EmailHook({self.imap_conn_id!r}).mailbox() of airflow_email_conn.hooks.mail"
        )

    # ------------------------------------------------------------ attachments by name

    def has_mail_attachment(
        self,
        name: str,
        *,
        check_regex: bool = False,
        max_mails: int | None = None,
        mail_folder: str = "INBOX",
        mail_filter: str = "All",
    ) -> bool:
        """Whether there is an attachment of that name.

        :param name: the decoded file name; one that the sender did not give is made up (`message.eml`,
            `attachment-2.pdf`).
        :param check_regex: `name` is a regular expression, which must match from the start of the file name.
        :param max_mails: look at the newest so many mails only, a positive number.
        :param mail_folder: as people write it; in IMAP's own form (quoted, in modified UTF-7) it works too.
        :param mail_filter: an IMAP search such as `(FROM "acme.com" SINCE 1-Mar-2026)` (RFC 9051 6.4.4); with
            POP3 and Microsoft 365 nothing but `All`.
        :raises CapabilityError: another filter than that.
        :raises ValueError: `max_mails` is not positive.
        :raises RuntimeError: the hook is not open.
        :raises FolderNotFoundError, QueryError, ServerError, NetworkError:
        """
        matches = self._matches(name, check_regex, max_mails, mail_folder, mail_filter)
        return next(matches, None) is not None

    def retrieve_mail_attachments(
        self,
        name: str,
        *,
        check_regex: bool = False,
        latest_only: bool = False,
        max_mails: int | None = None,
        mail_folder: str = "INBOX",
        mail_filter: str = "All",
        not_found_mode: str = "raise",
    ) -> list[tuple[str, bytes]]:
        """File name and content of each attachment of that name, those of the newest mail first.

        All of it is held in memory; `download_mail_attachments` is not limited by that.

        :param latest_only: only the first one.
        :param not_found_mode: without one `raise` an exception, `warn` in the log, or `ignore` it.
        :raises AirflowException: there is none, and the mode is `raise`.
        :raises ValueError: the mode is another, or `max_mails` is not positive.
        :raises ProtocolError: an attachment is larger than MAX_MAIL_SIZE.

        The other parameters and errors are those of `has_mail_attachment`.
        """
        _check(not_found_mode)
        found: list[tuple[str, bytes]] = []

        def take(mailbox: Mailbox, attachment: Attachment) -> None:
            found.append((attachment.name, _content(mailbox, attachment, MAX_MAIL_SIZE)))

        matches = self._matches(name, check_regex, max_mails, mail_folder, mail_filter)
        if not self._take(matches, take, latest_only=latest_only):
            self._none_found(not_found_mode)
        return found

    def download_mail_attachments(
        self,
        name: str,
        local_output_directory: str | os.PathLike[str],
        *,
        check_regex: bool = False,
        latest_only: bool = False,
        max_mails: int | None = None,
        mail_folder: str = "INBOX",
        mail_filter: str = "All",
        not_found_mode: str = "raise",
        overwrite: bool = True,
    ) -> None:
        """Save each attachment of that name in a directory, streamed.

        Nothing is placed before all files are complete; an error of the file system while placing may leave
        those that were placed already.
        A name that is a path or no file name (`../x.csv`) becomes a safe one, and the log says so.

        :param local_output_directory: it exists.
        :param overwrite: replace files of the same name. Of several attachments of one name that of the
            oldest mail remains, as with the official hook, and the log says so. False keeps all of them:
            `a.csv` of the newest mail, then `a_1.csv`, `a_2.csv` ...
        :raises OSError: the directory cannot be written.

        The other parameters and errors are those of `retrieve_mail_attachments`.
        """
        _check(not_found_mode)
        matches = self._matches(name, check_regex, max_mails, mail_folder, mail_filter)
        with Downloads(local_output_directory, overwrite=overwrite) as downloads:

            def take(mailbox: Mailbox, attachment: Attachment) -> None:
                downloads.add(attachment.name, lambda file: mailbox.save(attachment, file))

            if not self._take(matches, take, latest_only=latest_only):
                self._none_found(not_found_mode)

    # ------------------------------------------------------------ steps

    def _matches(
        self, name: str, check_regex: bool, max_mails: int | None, mail_folder: str, mail_filter: str
    ) -> Iterator[_Match]:
        """Attachments of that name, the newest mail first."""
        if self._mailbox is None:
            raise RuntimeError("the hook is not open: use it as `with ImapHook(...) as hook:`")
        if max_mails is not None and max_mails <= 0:
            raise ValueError("max_mails must be a positive integer")
        is_wanted: Callable[[str], object] = re.compile(name).match if check_regex else name.__eq__
        if _UNREAD_KEYS.search(_QUOTED.sub("", mail_filter)):
            self.log.info("Reading marks no mail as read: the filter %r finds these again", mail_filter)
        query = self._query(mail_filter, self._mailbox)
        folder = _folder(mail_folder)
        for mail in self._mailbox.search(query, folder=folder, limit=max_mails, newest_first=True):
            for mailbox, attachment in self._with_forwarded(self._mailbox, mail.attachments):
                if is_wanted(attachment.name):
                    yield mailbox, attachment

    def _query(self, mail_filter: str, mailbox: Mailbox) -> MailQuery:
        """All mails are left to any protocol, other filters to one with IMAP's search syntax."""
        if mail_filter.strip().upper() == "ALL":
            return MailQuery()
        if not mailbox.capabilities.raw_search:
            raise CapabilityError(
                "mail_filter: POP3 and Microsoft 365 know no IMAP search; leave it out, or search by"
                f" EmailHook({self.imap_conn_id!r}).mailbox() of airflow_email_conn.hooks.mail"
            )
        return MailQuery(raw=mail_filter)

    def _with_forwarded(
        self, mailbox: Mailbox, attachments: Iterable[Attachment], depth: int = 0
    ) -> Iterator[_Match]:
        """Attachments, and after each that is a mail those which it holds."""
        for attachment in attachments:
            yield mailbox, attachment
            if attachment.content_type not in _MAILS:
                continue
            if attachment.size > _MAX_FORWARDED or depth == _MAX_DEPTH:
                self.log.warning(
                    "The forwarded mail %r is too large or too deep to look into", attachment.name
                )
                continue
            inside = MemoryMailbox()
            try:
                # Twice, because `size` is an estimate, and an error here would hide every older mail.
                inside.append(_content(mailbox, attachment, 2 * _MAX_FORWARDED))
            except MailNotFoundError:
                continue  # deleted meanwhile
            for mail in inside.search(MailQuery()):
                yield from self._with_forwarded(inside, mail.attachments, depth + 1)

    def _take(
        self, matches: Iterator[_Match], take: Callable[[Mailbox, Attachment], None], *, latest_only: bool
    ) -> bool:
        """Take each match, or the first one that is still there; whether there was any."""
        found = False
        for mailbox, attachment in matches:
            try:
                take(mailbox, attachment)
            except MailNotFoundError:
                self.log.warning("The mail with %r was moved or deleted meanwhile: left out", attachment.name)
                continue
            self.log.info("Found attachment: %r", attachment.name)
            found = True
            if latest_only:
                break
        return found

    def _none_found(self, not_found_mode: str) -> None:
        if not_found_mode == "raise":
            raise AirflowException("No mail attachments found!")
        if not_found_mode == "warn":
            self.log.warning("No mail attachments found!")


def _check(not_found_mode: str) -> None:
    """Before anything is looked for: a misspelt mode must not wait for the day without mail."""
    if not_found_mode not in {"raise", "warn", "ignore"}:
        raise ValueError(f"not_found_mode must be 'raise', 'warn' or 'ignore', not {not_found_mode!r:.40}")


def _folder(name: str) -> str:
    """The decoded name of a folder that may be given as imaplib wants it: quoted, in modified UTF-7."""
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return utf7.decode(name) if name.isascii() else name


def _content(mailbox: Mailbox, attachment: Attachment, limit: int) -> bytes:
    """A decoded attachment. :raises MailNotFoundError: ProtocolError when larger than the limit."""
    held = _Held(limit)
    mailbox.save(attachment, held)
    return held.getvalue()


class _Held(io.BytesIO):
    """A file in memory, up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._room = limit

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # BytesIO takes any buffer
        """Take all of `data`. :raises ProtocolError: it is too much."""
        self._room -= len(data)
        if self._room < 0:
            raise ProtocolError("the attachment is too large to be held in memory; download it to a file")
        return super().write(data)
