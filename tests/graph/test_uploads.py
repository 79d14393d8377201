"""Large attachments: whole, in order, in little memory, whatever breaks on the way."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.errors import DraftError, EmailError, UnavailableError
from airflow_email_conn.model.draft import Content, Draft
from tests.graph.opening import MAILBOX, open_sender
from tests.servers.graph import attachments, uploads
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.blobs import Blob

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.graph.server import GraphServer

_TO = "vendor@example.test"
_MEMORY = 16 * 1024 * 1024


def _bytes(size: int) -> bytes:
    return b"".join(hashlib.sha256(str(at).encode()).digest() for at in range(size // 32 + 1))[:size]


def _files(graph: GraphServer) -> dict[str, bytes]:
    (message,) = graph.messages(_TO)
    return {each.name: each.content.read() for each in message.attachments}


_TEN = _bytes(10_000_000)


@pytest.mark.parametrize(
    "size", [1, 2_200_000, 2_989_999, 3_000_000, 3_145_728, 3_276_800, 3_276_801, 6_553_600]
)
def test_sizes(graph: GraphServer, size: int) -> None:
    """On both sides of every limit."""
    data = _bytes(size)
    with open_sender(graph) as out:
        out.send(Draft(to=_TO, subject="x", attachments=[Content("a.bin", data)]))
    assert _files(graph) == {"a.bin": data}


def test_limits_may_be_read_otherwise(graph: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 3 MB and 4 MB mean 1,024 times 1,024: a file between goes in one request."""
    for module in (uploads, attachments):
        monkeypatch.setattr(module, "SMALL", 3 * 1024 * 1024)
    data = _bytes(3_100_000)
    with graph.without(Behaviour.BODY_LIMIT), open_sender(graph) as out:
        out.send(Draft(to=_TO, subject="x", attachments=[Content("a.bin", data)]))
    assert _files(graph) == {"a.bin": data}


def test_several(graph: GraphServer) -> None:
    """The largest go apart, the others stay in the mail; pictures stay where the text shows them."""
    sizes = {"a.bin": 100_000, "b.csv": 4_000_000, "Übersicht März.pdf": 2_600_000, "c.txt": 10}
    files = [Content(name, _bytes(size)) for name, size in sizes.items()]
    draft = Draft(
        to=_TO,
        text="y",
        html='<img src="cid:logo">',
        attachments=files,
        inline={"logo": Content("logo.png", _bytes(3_500_000))},
    )
    with open_sender(graph) as out:
        out.send(draft)
    (message,) = graph.messages(_TO)
    assert {each.name: each.content.size for each in message.attachments} == {**sizes, "logo.png": 3_500_000}
    (logo,) = [each for each in message.attachments if each.name == "logo.png"]
    assert (logo.is_inline, logo.content_id) == (True, "logo")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["status", "close", "stall", "garbage"])
@pytest.mark.parametrize("skip", [0, 1, 3])
def test_faults(graph: GraphServer, kind: str, after: bool, skip: int) -> None:
    """At the first piece, in the middle and at the last: the file arrives, once."""
    fault = graph.fault(r"PUT .*/uploads/", kind=kind, after=after, skip=skip)
    with open_sender(graph, timeout=0.7 if kind == "stall" else 5.0) as out:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert fault.hits == 1
    assert _files(graph) == {"a.bin": _TEN}
    assert len(graph.sent) == 1


def test_crowd(graph: GraphServer) -> None:
    """Pieces that are throttled are sent again for longer than others."""
    fault = graph.fault(r"PUT .*/uploads/", status=429, code="ApplicationThrottled", skip=1, times=7)
    with open_sender(graph) as out:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert fault.hits == 7
    assert _files(graph) == {"a.bin": _TEN}


def test_faults_without_a_state(graph: GraphServer) -> None:
    """Where the server does not say how far it is, the piece is sent again."""
    fault = graph.fault(r"PUT .*/uploads/", skip=1)
    with graph.without(Behaviour.UPLOAD_STATUS), open_sender(graph) as out:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert fault.hits == 1
    assert _files(graph) == {"a.bin": _TEN}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("skip", [1, 3])
def test_answers_that_cannot_be_read(graph: GraphServer, skip: int, *, after: bool) -> None:
    """Of the piece and of the question after it: what is attached in the end counts."""
    for match in (r"PUT .*/uploads/", r"GET .*/uploads/"):
        graph.fault(match, kind="garbage", after=after, skip=skip if match.startswith("PUT") else 0)
    with open_sender(graph) as out:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert _files(graph) == {"a.bin": _TEN}
    assert len(graph.sent) == 1


def test_last_piece_is_answered_as_the_others(graph: GraphServer) -> None:
    """It names bytes beyond the end, or none: the file is there all the same."""
    with graph.without(Behaviour.UPLOAD_LAST), open_sender(graph) as out:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert _files(graph) == {"a.bin": _TEN}


def test_faults_everywhere(graph: GraphServer) -> None:
    """Every second piece, the question after it, and the beginning of the upload fail."""
    for skip in range(4):
        graph.fault(r"PUT .*/uploads/", skip=skip, after=skip % 2 == 1)
    graph.fault(r"GET .*/uploads/", skip=1)
    graph.fault(r"createUploadSession", after=True)
    with open_sender(graph) as out:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert _files(graph) == {"a.bin": _TEN}


