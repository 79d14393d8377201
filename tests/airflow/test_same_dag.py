"""One DAG file on IMAP with SMTP, and on Microsoft 365: the same files, results and answers."""

from __future__ import annotations

import hashlib
import imaplib
import json
import re
import runpy
import time
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

import dags_examples.mailroom
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.query import MailQuery
from tests.airflow.corpus import ANSWERED, FORWARDED, SENDER, corpus
from tests.airflow.oauth import forget_sign_ins, sign_in
from tests.contract.mails import RECEIVED
from tests.servers.base import HOST
from tests.servers.graph.outgoing import mime_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed
    from tests.servers.graph.server import GraphServer

    Received = Callable[[str], list[bytes]]

ROBOT = "alice@example.test"
MICROSOFT = ("application", "person")
#: What cannot be the same: ids, how a server packs a file, and its own account of sizes, which counts more
#: than the file. Of these only `size` of an attachment means something to tasks, and is an estimate anywhere.
DIFFER = {"ref.uid", "ref.validity", "size", "attachments.ref.uid", "attachments.ref.validity"} | {
    f"attachments.{name}" for name in ("part", "size", "encoding")
}
#: What the way adds, and what is made anew for each mail.
_TRACE = re.compile(
    rb"(?im)^(?:received|return-path|delivered-to|x-original-to|message-id|date):.*\r?\n(?:[ \t].*\r?\n)*"
)
#: What is told of the forwarded mail, in manifests, results and answers: Exchange writes its MIME anew.
_TOLD = re.compile(r"(?<=[: ])[0-9]+((?:,\s+\"sha256\": \"| bytes, SHA-256 )here)")
_BOUNDARY = re.compile(rb'boundary="([^"]+)"')


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    :param files: content by path below the folder of storage.
    :param xcoms: by task, map index and key.
    :param answers: what the mails' sender received.
    :param folders: subjects, and whether read, by folder of the robot's.
    """

    files: dict[str, bytes]
    xcoms: dict[tuple[str, int, str], Any]
    answers: list[bytes]
    folders: dict[str, list[tuple[str, bool]]]


@pytest.fixture
def connections(
    database: None,
    bed: Bed,
    authority: Authority,
    graph_at_authority: GraphServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """The connections `standard`, `application` and `person`, of the same mailbox."""
    microsoft = {
        "connection_type": "microsoft365",
        "graph_url": graph_at_authority.url,
        "authority": authority.issuer,
        "scopes": ["mail"],
        "ca_certificates": str(authority.ca),
        "timeout": 5,
    }
    forms: dict[str, dict[str, Any]] = {
        "standard": {
            "host": "localhost",
            "port": bed.imaps_port,
            "password": bed.users[ROBOT],
            "extra": {
                "outgoing_host": "localhost",
                "outgoing_port": bed.submission_port,
                "ca_certificates": str(bed.ca),
                "timeout": 5,
            },
        },
        "application": {
            "password": authority.clients.secret,
            "extra": {**microsoft, "credential": "oauth_client_credentials", "client_id": "daemon"},
        },
        "person": {"extra": {**microsoft, "credential": "oauth_device_flow", "client_id": "device"}},
    }
    for name, form in forms.items():
        text = json.dumps({"conn_type": "email", "login": ROBOT, **form})
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)
    yield
    forget_sign_ins()


@pytest.fixture
def received(bed: Bed, graph_at_authority: GraphServer) -> Received:
    """What came to the mails' sender by a connection, once all of it is there."""

    def read(connection: str) -> list[bytes]:
        end = time.monotonic() + 15
        while True:
            found = (
                [b"".join(mime_of(mail)) for mail in graph_at_authority.messages(SENDER)]
                if connection in MICROSOFT
                else _inbox(bed, SENDER)
            )
            if len(found) == ANSWERED:
                return found
            assert time.monotonic() < end, found
            time.sleep(0.1)

    return read


def _inbox(bed: Bed, login: str) -> list[bytes]:
    with imaplib.IMAP4(HOST, bed.imap_port, timeout=10) as imap:
        imap.authenticate("PLAIN", lambda _: f"\0{login}\0{bed.users[login]}".encode())
        imap.select("INBOX", readonly=True)
        numbers: list[str] = imap.search(None, "ALL")[1][0].split()
        answers: Any = [imap.fetch(number, "(BODY.PEEK[])")[1] for number in numbers]
        return [answer[0][1] for answer in answers]


