"""IMAPClient as the oracle: what it reads out of a recorded session, the engine reads too."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from imapclient import IMAPClient

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.wire.imap import answers, bodystructure, fetch
from airflow_email_conn.wire.imap.engine import Data, ImapEngine, Status
from tests.contract.mails import invoice, plain
from tests.contract.places import ignore, imap_server
from tests.servers.faultproxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.base import MailboxServers

CORPUS = sorted((Path(__file__).parent.parent / "corpus").glob("*.eml"))
#: What Cyrus does not store: bare CR or LF, NUL, lines that are no header fields (RFC 5322 2.2 and 2.3).
REFUSED = {
    "cyrus": {"cr_only", "header_only", "mbox_line", "mixed_line_ends", "names", "no_separator"},
}
ITEMS = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]", "BODYSTRUCTURE", "ENVELOPE"]
QUERIES: list[tuple[dict[str, Any], list[Any]]] = [
    ({}, ["ALL"]),
    ({"unseen": True}, ["UNSEEN"]),
    ({"subject": "rechnung"}, ["SUBJECT", "rechnung"]),
    ({"sender": "ann@acme.com"}, ["FROM", "ann@acme.com"]),
    ({"larger_than": 1000}, ["LARGER", 1000]),
]


@pytest.fixture(params=["bed", "cyrus"])
def filled(request: pytest.FixtureRequest) -> Iterator[tuple[MailboxServers, str]]:
    """A mailbox with every message of the corpus that the server stores, and some more."""
    servers: MailboxServers = request.getfixturevalue(request.param)
    login = next(iter(servers.users))
    servers.empty(login)
    for number in range(3):
        servers.append(login, plain(number), flags="\\Seen" if number else "")
        servers.append(login, invoice(number, csv=bytes(range(256)) * 400))
    for path in CORPUS:
        if path.stem not in REFUSED.get(servers.name, ()):
            servers.append(login, path.read_bytes())
    servers.append(login, plain(9), folder="Käse & Söhne")
    yield servers, login
    servers.empty(login)


def events(recorded: bytes, step: int) -> Iterator[Data | Status]:
    """The recorded stream through the engine, in pieces of one size; long literals are not needed here."""
    engine = ImapEngine()
    for start in itertools.chain(range(0, len(recorded), step), [len(recorded)]):
        engine.receive(recorded[start : start + step])
        while (event := engine.next_event()) is not None:
            if isinstance(event, Data | Status):
                yield event


@pytest.mark.parametrize("step", [7, 1400, 1_000_000])
def test_recorded_session(filled: tuple[MailboxServers, str], step: int) -> None:
    """Searches, folders, and every item of every mail: equal, however the stream is cut."""
    servers, login = filled
    with FaultProxy(servers.imap_port) as proxy:
        client = IMAPClient("127.0.0.1", proxy.port, ssl=False)
        client.normalise_times = False
        client.login(login, servers.users[login])
        listed = client.list_folders()
        client.select_folder("INBOX", readonly=True)
        uids = client.search("ALL")
        # Without long bodies: IMAPClient's log of them would not fit into what the proxy keeps.
        fetched = client.fetch(uids, [item for item in ITEMS if item != "BODY.PEEK[]"])
        client.logout()
        recorded = bytes(proxy.seen_from_server)
    data = [event for event in events(recorded, step) if isinstance(event, Data)]
    folders = [answers.listed_folder(item) for item in data if item.kind == "LIST"]
    assert [folder[0] for folder in folders if folder] == [name for _, _, name in listed]
    assert answers.found_uids(item for item in data if "SEARCH" in item.kind) == sorted(uids)
    found = {fetch.uid(items): items for items in (fetch.items(d) for d in data if d.kind == "FETCH")}
    assert found.keys() == fetched.keys()
    for uid, items in found.items():
        oracle = fetched[uid]
        assert int(items[b"RFC822.SIZE"]) == oracle[b"RFC822.SIZE"]  # type: ignore[arg-type]
        assert fetch.received(items) == oracle[b"INTERNALDATE"]
        told = oracle[b"FLAGS"]
        assert fetch.flags(items) == {
            **{name: b"\\" + name.title().encode() in told for name in ("seen", "flagged", "answered")},
            "keywords": tuple(flag.decode() for flag in told if not flag.startswith(b"\\")),
        }
        envelope = items[b"ENVELOPE"]
        assert isinstance(envelope, list)
        assert envelope[1] == oracle[b"ENVELOPE"].subject
        assert envelope[9] == oracle[b"ENVELOPE"].message_id
        assert shape(bodystructure.tree(items[b"BODYSTRUCTURE"])) == oracle_shape(oracle[b"BODYSTRUCTURE"])


def shape(part: Any) -> Any:
    """Content types and encodings of a tree of ours."""
    if part.children:
        return (part.content_type, [shape(child) for child in part.children])
    return (part.content_type, part.encoding, part.size)


def oracle_shape(structure: Any, depth: int = 0) -> Any:
    """The same of IMAPClient's body data, as deep as ours goes: Cyrus describes every level, Dovecot 100."""
    if structure.is_multipart:
        content_type = f"multipart/{structure[1].decode().lower()}"
        if depth == bodystructure._MAX_DEPTH:
            return (content_type, "7bit", 0)
        return (content_type, [oracle_shape(part, depth + 1) for part in structure[0]])
    return (
        f"{structure[0].decode()}/{structure[1].decode()}".lower(),
        structure[5].decode().lower(),
        structure[6],
    )


@pytest.mark.parametrize(("filters", "criteria"), QUERIES)
def test_same_mailbox(
    filled: tuple[MailboxServers, str], filters: dict[str, Any], criteria: list[Any]
) -> None:
    """The same mails, the same bytes, by the whole Mailbox and by IMAPClient."""
    servers, login = filled
    client = IMAPClient("127.0.0.1", servers.imap_port, ssl=False)
    client.login(login, servers.users[login])
    client.select_folder("INBOX", readonly=True)
    uids = client.search(criteria)
    fetched = client.fetch(uids, ["BODY.PEEK[]"])
    client.logout()
    with ImapMailbox.open(imap_server(servers, login), ignore) as mailbox:
        mails = {int(mail.ref.uid): mailbox.raw(mail.ref) for mail in mailbox.search(MailQuery(**filters))}
    assert mails == {uid: items[b"BODY[]"] for uid, items in fetched.items()}
