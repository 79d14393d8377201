"""When a server took a mail in: POP3 does not tell, the mail's header may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.wire.mime.envelope import parse_date

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["received"]


def received(field: bytes) -> datetime | None:
    """The time in a Received field (RFC 5321 4.4); None where it has none that can be understood.

    :param field: the topmost one. Each server puts its own above those that came with the mail, so it is of
        the last server: the sender cannot forge it, as Date and the fields further down. Only where a server
        adds none at all the sender's own is on top.
    """
    return parse_date(field.rpartition(b";")[2].strip())
