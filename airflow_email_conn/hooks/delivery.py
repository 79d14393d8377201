"""Sending where nobody tries again: notifiers and callbacks run once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.hooks.patience import patient

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.model.draft import Draft, SendReceipt

__all__ = ["deliver", "generated", "log_receipt"]

log = logging.getLogger(__name__)

# Callbacks of a DAG run in its processor, which is killed after 50 s ([dag_processor]
# dag_file_processor_timeout): no new try begins later than this.
_SECONDS: Final = 20.0


def deliver(send: Callable[[Draft], SendReceipt], draft: Draft) -> SendReceipt:
    """Send one mail, and again when the error says that it did not go out and that a later try may help.

    Four times at most, the last one begun within 20 seconds. Each takes as long as its steps may.

    :raises EmailError: as `send` raised it last.
    """
    attempts = patient(log, "Not sent", seconds=_SECONDS)
    receipt: SendReceipt = attempts(send, draft)
    log_receipt(log, receipt)
    return receipt


def log_receipt(logger: Any, receipt: SendReceipt) -> None:
    """Tell for whom the server took a mail, and for whom not.

    :param logger: any with `info` and `warning`; tasks have one of structlog.
    """
    logger.info("Sent %s to %s", receipt.message_id, ", ".join(receipt.accepted))
    for address, refusal in receipt.refused.items():
        logger.warning("The server refused %s: %d %s", address, refusal.code, refusal.reason)


def generated(draft: Draft) -> Draft:
    """The draft marked as a machine's (RFC 3834 5), so that no vacation message answers it."""
    if any(name.lower() == "auto-submitted" for name in draft.headers):
        return draft
    return replace(draft, headers={"Auto-Submitted": "auto-generated", **draft.headers})
