"""Where fetched files go: `<path>/dt=<day received, UTC>/<id>/<file>`, and `_manifest.json`, written last.

A folder with a manifest is complete. A rerun finds it and takes nothing from the server again.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timezone
from typing import IO, TYPE_CHECKING, Any

from airflow_email_conn.errors import QueryError
from airflow_email_conn.model.filename import mail_folder_name, safe_file_name, unique
from airflow_email_conn.model.message import Attachment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import ObjectStoragePath

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailRef, MailSummary

__all__ = ["MANIFEST", "MailStore"]

MANIFEST = "_manifest.json"
_EML = "mail.eml"
_NO_DAY = "unknown"  # of a mail that no server dated


class MailStore:
    """Stores attachments of mails below one path.

    :param root: a local or remote path.
    """

    def __init__(self, root: ObjectStoragePath) -> None:
        self._root = root

    def store(
        self, mailbox: Mailbox, mail: MailSummary, attachments: Sequence[Attachment], *, eml: bool
    ) -> list[dict[str, Any]]:
        """Store a mail's files, or find that they are there.

        :param eml: the whole mail too, as `mail.eml`.
        :returns: an entry for each file: path, name, size (bytes), sha256, content_type, message_id.
        """
        folder, manifest = self._place(mail)
        wanted: list[Attachment | MailRef] = [*attachments, *([mail.ref] if eml else [])]
        known = {entry["part"]: entry for entry in manifest.get("files", ())}
        if not manifest or any(_part(what) not in known for what in wanted):
            taken = {MANIFEST, _EML, *(entry["stored_as"].casefold() for entry in known.values())}
            folder.mkdir(parents=True, exist_ok=True)
            for what in wanted:
                if _part(what) not in known:
                    known[_part(what)] = _save(mailbox, what, folder, taken)
            manifest = {"mail": mail.as_dict(), "files": list(known.values())}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
        return [
            {
                "path": str(folder / known[_part(what)]["stored_as"]),
                "message_id": mail.message_id,
                **{key: known[_part(what)][key] for key in ("name", "size", "sha256", "content_type")},
            }
            for what in wanted
        ]

    def _place(self, mail: MailSummary) -> tuple[ObjectStoragePath, dict[str, Any]]:
        """The folder of a mail and the manifest in it, empty when there is none yet."""
        when = mail.received or mail.date
        day = when.astimezone(timezone.utc).strftime("%Y-%m-%d") if when else _NO_DAY
        # What the server says of a mail wherever it lies. Anybody can send a second mail with the Message-ID
        # of the first: it must neither replace that one nor be taken for it.
        fingerprint = f"{mail.size} {when.timestamp() if when else ''}"
        name = mail_folder_name(mail.message_id, f"{fingerprint} {mail.sender} {mail.subject}")
        folder = self._root / f"dt={day}" / name
        manifest = _read_manifest(folder)
        if manifest and not _is_same(manifest, mail):
            suffix = hashlib.sha256(fingerprint.encode()).hexdigest()[:12]
            folder = self._root / f"dt={day}" / f"{name}~{suffix}"
            manifest = _read_manifest(folder)
        return folder, manifest


def _read_manifest(folder: ObjectStoragePath) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        _ = [(entry["part"], entry["stored_as"]) for entry in manifest["files"]]
    except (ValueError, TypeError, KeyError) as exc:
        raise QueryError(f"path: {path} is not a manifest of ours; move it away to fetch again") from exc
    return manifest


def _is_same(manifest: dict[str, Any], mail: MailSummary) -> bool:
    told, own = manifest["mail"], mail.as_dict()
    return all(told.get(key) == own[key] for key in ("size", "received"))


def _part(what: Attachment | MailRef) -> str:
    return what.part if isinstance(what, Attachment) else ""


def _save(
    mailbox: Mailbox, what: Attachment | MailRef, folder: ObjectStoragePath, taken: set[str]
) -> dict[str, Any]:
    """Stream one file into the folder; its entry in the manifest."""
    if isinstance(what, Attachment):
        name, content_type = what.name, what.content_type
        stored_as = unique(safe_file_name(name), taken)
    else:
        name = stored_as = _EML
        content_type = "message/rfc822"
    with (folder / stored_as).open("wb") as file:  # type: ignore[no-untyped-call]
        hashing = _Hashing(file)
        size = mailbox.save(what, hashing)
    return {
        "part": _part(what),
        "name": name,
        "stored_as": stored_as,
        "size": size,
        "sha256": hashing.digest.hexdigest(),
        "content_type": content_type,
    }


class _Hashing:
    """A file whose content is hashed on its way in."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Write and hash."""
        self.digest.update(data)
        self._file.write(data)
