"""Mails made to hold up their reader: time grows with their bytes, and what is wrong is told."""

from __future__ import annotations

import pytest

from airflow_email_conn.wire.imap import fetch
from airflow_email_conn.wire.imap.engine import Data
from tests.unit.wire.mime.hostile import MAILS, Hostile, cpu, read

SMALL = 50_000  # bytes; four times as much is still below every limit on bytes
LARGE = 2_200_000  # beyond every limit


@pytest.mark.parametrize("hostile", MAILS.values(), ids=MAILS)
def test_four_times_the_bytes_take_four_times_as_long(hostile: Hostile) -> None:
    """Quadratic is sixteen times. The hundredth of a second is for what is too fast to be measured."""
    small, large = hostile.build(SMALL), hostile.build(4 * SMALL)
    # Another process may have the cache in one of the tries; what is quadratic is so in each.
    ratios = ((cpu(large, 1) + 0.01) / (cpu(small) + 0.01) for _ in range(4))
    assert any(ratio < 12 for ratio in ratios)


@pytest.mark.parametrize("hostile", MAILS.values(), ids=MAILS)
def test_a_mail_and_what_is_wrong_with_it(hostile: Hostile) -> None:
    """At once and in pieces: the same attachments, and a word about what was left out."""
    raw = hostile.build(min(hostile.full, LARGE if hostile.defect else 4 * SMALL))
    mail, scanner = read(raw)
    assert (scanner.attachments, mail.size) == (mail.attachments, len(raw))
    assert any(hostile.defect in defect for defect in mail.defects) or not hostile.defect
    assert set(scanner.defects) <= set(mail.defects)


STRUCTURES = {
    "nested": b"(" * 10_000 + b'"TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1' + b') "MIXED"' * 9_999 + b")",
    "never closed": b"(" * 10_000,
    "parameters": b'("TEXT" "PLAIN" (' + b'"A" "B" ' * 100_000 + b') NIL NIL "7BIT" 1 1)',
    "parts": b"(" + b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1)' * 20_000 + b' "MIXED")',
    "a number too long": b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" ' + b"9" * 100_000 + b" 1)",
    "a subject of words": (
        b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 1 (NIL "' + b"=?utf-8?q?a?= " * 16_000 + b'") NIL 1)'
    ),
    "not a structure": b'"x"',
}


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
def test_a_listing_of_a_hostile_mail(structure: bytes) -> None:
    """A summary with the mail's reference, whatever the server says of its parts."""
    answer = Data("FETCH", 1, (b"(UID 7 RFC822.SIZE 1 BODYSTRUCTURE " + structure + b")",))
    found = fetch.items(answer)
    summary = fetch.summary(found, "INBOX", "1")
    assert summary.ref.uid == "7"
    assert all(attachment.name for attachment in summary.attachments)