def test_upload_that_never_works(graph: GraphServer) -> None:
    """Four tries without progress end it; nothing was sent, and nothing is left."""
    fault = graph.fault(r"PUT .*/uploads/", skip=1, times=None)
    with open_sender(graph) as out, pytest.raises(UnavailableError) as caught:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert caught.value.retryable
    assert fault.hits == 4
    assert (graph.sent, graph.messages(MAILBOX, "drafts")) == ([], [])


@pytest.mark.parametrize("kept", [0, 1])
def test_server_that_goes_back(graph: GraphServer, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """It keeps a piece at most, and wants all others again: given up as an outage."""
    take = uploads._take
    came: list[int] = []

    def forgetful(site: Any, upload: Any, request: Any) -> None:
        came.append(len(request.body))
        assert len(came) < 50
        if upload.attachment.content.size or not kept:
            upload.attachment.content = Blob()
        else:
            take(site, upload, request)

    monkeypatch.setattr(uploads, "_take", forgetful)
    with open_sender(graph) as out, pytest.raises(UnavailableError, match="took the piece"):
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert len(came) < 10
    assert (graph.sent, graph.messages(MAILBOX, "drafts")) == ([], [])


def test_session_that_ends(graph: GraphServer) -> None:
    """In the middle: what was uploaded is lost, and it may be tried again."""
    graph.fault(r"PUT .*/uploads/", status=404, code="ErrorItemNotFound", skip=1, times=None)
    with open_sender(graph) as out, pytest.raises(EmailError, match="knows nothing of the upload") as caught:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert caught.value.retryable
    assert (graph.sent, graph.messages(MAILBOX, "drafts")) == ([], [])


def test_address_of_an_upload_is_not_shown(graph: GraphServer, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has it can write into the mail."""
    caplog.set_level("DEBUG")
    graph.fault(r"PUT .*/uploads/", times=None)
    with open_sender(graph) as out, pytest.raises(UnavailableError) as caught:
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    assert "authtoken" not in " ".join([str(caught.value), *ours])


def test_hosts_that_are_not_allowed(graph: GraphServer) -> None:
    """Uploads are at another host, which the deployment may not allow."""
    with (
        open_sender(graph, link_hosts=("localhost",)) as out,
        pytest.raises(EmailError, match=r"127\.0\.0\.1: .*allowed_hosts"),
    ):
        out.send(Draft(to=_TO, attachments=[Content("a.bin", _TEN)]))
    assert graph.messages(MAILBOX, "drafts") == []


class _Pipe:
    """A file that cannot tell its size, and gives little at a time."""

    name = "pipe.bin"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, _mode: str) -> Any:
        """Open it."""

        class Raw(io.RawIOBase):
            def __init__(self, data: bytes) -> None:
                self._rest = memoryview(data)

            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                taken = self._rest[: min(len(buffer), 10_000)]
                self._rest = self._rest[len(taken) :]
                buffer[: len(taken)] = taken
                return len(taken)

        return Raw(self._data)


def test_size_that_is_not_known(graph: GraphServer) -> None:
    """It is found out first: an upload session has to be told."""
    with open_sender(graph) as out:
        out.send(Draft(to=_TO, attachments=[_Pipe(_TEN)]))
    assert _files(graph) == {"pipe.bin": _TEN}


def test_file_that_shrinks(graph: GraphServer, tmp_path: Path) -> None:
    """It is not filled up with anything: nothing is sent."""
    path = tmp_path / "log.bin"
    path.write_bytes(_TEN)
    fault = graph.fault(r"PUT .*/uploads/", kind="stall", seconds=0.5)
    with open_sender(graph) as out:
        graph.site.latency = 0.0
        path.write_bytes(_TEN)

        class Shrinking:
            name = "log.bin"

            def open(self, mode: str) -> Any:
                handle = path.open(mode)
                handle.seek(0, io.SEEK_END)
                size = handle.tell()
                handle.seek(0)
                assert size == len(_TEN)
                return _Shortened(handle)

        with pytest.raises(DraftError, match="became shorter"):
            out.send(Draft(to=_TO, attachments=[Shrinking()]))
    assert fault.hits <= 1
    assert (graph.sent, graph.messages(MAILBOX, "drafts")) == ([], [])


class _Shortened:
    """A file that says ten million bytes and has five."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.seekable, self.close, self.tell = handle.seekable, handle.close, handle.tell

    def seek(self, *where: int) -> int:
        return int(self._handle.seek(*where))

    def read(self, size: int) -> bytes:
        left = max(5_000_000 - self._handle.tell(), 0)
        return bytes(self._handle.read(min(size, left)))


def sent_by_another_process(graph: GraphServer, path: Path) -> dict[str, float]:
    """What it took there."""
    command = [sys.executable, "-m", "tests.graph.uploader", graph.url, str(graph.port), str(graph.ca)]
    done = subprocess.run(
        [*command, graph.token(), str(path)], stdout=subprocess.PIPE, text=True, timeout=300, check=True
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def test_memory(graph: GraphServer, tmp_path: Path) -> None:
    """10 MB, a fault in the middle: 16 MB more than before at most."""
    path = tmp_path / "a.bin"
    path.write_bytes(_TEN)
    graph.fault(r"PUT .*/uploads/", skip=1)
    told = sent_by_another_process(graph, path)
    assert told["grown"] <= _MEMORY
    assert graph.messages(_TO)[1].attachments[0].content.read() == _TEN
