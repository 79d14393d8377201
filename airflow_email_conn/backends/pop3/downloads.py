"""Whole mails and attachments, many at a time: held up to a limit, or streamed into files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.backends.pop3.maildrop import windows
from airflow_email_conn.errors import MailNotFoundError, ProtocolError, ServerError
from airflow_email_conn.model.message import Attachment, MailRef
from airflow_email_conn.wire.mime.stream import PartScanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_email_conn.backends.base import What, Writable
    from airflow_email_conn.backends.pop3.maildrop import Entry, Maildrop
    from airflow_email_conn.backends.pop3.session import Take

__all__ = ["held", "saved"]


def held(
    maildrop: Callable[[], Maildrop], refs: Iterable[MailRef], max_size: int
) -> Iterator[tuple[MailRef, bytes | Unfetched]]:
    """Each mail with its bytes, in order; a few are in memory at a time.

    :param maildrop: gives the mails of the session that is open now.
    """
    for job, error in _done(maildrop, (_Holding(ref, max_size) for ref in refs)):
        yield job.ref, Unfetched(job.ref, error) if error else job.result()


def saved(
    maildrop: Callable[[], Maildrop], whats: Iterable[What], target: Callable[[What], Writable]
) -> Iterator[Saved | Unfetched]:
    """Write each into its file, one after the other. One download gives what comes in the order asked for."""
    for job, error in _done(maildrop, (_Saving(run, target) for run in _runs(whats))):
        for file in job.files:
            yield Unfetched(file.what, error) if error else file.result()


def _runs(whats: Iterable[What]) -> Iterator[list[What]]:
    """Whole mails, each alone, and attachments of one mail as far as they stand in it in this order."""
    run: list[What] = []
    for what in whats:
        if run and not _comes_behind(what, run[-1]):
            yield run
            run = []
        run.append(what)
    if run:
        yield run


def _comes_behind(what: What, last: What) -> bool:
    """Whether an attachment begins behind the end of another one of its mail."""
    if not isinstance(what, Attachment) or not isinstance(last, Attachment) or what.ref != last.ref:
        return False
    place, before = _place(what), _place(last)
    return place > before and place[: len(before)] != before


def _place(attachment: Attachment) -> list[str]:
    """Where an attachment stands in its mail: its part number (RFC 3501 6.4.5), made comparable."""
    return [number.zfill(10) for number in attachment.part.split(".")]


# ------------------------------------------------------------ mails, as many as fit into a window


class _Job(Protocol):
    """What is to become of one mail's bytes.

    `finish` is called behind the last of them, before the next mail's first.
    """

    ref: MailRef
    max_size: int | None

    def take(self, piece: bytes, /) -> object: ...

    def finish(self) -> None: ...


_AnyJob = TypeVar("_AnyJob", bound=_Job)


def _done(
    maildrop: Callable[[], Maildrop], jobs: Iterable[_AnyJob]
) -> Iterator[tuple[_AnyJob, ServerError | None]]:
    """Each job once its mail was read, in order; or with the reason why it was not."""

    def octets(job: _AnyJob) -> int:
        entry = maildrop().find(job.ref.uid)
        return entry.size if entry else 0

    for window in windows(jobs, octets):
        errors: dict[int, ServerError] = {}
        wanted: dict[int, tuple[Entry, Take]] = {}
        for number, job in enumerate(window):
            try:
                wanted[number] = (_within(maildrop().locate(job.ref), job.max_size), job.take)
            except ServerError as exc:  # noqa: PERF203 - one must not hide the others
                errors[number] = exc
        for number, there in zip(wanted, maildrop().bodies(list(wanted.values())), strict=True):
            if there:
                window[number].finish()
            else:
                errors[number] = ServerError(
                    f"the POP3 server refuses to give the mail {window[number].ref.uid!r:.100}"
                )
        for number, job in enumerate(window):
            yield job, errors.get(number)


def _within(entry: Entry, max_size: int | None) -> Entry:
    if max_size is not None and entry.size > max_size:
        raise _too_large(max_size)
    return entry


def _too_large(max_size: int) -> ProtocolError:
    return ProtocolError(f"the mail is larger than {max_size} bytes; stream it to a file with save()")


class _Holding:
    """Keeps a mail's bytes, up to a limit: the size that the server announced may be wrong."""

    def __init__(self, ref: MailRef, max_size: int) -> None:
        self.ref = ref
        self.max_size: int | None = max_size
        self._limit = max_size
        self._bytes = bytearray()

    def take(self, piece: bytes, /) -> None:
        self._bytes += piece[: self._limit + 1 - len(self._bytes)]

    def finish(self) -> None:
        """All of it is there."""

    def result(self) -> bytes | Unfetched:
        if len(self._bytes) > self._limit:
            return Unfetched(self.ref, _too_large(self._limit))
        return bytes(self._bytes)


class _Saving:
    """Passes a mail's bytes to the files that are made of it, whose order is theirs in the mail."""

    max_size: int | None = None

    def __init__(self, whats: list[What], target: Callable[[What], Writable]) -> None:
        self.ref = whats[0].ref if isinstance(whats[0], Attachment) else whats[0]
        self.files = [_File(what, target) for what in whats]

    def take(self, piece: bytes, /) -> None:
        for file in self.files:
            file.take(piece)

    def finish(self) -> None:
        for file in self.files:
            file.finish()


class _File:
    """A file that a whole mail or one of its attachments goes into, opened with the first bytes."""

    def __init__(self, what: What, target: Callable[[What], Writable]) -> None:
        self.what = what
        self._target = target
        self._file: Writable | None = None
        self._written = 0
        self._scanner: PartScanner | None = None
        self.take: Take = self._write
        if isinstance(what, Attachment):
            self._scanner = PartScanner(what.part, self._write, what.ref)
            self.take = self._scanner.feed

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._target(self.what)
        self._file.write(data)
        self._written += len(data)

    def finish(self) -> None:
        """The mail was read: write what is left."""
        if self._scanner:
            self._scanner.finish()
        elif self._file is None:  # an empty mail makes a file too
            self._write(b"")

    def result(self) -> Saved | Unfetched:
        """What became of it, once the mail was read."""
        if self._scanner and not self._scanner.found:
            return Unfetched(self.what, MailNotFoundError("the mail has no such part"))
        return Saved(self.what, self._written)
