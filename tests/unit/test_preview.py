"""Previews of a mailbox in memory, and what the README shows of them."""

from __future__ import annotations

import contextlib
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_email_conn.backends.memory import MemoryMailbox
from airflow_email_conn.errors import CapabilityError
from airflow_email_conn.hooks.preview import preview, table
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import RECEIVED, invoice, plain

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def mailbox() -> MemoryMailbox:
    """A mailbox of four mails, a minute apart."""
    memory = MemoryMailbox()
    mails = (
        invoice(1),
        plain(2, sender="Ann <ann@acme.com>", subject="Out of office: Invoice 7"),
        plain(3, sender="bob@other.org", subject="Lunch?"),
        plain(4, sender="Ann <ann@acme.com>", subject="Hello"),
    )
    for number, raw in enumerate(mails):
        memory.append(raw, received=RECEIVED + timedelta(minutes=number))
    return memory


def block(text: str) -> str:
    """The first block of the README after a text."""
    found = re.search(r"```\w+\n(.*?)```", README[README.index(text) :], re.DOTALL)
    assert found
    return found[1]


def test_the_table_of_the_readme_is_real() -> None:
    """Its lines are those that its filters give."""
    query = MailQuery(
        deny=[{"subject": "^out of office"}],
        allow=[{"sender": r"@acme\.com$"}, {"subject": "invoice"}],
        attachment="*.csv",
    )
    shown = preview(mailbox(), query, folder="INBOX", limit=100, newest_first=False)
    told = f"Preview: 1 of 4 mails would be taken\n{table(shown)}\n"
    assert "\n".join(line.rstrip() for line in told.split("\n")) == block("In its log:")


def test_the_explanation_of_the_readme_is_real() -> None:
    """It prints what the comment says."""
    code = block("`MailQuery.explain` says it of one mail")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert code.rstrip().endswith(f"# {printed.getvalue().rstrip()}")


def test_limits() -> None:
    """The newest mails of the folder, however many of them match."""
    memory = mailbox()
    query = MailQuery(subject="rechnung")
    cases = {0: [], 1: [False], 4: [False, False, False, True], None: [False, False, False, True]}
    for limit, taken in cases.items():
        shown = preview(memory, query, folder="INBOX", limit=limit, newest_first=True)
        assert [item.explanation.taken for item in shown] == taken


def test_what_the_mailbox_cannot_do_is_refused() -> None:
    """As the search that is previewed is."""
    with pytest.raises(CapabilityError, match="raw"):
        preview(mailbox(), MailQuery(raw="X"), folder="INBOX", limit=1, newest_first=True)
