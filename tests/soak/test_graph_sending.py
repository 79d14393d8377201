"""The largest attachments that Exchange takes, sent in little memory while the network breaks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.graph.test_uploads import sent_by_another_process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.graph.server import GraphServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

_BLOCK = 1_000_000


@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize("megabytes", [3, 10, 149])
def test_attachments(graph: GraphServer, tmp_path: Path, megabytes: int, breaks: bool) -> None:
    """They arrive as they are; the sender's memory grows by 16 MB at most."""
    path, written = tmp_path / "large.bin", hashlib.sha256()
    with path.open("wb") as file:
        for number in range(megabytes):
            block = hashlib.sha256(str(number).encode()).digest() * (_BLOCK // 32)
            file.write(block)
            written.update(block)
    for number in range(8 if breaks else 0):
        kind = ("status", "close", "stall")[number % 3]
        graph.fault(r"PUT .*/uploads/", kind=kind, skip=5 * number, after=number % 2 == 1, seconds=1.0)
    told = sent_by_another_process(graph, path)
    print(f"\n{megabytes} MB, breaks: {breaks}: +{told['grown'] / 1e6:.1f} MB, {told['seconds']:.1f} s")
    arrived = hashlib.sha256()
    for piece in graph.messages("vendor@example.test")[1].attachments[0].content.pieces():
        arrived.update(piece)
    assert arrived.digest() == written.digest()
    assert len(graph.sent) == 2
    assert told["grown"] <= 16 * 1024 * 1024
