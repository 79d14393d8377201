"""Microsoft's own client on the fake Graph, so that the fake is not only our imagination."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.mails import RECEIVED, invoice, plain

if TYPE_CHECKING:
    from tests.servers.graph.server import GraphServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

#: 360 MB installed: an environment of its own, made once.
PACKAGE = "msgraph-sdk==1.65.0"
PROGRAM = Path(__file__).with_name("graphsdk.py")
ROBOT, VENDOR = "robot@example.test", "vendor@example.test"


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The Python of an environment that has the client, outside the checkout."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-email-conn-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"venv-{PACKAGE}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin/python"
    with (cache / "venv.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test workers: only one of them installs
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)
            (folder / "ready").touch()
    return python


@pytest.fixture
def seen(graph: GraphServer, sdk_python: Path) -> dict[str, Any]:
    """What the client saw of eight mails, and of what it did itself."""
    for number in range(7):
        graph.append(ROBOT, plain(number, subject=str(number)), when=RECEIVED + timedelta(minutes=number))
    graph.append(ROBOT, invoice(7), when=RECEIVED + timedelta(minutes=7))
    given = {
        "url": graph.url,
        "ca": str(graph.ca),
        "token": graph.token(None),
        "mailbox": ROBOT,
        "recipient": VENDOR,
    }
    done = subprocess.run(
        [sdk_python, PROGRAM], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_microsofts_client(graph: GraphServer, seen: dict[str, Any]) -> None:
    """It reads all that the fake answers, and the fake takes all that it sends."""
    attachments = [["FileAttachment", "logo.png"], ["FileAttachment", "rechnung märz.csv"]]
    attachments.append(["ItemAttachment", "The order"])
    assert seen["listed"] == {
        "subjects": [*(str(number) for number in range(7)), "Rechnung für März € 2026"],
        "sender": "ann@acme.com",
        "received": RECEIVED.isoformat(),
        "attachments": attachments,
        "unknown": [],
    }
    assert seen["read"]["mime"].startswith("From: =?utf-8?q?M=C3=BCller")
    assert seen["read"]["files"] == attachments
    assert seen["read"]["changed"] == [True, ["Red"]]
    assert seen["read"]["code"] == "ErrorItemNotFound"
    assert "Posteingang" in seen["read"]["folders"]
    assert seen["delta"] == {"first": 8, "moved": True, "second": [[True, ["@removed"]]]}
    assert seen["sent"]["ranges"] == [["0-"], ["3276800"], None]
    assert seen["sent"]["expires"]
    assert seen["sent"]["attached"] == [["FileAttachment", "large.bin"]]
    small, large = graph.messages(VENDOR)
    assert [mail.parsed.text("Subject") for mail in (small, large)] == ["small", "large"]
    assert large.attachments[0].content.read() == bytes(range(256)) * 16384
