"""The arguments that make a mail, as the send operator and the notifier both take them."""

from __future__ import annotations

import re
from typing import Any, Final

from airflow_email_conn.arguments.filters import flat
from airflow_email_conn.errors import DraftError
from airflow_email_conn.model.draft import Draft, unfolded

__all__ = ["CONTENT", "draft_of", "template_of"]

#: Arguments that become the fields of a Draft; all of them are templates.
CONTENT: Final = (
    "to",
    "subject",
    "text",
    "html",
    "sender",
    "cc",
    "bcc",
    "reply_to",
    "attachments",
    "inline",
    "headers",
)

_TEMPLATE_FILES: Final = (".html", ".txt", ".j2")


def draft_of(owner: Any) -> Draft:
    """The mail that the attributes of `owner`, named as in CONTENT, describe. :raises DraftError:"""
    return Draft(
        to=unfolded(owner.to),
        subject=owner.subject,
        text=owner.text,
        html=owner.html,
        sender=owner.sender,
        cc=unfolded(owner.cc),
        bcc=unfolded(owner.bcc),
        reply_to=unfolded(owner.reply_to),
        attachments=[_path(item) for item in flat(owner.attachments or ())],
        inline={cid: _path(item) for cid, item in (owner.inline or {}).items()},
        headers=owner.headers or {},
    )


def template_of(value: object) -> str | None:
    """The template that reads the file which `value` names; None if it names none.

    A name without spaces that ends in `.html`, `.txt` or `.j2`: a sentence may end in the name of a file. Not
    Airflow's `template_ext`, which takes every argument that ends so for a template, attachments too.
    """
    if not isinstance(value, str) or not value.endswith(_TEMPLATE_FILES) or re.search(r"\s|://", value):
        return None
    return "{% include " + repr(value) + " %}"


def _path(attachment: Any) -> Any:
    """What Draft takes: the path out of a dict of FetchEmailOperator."""
    if not hasattr(attachment, "keys"):
        return attachment
    if "path" not in attachment:
        raise DraftError("attachments: a dict must have a path, as those of FetchEmailOperator do")
    return attachment["path"]
