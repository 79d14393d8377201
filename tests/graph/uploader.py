"""Sends a file in a process of its own, and tells what memory it took: python -m tests.graph.uploader ..."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from airflow_email_conn.backends.graph.sender import GraphSender
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.server import Credential, Server

_MAILBOX, _TO = "robot@example.test", "vendor@example.test"


def _resident(what: str) -> int:
    """Bytes of VmRSS or VmHWM (proc(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what + ":"))


def main(url: str, port: str, ca: str, token: str, path: str) -> None:
    """Send a small mail, so that everything is loaded, then the file."""
    credential = Credential("bearer", _MAILBOX, token)
    server = Server("graph", "localhost", int(port), credential=credential, url=url, ca_certificates=ca)
    with GraphSender.open(server, from_address=_MAILBOX, renew=lambda _: credential) as out:
        out.send(Draft(to=_TO, subject="warm"))
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before, begin = _resident("VmRSS"), time.monotonic()
        out.send(Draft(to=_TO, subject="large", attachments=[Path(path)]))
    print(json.dumps({"grown": _resident("VmHWM") - before, "seconds": time.monotonic() - begin}))


if __name__ == "__main__":
    main(*sys.argv[1:])