def comparable(raw: bytes, told: Callable[[str], str]) -> bytes:
    """A mail without trace, Message-ID, date and boundaries.

    :param told: of its text what is told of the forwarded mail.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    if b"\nSubject: Re: Fwd: The order\r\n" in head:
        body = told(message_from_bytes(raw, policy=default).get_content()).encode()
    text = _TRACE.sub(b"", head + b"\r\n") + b"\r\n" + body
    for number, boundary in enumerate(dict.fromkeys(_BOUNDARY.findall(text))):
        text = text.replace(boundary, b"boundary-%d" % number)
    return text.rstrip(b"\r\n")


# ------------------------------------------------------------ a run


def outcome(connection: str, path: Path, received: Received) -> Outcome:
    """Run the DAG with a connection; what it left behind."""
    path.mkdir()
    # Read anew each time: `dag.test` leaves the parameters of a run in the DAG.
    dag = runpy.run_path(dags_examples.mailroom.__file__)["mailroom_dag"]
    run = dag.test(run_conf={"connection": connection, "path": path.as_uri()})
    assert run.state == "success", {ti.task_id: ti.state for ti in run.get_task_instances()}
    with create_session() as session:
        rows = list(session.scalars(select(XComModel).where(XComModel.run_id == run.run_id)))
        texts = {
            (row.task_id, row.map_index, row.key): json.dumps(XComModel.deserialize_value(row))
            for row in rows
        }
    with EmailHook(connection).mailbox() as mailbox:
        folders = {
            name: [(mail.subject, mail.seen) for mail in mailbox.search(MailQuery(), folder=name)]
            for name in ("INBOX", "Done")
        }
    files = {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    digest = hashlib.sha256(files[FORWARDED]).hexdigest()

    def told(text: str) -> str:
        return _TOLD.sub(r"0\1", text.replace(str(path), "").replace(digest, "here"))

    return Outcome(
        {
            name: told(raw.decode()).encode() if name.endswith("/_manifest.json") else raw
            for name, raw in files.items()
        },
        {name: json.loads(told(text)) for name, text in texts.items()},
        sorted(comparable(raw, told) for raw in received(connection)),
        folders,
    )


def without_differences(value: Any, where: tuple[str, ...] = ()) -> Any:
    """JSON of mails and receipts without what differs, wherever they are in it."""
    if isinstance(value, list):
        return [without_differences(each, where) for each in value]
    if not isinstance(value, dict):
        return value
    if "accepted" in value:
        value = {**value, "message_id": ""}
    if "ref" in value and "subject" in value:
        where = ()
    return {
        key: without_differences(each, (*where, key))
        for key, each in value.items()
        if ".".join((*where, key)) not in DIFFER or "sha256" in value
    }


def differing(one: Any, other: Any, where: tuple[str, ...] = ()) -> Iterator[str]:
    """Names of what differs in the mails of an XCom."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differing(one.get(key), other.get(key), (*where, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for each, of_other in zip(one, other, strict=True):
            yield from differing(each, of_other, where)
    elif one != other:
        yield ".".join(where)


def manifests(files: dict[str, bytes]) -> dict[str, Any]:
    """Those of a folder of storage, without what differs."""
    told = {name: json.loads(raw) for name, raw in files.items() if name.endswith("/_manifest.json")}
    for manifest in told.values():
        for file in manifest["files"]:
            del file["part"]
    return {name: without_differences(manifest) for name, manifest in told.items()}


@pytest.mark.usefixtures("connections")
def test_same_dag(
    bed: Bed,
    authority: Authority,
    graph_at_authority: GraphServer,
    received: Received,
    tmp_path: Path,
) -> None:
    """Files, results, answers, and where the mails lie afterwards; by an application and by a person."""
    sign_in(authority, ROBOT, "person")
    outcomes, mails = {}, corpus()
    for connection in ("standard", *MICROSOFT):
        servers = graph_at_authority if connection in MICROSOFT else bed
        for login in (ROBOT, SENDER):
            servers.empty(login)
        for number, raw in enumerate(mails):
            servers.append(ROBOT, raw, when=RECEIVED + timedelta(minutes=number))
        outcomes[connection] = outcome(connection, tmp_path / connection, received)
    expected = outcomes.pop("standard")
    assert len(expected.files) == 43
    for found in outcomes.values():
        assert found.folders == expected.folders
        assert found.answers == expected.answers
        assert_same_files(found.files, expected.files)
        assert_same_results(found.xcoms, expected.xcoms)


def assert_same_files(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Names and bytes; of the forwarded mail all but its line ends."""
    assert manifests(found) == manifests(expected)
    of_found, of_expected = ({**files} for files in (found, expected))
    forwarded = [files.pop(FORWARDED).replace(b"\r\n", b"\n") for files in (of_found, of_expected)]
    assert forwarded[0] == forwarded[1]
    names = {name for name in of_expected if not name.endswith("/_manifest.json")}
    assert {name: of_found[name] for name in names} == {name: of_expected[name] for name in names}
    assert of_found.keys() == of_expected.keys()


def assert_same_results(found: dict[Any, Any], expected: dict[Any, Any]) -> None:
    """Each XCom of each task."""
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert without_differences(value) == without_differences(expected[name])
    mails = ("fetch", -1, "mails")
    assert set(differing(found[mails], expected[mails])) == DIFFER
