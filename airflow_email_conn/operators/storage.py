"""Where fetched files go: into a folder for each mail (see `claims`), and then its manifest.

A folder with a manifest is complete: a rerun finds it and takes nothing from the server again.

Mails are stored in batches. The folders of a batch are found first; then all files that are missing come by
one `save_many`, many at a time on the wire, one open at a time here; and each mail's manifest is written when
its last file is there. A mail that cannot be had gets no manifest, and does not stop the others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from airflow_email_conn.backends.base import Unfetched
from airflow_email_conn.errors import EmailError, MailNotFoundError, ServerError, UnavailableError
from airflow_email_conn.model.filename import safe_file_name, unique
from airflow_email_conn.model.message import Attachment
from airflow_email_conn.operators.claims import Claims, Hashing, release
from airflow_email_conn.operators.manifest import EML, MANIFEST, Manifest, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow.sdk import ObjectStoragePath

    from airflow_email_conn.backends.base import Mailbox, Saved, What
    from airflow_email_conn.model.message import MailSummary

__all__ = ["MailStore", "Stored"]

_BATCH = 100  # mails: their files share few round trips, and few marks are left by a task that is killed


@dataclass(slots=True)
class Stored:
    """A mail's way into storage.

    :param wanted: what of it is to be stored: attachments, and its reference for the whole mail.
    :param files: in the end an entry for each: path, name, size (bytes), sha256, content_type, message_id.
    :param error: why it could not be stored.
    """

    mail: MailSummary
    wanted: list[What]
    files: list[dict[str, Any]] = field(default_factory=list)
    error: EmailError | None = None


class MailStore:
    """Stores files of mails below one path.

    :param root: a local or remote path.
    :param mailbox: where the mails lie.
    """

    def __init__(self, root: ObjectStoragePath, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._claims = Claims(root, mailbox)

    def store(self, mails: Iterable[Stored]) -> Iterator[Stored]:
        """Store what is wanted of each, or find that it is there; each comes back with `files` or `error`.

        :raises NetworkError, ServerError: the mailbox is lost; what came back before is stored.
        """
        batch: list[_Folder] = []
        claimed: set[ObjectStoragePath] = set()
        for stored in mails:
            usual = self._claims.usual(stored.mail)
            # A look-alike of the batch would only see its claim; it must see its manifest.
            if len(batch) >= _BATCH or usual in claimed:
                yield from self._fill(batch)
                batch, claimed = [], set()
            folder = self._placed(stored)
            if folder.path in claimed:  # the same bytes, without a Message-ID
                yield from self._fill(batch)
                batch, claimed = [], set()
                folder = self._placed(stored)
            batch.append(folder)
            claimed |= {path for path in (usual, folder.path) if path is not None}
        yield from self._fill(batch)

    def _placed(self, stored: Stored) -> _Folder:
        try:
            return _Folder(stored, *self._claims.claim(stored.mail, stored.wanted))
        except UnavailableError:  # not about this mail
            raise
        except ServerError as exc:
            stored.error = exc
            return _Folder(stored, None, None)

    def _fill(self, batch: list[_Folder]) -> Iterator[Stored]:
        """Save what is missing; a folder is finished when its last file has come, and those before it."""
        owners = {what: folder for folder in batch for what in folder.missing}
        writing = _Writing(owners)
        waiting = deque(batch)
        try:
            yield from _complete(waiting)
            for result in self._mailbox.save_many(owners, writing.open) if owners else ():
                owners[result.what].take(result, writing)
                yield from _complete(waiting)
        finally:
            writing.close()
        for folder in waiting:
            yield folder.finished()


def _complete(waiting: deque[_Folder]) -> Iterator[Stored]:
    """Finish the folders that wait for nothing, up to the first that does."""
    while waiting and not waiting[0].coming:
        yield waiting.popleft().finished()


class _Folder:
    """The folder of one mail while it is being filled.

    :param path: None when it could not be found, since the mail cannot be had.
    :ivar missing: what is to be saved.
    :ivar coming: of that, what the mailbox has said nothing about yet.
    """

    def __init__(self, stored: Stored, path: ObjectStoragePath | None, manifest: Manifest | None) -> None:
        self._stored = stored
        self.path = path
        self._manifest = manifest or Manifest({})
        self._new = manifest is None
        wanted = stored.wanted if path else []
        self.missing = [what for what in wanted if part_of(what) not in self._manifest.files]
        self.coming = set(self.missing)
        self._names = self._free_names()

    def _free_names(self) -> dict[What, str]:
        entries = self._manifest.entries
        taken = {MANIFEST, EML, *(entry["stored_as"].casefold() for entry in entries)}
        return {
            what: unique(safe_file_name(what.name), taken) if isinstance(what, Attachment) else EML
            for what in self.missing
        }

    def open(self, what: What) -> IO[bytes]:
        """The file to write."""
        assert self.path is not None
        self.path.mkdir(parents=True, exist_ok=True)
        file: IO[bytes] = self._file(what).open("wb")  # type: ignore[no-untyped-call]
        return file

    def take(self, result: Saved | Unfetched, writing: _Writing) -> None:
        """Note what became of a missing file."""
        what = result.what
        self.coming.discard(what)
        writing.close()
        if isinstance(result, Unfetched):
            self._give_up(what, result.error)
            return
        content_type = what.content_type if isinstance(what, Attachment) else "message/rfc822"
        self._manifest.add(what, self._names[what], result.size, writing.digest(what), content_type)

    def _give_up(self, what: What, error: EmailError) -> None:
        self._stored.error = self._stored.error or error
        if self._file(what).exists():
            self._file(what).unlink()  # nobody will complete it

    def finished(self) -> Stored:
        """Write the manifest if all is there; what became of the mail."""
        stored = self._stored
        if self.path is None:
            return stored
        for what in self.coming:
            self._give_up(what, ServerError("the mailbox did not say what became of a file of this mail"))
        if stored.error is None and (self.missing or self._new):
            self._manifest.write(self.path, stored.mail)
        if stored.error is None or isinstance(stored.error, MailNotFoundError):
            release(self.path, stored.mail)
        if stored.error is None:
            stored.files = [self._entry(what) for what in stored.wanted]
        return stored

    def _entry(self, what: What) -> dict[str, Any]:
        assert self.path is not None
        known = self._manifest.files[part_of(what)]
        told = {key: known[key] for key in ("name", "size", "sha256", "content_type")}
        return {
            "path": str(self.path / known["stored_as"]),
            "message_id": self._stored.mail.message_id,
            **told,
        }

    def _file(self, what: What) -> ObjectStoragePath:
        assert self.path is not None
        return self.path / self._names[what]


class _Writing:
    """The one file that is open: a file of object storage holds megabytes until it is closed."""

    def __init__(self, owners: dict[What, _Folder]) -> None:
        self._owners = owners
        self._digests: dict[What, Any] = {}
        self._file: IO[bytes] | None = None

    def open(self, what: What) -> Hashing:
        """A target for `save_many`, which has written the one before to its end."""
        self.close()
        self._file = self._owners[what].open(what)
        hashing = Hashing(self._file)
        self._digests[what] = hashing.digest
        return hashing

    def digest(self, what: What) -> str:
        """SHA-256 of what was written, in hexadecimal."""
        return str(self._digests.pop(what).hexdigest())

    def close(self) -> None:
        """Close the file that is open, if one is."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
