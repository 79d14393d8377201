"""`_manifest.json`: what a folder of storage holds. It is written last, so that it says the rest is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_email_conn.model.message import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import ObjectStoragePath

    from airflow_email_conn.backends.base import What
    from airflow_email_conn.model.message import MailSummary

__all__ = ["EML", "MANIFEST", "Manifest", "name_of", "part_of"]

MANIFEST = "_manifest.json"
EML = "mail.eml"
_ENTRY = ("part", "name", "stored_as", "size", "sha256", "content_type")


def part_of(what: What) -> str:
    """The part of a mail by which a manifest knows a file; empty for the whole mail."""
    return what.part if isinstance(what, Attachment) else ""


def name_of(what: What) -> str:
    """How a file is called, by its sender or here."""
    return what.name if isinstance(what, Attachment) else EML


class Manifest:
    """A folder's manifest, as read or to be written.

    :param mail: the mail's JSON form; empty when there is none yet.
    :param entries: of all its files: part (None: of a copy only), name, stored_as, size (bytes), sha256,
        content_type.
    :param files: those of them that are files of the mail at hand, by its parts; None: as the entries say.
    """

    def __init__(
        self,
        mail: dict[str, Any],
        entries: Iterable[dict[str, Any]] = (),
        files: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.mail = mail
        self.entries = list(entries)
        told = {entry["part"]: entry for entry in self.entries if entry["part"] is not None}
        self.files = told if files is None else files

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
            return cls(told["mail"], told["files"])
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, folder: ObjectStoragePath, mail: MailSummary) -> None:
        """Say that all of a mail is there."""
        files = [{**entry, "part": part} for part, entry in self.files.items()]
        known = {entry["stored_as"] for entry in files}
        others = [{**entry, "part": None} for entry in self.entries if entry["stored_as"] not in known]
        told = {"mail": mail.as_dict(), "files": files + others}
        (folder / MANIFEST).write_text(json.dumps(told, indent=1), encoding="utf-8")

    def add(self, what: What, *values: Any) -> None:
        """Note a file. :param values: stored_as, size, sha256, content_type."""
        entry = dict(zip(_ENTRY, (part_of(what), name_of(what), *values), strict=True))
        self.entries.append(entry)
        self.files[part_of(what)] = entry

    # ------------------------------------------------------------ copies

    def has_one_named(self, what: What) -> bool:
        """Whether there is a file of the same name."""
        return any(entry["name"] == name_of(what) for entry in self.entries)

    def twin(self, what: What, sha256: str) -> dict[str, Any] | None:
        """The file of the same name and content, whatever part it was; None without one."""
        file = (name_of(what), sha256)
        return next((entry for entry in self.entries if (entry["name"], entry["sha256"]) == file), None)

    def of_copy(self, twins: Mapping[What, dict[str, Any] | None]) -> Manifest:
        """The same for a copy of the mail, of which only these files are known.

        An IMAP server numbers the parts of a copy as before; Graph gives each an id of its own.
        """
        files = {part_of(what): twin for what, twin in twins.items() if twin}
        return Manifest(self.mail, self.entries, files)
