"""Where fetched files go: `<path>/dt=<day received, UTC>/<id>/<file>`, and `_manifest.json`, written last.

A folder with a manifest is complete. A rerun finds it and takes nothing from the server again.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timezone
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from airflow_email_conn.errors import MailNotFoundError
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
_MARK = "_claim-"  # and a digest of the mail's place; goes with the manifest, but stays where a mail gave way
_NO_DAY = "unknown"  # of a mail that no server dated
_ENTRY = ("part", "name", "stored_as", "size", "sha256", "content_type")

_Wanted: TypeAlias = "Sequence[Attachment | MailRef]"
_Files: TypeAlias = "dict[str, dict[str, Any]]"  # a manifest's entries by part; the whole mail is part ""


class MailStore:
    """Stores attachments of mails below one path.

    :param root: a local or remote path.
    :param mailbox: where the mails lie.
    """

    def __init__(self, root: ObjectStoragePath, mailbox: Mailbox) -> None:
        self._root = root
        self._mailbox = mailbox

    def store(
        self, mail: MailSummary, attachments: Sequence[Attachment], *, eml: bool
    ) -> list[dict[str, Any]]:
        """Store a mail's files, or find that they are there.

        :param eml: the whole mail too, as `mail.eml`.
        :returns: an entry for each file: path, name, size (bytes), sha256, content_type, message_id.
        :raises MailNotFoundError: not all of it is stored, and the mail is gone.
        """
        wanted: _Wanted = [*attachments, *([mail.ref] if eml else [])]
        folder, known = self._place(mail, wanted)
        if known is None or any(_part(what) not in known for what in wanted):
            known = known or {}
            try:
                self._save_all(wanted, folder, known)
            except MailNotFoundError:
                _unclaim(folder, mail)
                raise
            manifest = {"mail": mail.as_dict(), "files": list(known.values())}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            _unclaim(folder, mail)
        return [
            {
                "path": str(folder / known[_part(what)]["stored_as"]),
                "message_id": mail.message_id,
                **{key: known[_part(what)][key] for key in ("name", "size", "sha256", "content_type")},
            }
            for what in wanted
        ]

    def _place(self, mail: MailSummary, wanted: _Wanted) -> tuple[ObjectStoragePath, _Files | None]:
        """The folder of a mail, and what is stored there; None when nothing is."""
        when = mail.received or mail.date
        day = self._root / f"dt={when.astimezone(timezone.utc).strftime('%Y-%m-%d') if when else _NO_DAY}"
        name = mail_folder_name(mail.message_id)
        if not name:
            folder = day / f"mail-{self._digest(mail.ref)}"
            return folder, _files(_read_manifest(folder))
        folder = day / name
        manifest = _read_manifest(folder)
        alone = False
        if manifest is None:
            alone = _claim(folder, mail)
            manifest = _read_manifest(folder)  # another task may have finished meanwhile
        if self._is_same(mail, manifest, wanted) if manifest else alone:
            return folder, _files(manifest)
        # Anybody can send a second mail with the Message-ID of the first: both must be kept.
        folder = day / f"{name}~{self._digest(mail.ref)[:16]}"
        return folder, _files(_read_manifest(folder))

    def _is_same(self, mail: MailSummary, manifest: dict[str, Any], wanted: _Wanted) -> bool:
        """Whether a manifest is about this mail: it lies at the same place, or its files are the same."""
        told = manifest["mail"]
        if told["ref"] == mail.ref.as_dict():
            return True
        if told["size"] != mail.size:
            return False
        known = _files(manifest) or {}
        stored = [what for what in wanted if _part(what) in known]
        return all(self._digest(what) == known[_part(what)]["sha256"] for what in stored)

    def _digest(self, what: Attachment | MailRef) -> str:
        hashing = _Hashing(None)
        self._mailbox.save(what, hashing)
        return hashing.digest.hexdigest()

    def _save_all(self, wanted: _Wanted, folder: ObjectStoragePath, known: _Files) -> None:
        """Stream what is missing into the folder, and note it in `known`."""
        taken = {MANIFEST, _EML, *(entry["stored_as"].casefold() for entry in known.values())}
        folder.mkdir(parents=True, exist_ok=True)
        for what in wanted:
            if _part(what) in known:
                continue
            if isinstance(what, Attachment):
                name, content_type = what.name, what.content_type
                stored_as = unique(safe_file_name(name), taken)
            else:
                name = stored_as = _EML
                content_type = "message/rfc822"
            size, sha256 = self._save(what, folder / stored_as)
            values = (_part(what), name, stored_as, size, sha256, content_type)
            known[_part(what)] = dict(zip(_ENTRY, values, strict=True))

    def _save(self, what: Attachment | MailRef, path: ObjectStoragePath) -> tuple[int, str]:
        """Stream one file; its size and digest."""
        try:
            with path.open("wb") as file:  # type: ignore[no-untyped-call]
                hashing = _Hashing(file)
                size = self._mailbox.save(what, hashing)
        except MailNotFoundError:
            path.unlink()  # an empty file that nobody will complete
            raise
        return size, hashing.digest.hexdigest()


def _claim(folder: ObjectStoragePath, mail: MailSummary) -> bool:
    """Whether the folder is this mail's alone while there is no manifest.

    Two tasks may store two mails with one Message-ID at the same time. Each leaves a mark before it looks for
    others, so at least one of them sees the other, and gives way.
    """
    mark = _mark(mail)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / mark).write_bytes(b"1")
    return all(path.name == mark for path in folder.iterdir() if path.name.startswith(_MARK))


def _unclaim(folder: ObjectStoragePath, mail: MailSummary) -> None:
    mark = folder / _mark(mail)
    if mark.exists():
        mark.unlink()


def _mark(mail: MailSummary) -> str:
    place = f"{mail.ref.folder} {mail.ref.validity} {mail.ref.uid}"
    return _MARK + hashlib.sha256(place.encode("utf-8", "replace")).hexdigest()[:16]


def _read_manifest(folder: ObjectStoragePath) -> dict[str, Any] | None:
    """The manifest of a folder; None without one, or when it was cut short while it was written."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        complete = all(key in entry for entry in manifest["files"] for key in _ENTRY)
        return manifest if complete and {"ref", "size"} <= manifest["mail"].keys() else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _files(manifest: dict[str, Any] | None) -> _Files | None:
    return None if manifest is None else {entry["part"]: entry for entry in manifest["files"]}


def _part(what: Attachment | MailRef) -> str:
    return what.part if isinstance(what, Attachment) else ""


class _Hashing:
    """A file whose content is hashed on its way in, or only hashed."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Hash, and write."""
        self.digest.update(data)
        if self._file:
            self._file.write(data)
