"""Fetches attachments into storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath
from airflow.sdk.definitions.xcom_arg import PlainXComArg, XComArg

from airflow_email_conn.errors import MailNotFoundError
from airflow_email_conn.hooks.failures import no_useless_retries
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.criteria import read_texts
from airflow_email_conn.model.query import matches_name
from airflow_email_conn.operators.given import GivenOrFound
from airflow_email_conn.operators.storage import MailStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Attachment, MailSummary

__all__ = ["FetchEmailOperator"]


class FetchEmailOperator(GivenOrFound):
    """Streams attachments into storage, each once, however often it runs.

    Layout: `<path>/dt=<day received, UTC>/<id>/<file>`, and in the same folder `_manifest.json`, written
    last.

    Gives `output["files"]`, a dict for each file: path, name, size (bytes), sha256, content_type, message_id;
    and `output["mails"]`, the mails it took them from. The files are the task's return value, since Airflow
    maps over nothing else: `load.expand(file=fetch.output["files"])`. After a mapped fetch, map over its
    whole output: `load.expand(files=fetch.output)` gives each task the files of one mail.

    With `mails` the filter `attachment` selects files. A given mail that is gone fails the task once all the
    others are stored; one that was searched for and vanished meanwhile is left out.

    :param path: a folder, local or remote (`s3://conn@bucket/key`).
    :param inline: pictures of the displayed text too.
    :param eml: the whole mail too, as `mail.eml`.
    """

    selects = frozenset({"attachment"})

    template_fields: Sequence[str] = ("path", "inline", "eml", *GivenOrFound.template_fields)

    def __init__(
        self, *, path: str, inline: bool | str = False, eml: bool | str = False, **kwargs: Any
    ) -> None:
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
        with no_useless_retries():
            self.check()
            with EmailHook(self.email_conn_id).mailbox() as mailbox:
                mails = self.chosen(mailbox)
                files, gone = self._stored(mailbox, mails)
            if gone and not self.searches:
                raise gone[0]
        context["ti"].xcom_push(key="mails", value=[mail.as_dict() for mail in mails])
        context["ti"].xcom_push(key="files", value=files)
        return files

    def _stored(
        self, mailbox: Mailbox, mails: list[MailSummary]
    ) -> tuple[list[dict[str, Any]], list[MailNotFoundError]]:
        """The files of all mails, each path once, and the mails that are gone."""
        store = MailStore(ObjectStoragePath(self.path), mailbox)
        eml = self.switch("eml")
        files: dict[str, dict[str, Any]] = {}
        gone: list[MailNotFoundError] = []
        for mail in list(mails):
            try:
                stored = store.store(mail, self._selected(mail), eml=eml)
            except MailNotFoundError as exc:
                self.log.warning("%s: %s", mail.message_id or mail.ref, exc)
                gone.append(exc)
                mails.remove(mail)
                continue
            self.log.info("%s: %d files", mail.message_id or mail.ref, len(stored))
            # A mail that was delivered twice lies in storage once.
            files.update({entry["path"]: entry for entry in stored})
        return list(files.values()), gone

    def _selected(self, mail: MailSummary) -> list[Attachment]:
        wanted = read_texts("attachment", self.attachment)
        inline = self.switch("inline")
        return [
            attachment
            for attachment in mail.attachments
            if (inline or not attachment.inline) and (not wanted or matches_name(wanted, attachment.name))
        ]


class _FetchOutput(PlainXComArg):
    """The output of a FetchEmailOperator, whose files are the return value and so can be mapped over."""

    def __getitem__(self, item: str) -> XComArg:
        return XComArg(self.operator) if item == "files" else super().__getitem__(item)
