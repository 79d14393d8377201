"""The official IMAP provider's sensor, on a connection of type `email`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.imap.sensors.imap_attachment import (
    ImapAttachmentSensor as OfficialImapAttachmentSensor,
)

from airflow_email_conn.hooks.failures import no_useless_pokes
from airflow_email_conn.hooks.imap import ImapHook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

__all__ = ["ImapAttachmentSensor"]


class ImapAttachmentSensor(OfficialImapAttachmentSensor):
    """Waits for an attachment by its name: the arguments and the result of the official sensor.

    Looks with our ImapHook: any mail works, nothing is marked as read, every wait ends. A wrong password or a
    folder that does not exist fails the task at once, with `soft_fail` too.

    :param attachment_name: as `name` of ImapHook.has_mail_attachment; so are the next three.
    :param check_regex: the name is a regular expression.
    :param mail_folder: where to look.
    :param mail_filter: an IMAP search.
    :param conn_id: a connection of type `email`.
    """

    # Releases of the official sensor before 3.13 lack the last one.
    template_fields: Sequence[str] = ("attachment_name", "mail_filter", "conn_id")

    def poke(self, context: Context) -> bool:  # noqa: ARG002 - Airflow's signature
        """Look once. :raises AirflowFailException: it will never work like this."""
        self.log.info("Looking for %r in %r", self.attachment_name, self.mail_folder)
        with no_useless_pokes(self), ImapHook(self.conn_id) as hook:
            return hook.has_mail_attachment(
                self.attachment_name,
                check_regex=self.check_regex,
                mail_folder=self.mail_folder,
                mail_filter=self.mail_filter,
            )
