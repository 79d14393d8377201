"""Storing mails: which folder is whose, mails that are given twice, and a mailbox that forgets one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_email_conn.backends.memory import MemoryMailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.operators.storage import MailStore, Stored
from tests.airflow.conftest import ROBOT
from tests.airflow.test_tasks import execute, fetch
from tests.contract.mails import RECEIVED, invoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailSummary
    from tests.servers.embedded import EmbeddedServers

NO_ID = b"Subject: no id\r\n\r\nbody\r\n"
TWO_FILES = (
    b"Message-ID: <same@acme.com>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
    b"--B\r\n\r\nhi\r\n"
    b"--B\r\nContent-Disposition: attachment; filename=%b\r\n\r\n%b\r\n"
    b"--B\r\nContent-Disposition: attachment; filename=%b\r\n\r\n%b\r\n--B--\r\n"
)


def found(*mails: bytes) -> tuple[MemoryMailbox, list[MailSummary]]:
    """A mailbox with these mails, and what a search finds."""
    mailbox = MemoryMailbox()
    for raw in mails:
        mailbox.append(raw, received=RECEIVED)
    return mailbox, list(mailbox.search(MailQuery()))


def stored(root: Path, mailbox: Mailbox, wanted: list[Stored]) -> list[Stored]:
    """What became of them."""
    return list(MailStore(ObjectStoragePath(root.as_uri()), mailbox).store(wanted))


def contents(item: Stored) -> list[bytes]:
    """What was stored of one mail."""
    return [ObjectStoragePath(file["path"]).read_bytes() for file in item.files]


def test_mails_with_nothing_in_common_are_different(tmp_path: Path) -> None:
    """One Message-ID and one size, but the file is another part: each has a folder of its own."""
    mailbox, mails = found(
        TWO_FILES % (b"a.csv", b"GOOD", b"b.pdf", b"GOOD"), TWO_FILES % (b"a.txt", b"EVIL", b"c.csv", b"EVIL")
    )
    assert mails[0].size == mails[1].size
    query = MailQuery(attachment="*.csv")
    wanted = [Stored(mail, [a for a in mail.attachments if query.selects(a)]) for mail in mails]
    first, second = stored(tmp_path, mailbox, wanted)
    assert (contents(first), contents(second)) == ([b"GOOD"], [b"EVIL"])
    assert first.files[0]["path"].rpartition("/")[0] != second.files[0]["path"].rpartition("/")[0]
    assert len(list(tmp_path.glob("dt=*/*/_manifest.json"))) == 2


def test_mails_of_which_nothing_is_wanted_are_not_read(tmp_path: Path) -> None:
    """A look-alike whose folder stays as it is needs no look at its bytes."""
    mailbox, mails = found(*[TWO_FILES % (b"a.csv", b"GOOD", b"b.pdf", b"GOOD")] * 2)
    stored(tmp_path, mailbox, [Stored(mails[0], [*mails[0].attachments]), Stored(mails[1], [])])
    assert len(list(tmp_path.glob("dt=*/*/_manifest.json"))) == 1


@pytest.mark.parametrize("raw", [NO_ID, b"Message-ID: <a@acme.com>\r\n" + NO_ID], ids=["without", "with"])
def test_a_mail_that_comes_twice_is_stored_once(tmp_path: Path, raw: bytes) -> None:
    """The same reference again, or the same bytes at another place; with and without Message-ID."""
    mailbox, mails = found(raw, raw)
    wanted = [Stored(mail, [mail.ref]) for mail in (mails[0], mails[0], mails[1], mails[0])]
    results = stored(tmp_path, mailbox, wanted)
    assert [contents(item) for item in results] == [[raw]] * 4
    assert len({item.files[0]["path"] for item in results}) == 1


def test_lists_that_overlap(
    connect: Callable[..., None],
    mailboxes: Callable[[str], Mailbox],
    embedded: EmbeddedServers,
    tmp_path: Path,
) -> None:
    """Two sensors or mapped tasks gave the same mails: each mail and each file comes out once."""
    connect({"incoming_security": "none"}, port=embedded.imap_port)
    mailbox = mailboxes(ROBOT)
    embedded.append(ROBOT, invoice(1), when=RECEIVED)
    embedded.append(ROBOT, NO_ID, when=RECEIVED)
    mails = [mail.as_dict() for mail in mailbox.search(MailQuery())]
    files, pushed = execute(fetch(tmp_path, mails=[mails, mails[::-1]], eml=True))
    assert pushed["mails"] == mails
    assert len({file["path"] for file in files}) == len(files) == 4


class Forgetful(MemoryMailbox):
    """Gives results in another order than asked for, and one of them not at all."""

    def save_many(self, whats: Any, target: Any) -> Iterator[Any]:
        """All but the first, the last one first."""
        yield from super().save_many([*whats][:0:-1], target)


def test_results_are_known_by_what_they_are_about(tmp_path: Path) -> None:
    """A result that never comes is an error of its mail alone, which leaves no manifest."""
    mailbox = Forgetful()
    for number in range(3):
        mailbox.append(invoice(number, csv=b"%d" % number), received=RECEIVED)
    mails = list(mailbox.search(MailQuery()))
    wanted = [Stored(mail, [mail.attachments[1]]) for mail in mails]
    results = stored(tmp_path, mailbox, wanted)
    assert [item.mail for item in results] == mails
    assert [contents(item) for item in results] == [[], [b"1"], [b"2"]]
    assert [item.error is None for item in results] == [False, True, True]
    assert len(list(tmp_path.glob("dt=*/*/_manifest.json"))) == 2
