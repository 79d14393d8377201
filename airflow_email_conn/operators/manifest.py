"""`_manifest.json`: what a folder of storage holds. It is written last, so that it says the rest is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_email_conn.model.message import Attachment

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_email_conn.backends.base import What
    from airflow_email_conn.model.message import MailSummary

__all__ = ["MANIFEST", "Manifest", "part_of"]

MANIFEST = "_manifest.json"
_ENTRY = ("part", "name", "stored_as", "size", "sha256", "content_type")


def part_of(what: What) -> str:
    """The part of a mail by which a manifest knows a file; empty for the whole mail."""
    return what.part if isinstance(what, Attachment) else ""


class Manifest:
    """A folder's manifest, as read or to be written.

    :param mail: the mail's JSON form; empty when there is none yet.
    :param files: by part: name, stored_as, size (bytes), sha256, content_type.
    """

    def __init__(self, mail: dict[str, Any], files: dict[str, dict[str, Any]]) -> None:
        self.mail = mail
        self.files = files

    @classmethod
    def read(cls, folder: ObjectStoragePath) -> Manifest | None:
        """The manifest of a folder; None without one, or when it was cut short while it was written."""
        path = folder / MANIFEST
        if not path.exists():
            return None
        try:
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            complete = all(key in entry for entry in told["files"] for key in _ENTRY)
            if not complete or not {"ref", "size"} <= told["mail"].keys():
                return None
            return cls(told["mail"], {entry["part"]: entry for entry in told["files"]})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, folder: ObjectStoragePath, mail: MailSummary) -> None:
        """Say that all of a mail is there."""
        told = {"mail": mail.as_dict(), "files": list(self.files.values())}
        (folder / MANIFEST).write_text(json.dumps(told, indent=1), encoding="utf-8")

    def add(self, what: What, *values: Any) -> None:
        """Note a file. :param values: name, stored_as, size, sha256, content_type."""
        part = part_of(what)
        self.files[part] = dict(zip(_ENTRY, (part, *values), strict=True))
