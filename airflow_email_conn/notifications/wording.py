"""The words of a mail that a notifier sends, made fit to leave Airflow."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final

from airflow.sdk._shared.secrets_masker import redact

__all__ = ["Words", "masked", "masked_html", "one_line", "readable"]

_MAX_SUBJECT: Final = 900  # characters; RFC 5322 2.1.1 ends a line at 998
# No mail can carry half a surrogate pair, which undecodable file names hold, and no reader shows controls.
_UNREADABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TAG: Final = re.compile(r"(<[^<>]{0,10000}>)")


@dataclass(frozen=True, slots=True)
class Words:
    """Subject, text and HTML; empty where there are none."""

    subject: str = ""
    text: str = ""
    html: str = ""

    def cleared(self) -> Words:
        """With the secrets that Airflow knows masked, and without what no mail can carry.

        Logs mask them as well, and a mail leaves the system.
        """
        return Words(
            one_line(masked(self.subject)), readable(masked(self.text)), readable(masked_html(self.html))
        )


def masked(text: str) -> str:
    """Text with `***` for the secrets that Airflow knows in this process."""
    return str(redact(text))


def masked_html(source: str) -> str:
    """HTML likewise: also where a secret stands escaped, `a&amp;b` for `a&b`."""
    return "".join(part if _TAG.fullmatch(part) else _masked_run(part) for part in _TAG.split(masked(source)))


def _masked_run(run: str) -> str:
    """What stands between two tags."""
    plain = html.unescape(run)
    shown = masked(plain)
    return run if shown == plain else html.escape(shown)


def one_line(text: str) -> str:
    """A subject: one line, whatever an exception in it says."""
    return " ".join(readable(text[: 2 * _MAX_SUBJECT]).split())[:_MAX_SUBJECT]


def readable(text: str) -> str:
    """Text without control characters but tabs and line ends, and without lone surrogates."""
    return _UNREADABLE.sub("\ufffd", text.replace("\r\n", "\n"))
