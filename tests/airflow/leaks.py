"""Where a secret could show: the forms that it may have, and the search for them in anything written."""

from __future__ import annotations

import contextlib
import json
import threading
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["ProcessList", "forms", "leaks", "pieces"]


def forms(secret: str) -> dict[bytes, str]:
    """What to look for, and the name of that form; of forms that are the same here, the first one's.

    Base64 at each of the three places within its groups: so it is found in whatever longer text was encoded,
    such as the message of AUTH PLAIN (RFC 4616).
    """
    octets = secret.encode()
    found = {
        "plain": octets,
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON in UTF-8": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "JSON in JSON": json.dumps(json.dumps(secret)[1:-1])[1:-1].encode(),
        "URL": quote(secret).encode(),
        "URL, all of it": quote(secret, safe="").encode(),
        "form data": quote_plus(secret).encode(),
        "repr": repr(secret)[1:-1].encode(),
        "repr of bytes": repr(octets)[2:-1].encode(),
        "quoted string": secret.replace("\\", "\\\\").replace('"', '\\"').encode(),
        "HTML": secret.replace("&", "&amp;").replace('"', "&#34;").encode(),
        "hex": octets.hex().encode(),
        "HEX": octets.hex().upper().encode(),  # as SQL writes a BLOB
    }
    for shift in range(3):
        # Characters that hold bits of a neighbour are cut off.
        whole = b64encode(b"\0" * shift + octets).rstrip(b"=")
        core = whole[(0, 2, 3)[shift] : len(whole) - bool((shift + len(octets)) % 3)]
        found[f"base64 at {shift}"] = core
        found[f"URL-safe base64 at {shift}"] = core.replace(b"+", b"-").replace(b"/", b"_")
    return {text: name for name, text in reversed(found.items())}


def pieces(secret: str) -> list[str]:
    """What must not show of a secret: all of it, or any long line of a private key."""
    if "PRIVATE KEY-----" not in secret:
        return [secret]
    lines = secret.partition("-----END ")[0].splitlines()
    return [line for line in lines if len(line) > 12 and not line.startswith("-----")]


def leaks(text: bytes, secrets: Mapping[str, str]) -> list[str]:
    """The secrets in a text: each by its name, with the form it has there and what stands around it."""
    found = []
    for name, secret in secrets.items():
        for piece in pieces(secret):
            for wanted, form in forms(piece).items():
                if (at := text.find(wanted)) >= 0:
                    around = text[max(0, at - 200) : at + len(wanted) + 100]
                    found.append(f"{name} ({form}): {around!r}")
    return found


class ProcessList:
    """Looks at the command lines of all processes of this machine, again and again, within its block."""

    def __init__(self, seconds: float = 0.05) -> None:
        """Prepare.

        :param seconds: between two looks.
        """
        #: Each command line that was ever seen, its arguments as `ps` shows them.
        self.seen: set[bytes] = set()
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process list", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(self._seconds):
            for command_line in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    self.seen.add(command_line.read_bytes().replace(b"\0", b" "))
