"""Fetches attachments into storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath
from airflow.sdk.definitions.xcom_arg import PlainXComArg, XComArg

from airflow_email_conn.arguments.filters import mails_from
from airflow_email_conn.hooks.failures import no_useless_retries
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.preview import Preview, table
from airflow_email_conn.model.criteria import read_limit
from airflow_email_conn.operators.given import GivenOrFound
from airflow_email_conn.operators.storage import MailStore, Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.errors import EmailError
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

    The filters `attachment` and `attachment_type` select files, also those of given `mails`. A given mail
    that is gone, or that its server cannot read, fails the task once all the others are stored; one that was
    searched for is left out, with a warning.

    :param path: a folder, local or remote (`s3://conn@bucket/key`).
    :param inline: pictures of the displayed text too.
    :param eml: the whole mail too, as `mail.eml`.
    :param preview: fetch nothing; look at the newest `limit` mails of the folder, or at the given ones, and
        log which would be taken, and why the others not. `files` and `mails` are empty, so that the tasks
        behind do nothing; the XCom `preview` has a dict for each mail: ref, message_id, subject, sender,
        taken, reason.
    """

    selects = frozenset({"attachment", "attachment_type"})

    template_fields: Sequence[str] = ("path", "inline", "eml", "preview", *GivenOrFound.template_fields)

    def __init__(
        self,
        *,
        path: str,
        inline: bool | str = False,
        eml: bool | str = False,
        preview: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.inline = inline
        self.eml = eml
        self.preview = preview

    @property
    def output(self) -> XComArg:
        """The files; `["files"]` and `["mails"]` of it."""
        return _FetchOutput(self)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Fetch; what was stored before an error stays and is not fetched again."""
        mails: list[MailSummary] = []
        files: list[dict[str, Any]] = []
        with no_useless_retries():
            self.check()
            if self.switch("preview"):
                context["ti"].xcom_push(key="preview", value=self._previewed())
            else:
                with EmailHook(self.email_conn_id).mailbox() as mailbox:
                    # Each once, also where the lists of other tasks overlap.
                    mails = list({mail.ref: mail for mail in self.chosen(mailbox)}.values())
                    files, errors = self._stored(mailbox, mails)
                for error in errors:
                    if error.retryable or not self.searches:
                        raise error
        context["ti"].xcom_push(key="mails", value=[mail.as_dict() for mail in mails])
        context["ti"].xcom_push(key="files", value=files)
        return files

    def _previewed(self) -> list[dict[str, Any]]:
        """What would be taken, in the log and as dicts; given mails need no connection."""
        query = self.query
        if self.searches:
            previews = EmailHook(self.email_conn_id).preview(
                query,
                folder=self.folder,
                limit=read_limit("limit", self.limit),
                newest_first=self.switch("newest_first"),
            )
        else:
            previews = [Preview(mail, query.explain(mail)) for mail in mails_from(self.mails or [])]
        taken = sum(item.explanation.taken for item in previews)
        self.log.info("Preview: %d of %d mails would be taken\n%s", taken, len(previews), table(previews))
        return [item.as_dict() for item in previews]

    def _stored(
        self, mailbox: Mailbox, mails: list[MailSummary]
    ) -> tuple[list[dict[str, Any]], list[EmailError]]:
        """The files of all mails, each path once, and why some mails are not stored."""
        eml = self.switch("eml")
        wanted = [Stored(mail, [*self._selected(mail), *([mail.ref] if eml else [])]) for mail in mails]
        files: dict[str, dict[str, Any]] = {}
        errors: list[EmailError] = []
        for stored in MailStore(ObjectStoragePath(self.path), mailbox).store(wanted):
            mail = stored.mail
            if stored.error is not None:
                self.log.warning("%s: %s", mail.message_id or mail.ref, stored.error)
                errors.append(stored.error)
                mails.remove(mail)
                continue
            self.log.info("%s: %d files", mail.message_id or mail.ref, len(stored.files))
            # A mail that was delivered twice lies in storage once.
            files.update({entry["path"]: entry for entry in stored.files})
        return list(files.values()), errors

    def _selected(self, mail: MailSummary) -> list[Attachment]:
        query, inline = self.query, self.switch("inline")
        return [
            attachment
            for attachment in mail.attachments
            if (inline or not attachment.inline) and query.selects(attachment)
        ]


class _FetchOutput(PlainXComArg):
    """The output of a FetchEmailOperator, whose files are the return value and so can be mapped over."""

    def __getitem__(self, item: str) -> XComArg:
        return XComArg(self.operator) if item == "files" else super().__getitem__(item)
