"""Which folder of storage is a mail's: `<path>/dt=<day received, UTC>/<id>`.

The id is made of the Message-ID alone, so that a rerun, or the same mail in another folder of the mailbox,
finds what is there without a look at the mail. Two things make that less simple:

*Look-alikes.* Anybody can send a second mail with the Message-ID of the first, and machines do so by mistake;
both must be kept. When a folder has a manifest, it is this mail's if it was stored from the same place of the
mailbox, or has the same size and files of the same names and digests (one mail that was delivered twice).
Otherwise, also where no file is there to compare, the mail gets a folder whose name also carries a digest
of its bytes; so does one without Message-ID.

*Claims.* Mapped tasks may store two look-alikes at the same time, while neither has a manifest. So a task
first leaves a mark of its mail's place in the folder, then looks for the marks of others: at least one of
the two sees the other, and gives way to a folder with a digest. A mark goes when the manifest is written, but
stays where a mail gave way; a task that died finds its own mark when it is run again. So no lock is needed,
which object storage does not have.
"""

from __future__ import annotations

import hashlib
from datetime import timezone
from typing import IO, TYPE_CHECKING, Any

from airflow_email_conn.backends.base import Unfetched
from airflow_email_conn.model.filename import mail_folder_name
from airflow_email_conn.operators.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import ObjectStoragePath

    from airflow_email_conn.backends.base import Mailbox, What
    from airflow_email_conn.model.message import MailSummary

__all__ = ["Claims", "Hashing", "release"]

_MARK = "_claim-"  # and a digest of the mail's place
_NO_DAY = "unknown"  # of a mail that no server dated


class Claims:
    """Finds the folders of mails below one path.

    :param mailbox: where the mails lie, for a look at those that are look-alikes or have no Message-ID.
    """

    def __init__(self, root: ObjectStoragePath, mailbox: Mailbox) -> None:
        self._root = root
        self._mailbox = mailbox

    def usual(self, mail: MailSummary) -> ObjectStoragePath | None:
        """The folder by the Message-ID alone; None without one."""
        name = mail_folder_name(mail.message_id)
        return self._day(mail) / name if name else None

    def claim(self, mail: MailSummary, wanted: Sequence[What]) -> tuple[ObjectStoragePath, Manifest | None]:
        """The folder of a mail, for it alone, and what is stored there.

        :raises ServerError: the mail had to be looked at, and is gone or cannot be read.
        """
        folder = self.usual(mail)
        if folder is None:
            return self._by_digest(self._day(mail) / f"mail-{self._digest(mail.ref)}", mail, wanted)
        manifest = Manifest.read(folder)
        alone = False
        if manifest is None:
            alone = _mark(folder, mail)
            manifest = Manifest.read(folder)  # another task may have finished meanwhile
        known = self._known(mail, manifest, wanted) if manifest else None
        if known or (alone and not manifest):
            return folder, known
        return self._by_digest(folder.parent / f"{folder.name}~{self._digest(mail.ref)[:16]}", mail, wanted)

    def _day(self, mail: MailSummary) -> ObjectStoragePath:
        when = mail.received or mail.date
        day = when.astimezone(timezone.utc).strftime("%Y-%m-%d") if when else _NO_DAY
        return self._root / f"dt={day}"

    def _by_digest(
        self, folder: ObjectStoragePath, mail: MailSummary, wanted: Sequence[What]
    ) -> tuple[ObjectStoragePath, Manifest | None]:
        """A folder whose name tells the mail's bytes, and what is stored there of them."""
        manifest = Manifest.read(folder)
        if manifest and not _lies_there(mail, manifest):
            manifest = manifest.of_copy(self._twins(manifest, wanted))
        return folder, manifest

    def _known(self, mail: MailSummary, manifest: Manifest, wanted: Sequence[What]) -> Manifest | None:
        """A manifest as this mail's, if it is: the mail lies at the same place, or its files are the same."""
        if _lies_there(mail, manifest) or not wanted:  # nothing will be put there
            return manifest
        if manifest.mail["size"] != mail.size:
            return None
        twins = self._twins(manifest, wanted)
        return manifest.of_copy(twins) if twins and all(twins.values()) else None

    def _twins(self, manifest: Manifest, wanted: Sequence[What]) -> dict[What, dict[str, Any] | None]:
        """Of the files that have names of the manifest's: which one of it each is."""
        named = [what for what in wanted if manifest.has_one_named(what)]
        return {what: manifest.twin(what, self._digest(what)) for what in named}

    def _digest(self, what: What) -> str:
        hashing = Hashing(None)
        for result in self._mailbox.save_many([what], lambda _what: hashing):
            if isinstance(result, Unfetched):
                raise result.error
        return hashing.digest.hexdigest()


def _lies_there(mail: MailSummary, manifest: Manifest) -> bool:
    """Whether a manifest is of the mail at the same place."""
    return bool(manifest.mail["ref"] == mail.ref.as_dict())


def _mark(folder: ObjectStoragePath, mail: MailSummary) -> bool:
    """Leave this mail's mark; whether it is the only one."""
    name = _mark_name(mail)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"1")
    return all(path.name == name for path in folder.iterdir() if path.name.startswith(_MARK))


def release(folder: ObjectStoragePath, mail: MailSummary) -> None:
    """Take the mail's mark away, if it is there."""
    mark = folder / _mark_name(mail)
    if mark.exists():
        mark.unlink()


def _mark_name(mail: MailSummary) -> str:
    place = f"{mail.ref.folder} {mail.ref.validity} {mail.ref.uid}"
    return _MARK + hashlib.sha256(place.encode("utf-8", "replace")).hexdigest()[:16]


class Hashing:
    """A file whose content is hashed on its way in, or only hashed."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Hash, and write."""
        self.digest.update(data)
        if self.file:
            self.file.write(data)
