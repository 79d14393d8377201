"""A scripted IMAP server that answers by the command, not by the order of its coming."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.servers.scripted import Conversation

__all__ = ["imap_script"]

# `%b` stands for the tag.
_ANSWERS = {
    "AUTHENTICATE": b"%b OK [CAPABILITY IMAP4rev1 UIDPLUS] in\r\n",
    "EXAMINE": b"* OK [UIDVALIDITY 1] ok\r\n%b OK [READ-ONLY] ok\r\n",
    "SELECT": b"* OK [UIDVALIDITY 1] ok\r\n%b OK [READ-WRITE] ok\r\n",
    "LIST": b'* LIST () "/" INBOX\r\n%b OK listed\r\n',
    "LOGOUT": b"* BYE bye\r\n%b OK out\r\n",
}


def imap_script(
    answers: Mapping[str, bytes | Callable[[str], bytes | None]],
    greeting: bytes = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n",
) -> Callable[[Conversation], None]:
    """A handler that knows these commands too.

    :param answers: by the command's name, `UID` left out: what to send, or what makes it of the arguments.
        Without a tag in it, the server hangs up behind it; None: it goes on without a word.
    """
    known: dict[str, bytes | Callable[[str], bytes | None]] = {**_ANSWERS, **answers}

    def handler(conversation: Conversation) -> None:
        conversation.send(greeting)
        while line := conversation.readline().decode():
            tag, _, command = line.strip().partition(" ")
            name, _, arguments = command.removeprefix("UID ").partition(" ")
            answer = known.get(name, b"%b BAD what is that\r\n")
            octets = answer if isinstance(answer, bytes) else answer(arguments)
            if octets is not None:
                conversation.send(octets.replace(b"%b", tag.encode()))
                if b"%b" not in octets:
                    return

    return handler
