"""The jobs by apache-airflow-providers-imap.

It has no filter for senders (`mail_filter` is IMAP's own search syntax), gives no mails and no lists of
attachments, and knows no POP3. Each of its downloads fetches whole mails, one by one, and marks them as read.
"""

from __future__ import annotations

import json
import os
from fnmatch import translate
from typing import TYPE_CHECKING

from airflow.providers.imap.hooks.imap import ImapHook

from tests.bench.mails import CONNECTIONS, PATTERN, SENDER
from tests.servers.base import HOST

if TYPE_CHECKING:
    from tests.bench.case import Begin, Place

__all__ = ["connect_often", "find_reports", "read_all", "save_large"]


def find_reports(place: Place, begin: Begin) -> None:
    """`download_mail_attachments`, with the sender in IMAP's words."""
    hook = _hook(place)
    begin()
    with hook:
        hook.download_mail_attachments(
            translate(PATTERN),
            place.out,
            check_regex=True,
            mail_folder=place.folder,
            mail_filter=f'FROM "{SENDER}"',
        )


def read_all(place: Place, begin: Begin) -> None:
    """Look for a file that no mail has, which fetches and parses all of them."""
    hook = _hook(place)
    begin()
    with hook:
        hook.has_mail_attachment("no such file", mail_folder=place.folder)


def save_large(place: Place, begin: Begin) -> None:
    """`download_mail_attachments`."""
    hook = _hook(place)
    begin()
    with hook:
        hook.download_mail_attachments("large.bin", place.out, mail_folder=place.folder)


def connect_often(place: Place, begin: Begin) -> None:
    """Sign in over TLS, and out."""
    os.environ["SSL_CERT_FILE"] = place.ca
    hook = _hook(place, tls=True)
    begin()
    for _ in range(CONNECTIONS):
        with hook:
            pass
        hook.mail_client = None


def _hook(place: Place, *, tls: bool = False) -> ImapHook:
    form = {"conn_type": "imap", "host": "localhost" if tls else HOST, "port": place.port}
    form |= {"login": place.user, "password": place.password, "extra": {"use_ssl": tls}}
    os.environ["AIRFLOW_CONN_IMAP_DEFAULT"] = json.dumps(form)
    hook = ImapHook()
    hook.get_connection("imap_default")  # loads what Airflow needs to read connections
    return hook
