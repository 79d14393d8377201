"""Sending mail by SMTP (RFC 5321): the envelope in one go, the mail in pieces, and what became of it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, final

from airflow_email_conn.backends.smtp.session import SmtpSession, refused_sign_in
from airflow_email_conn.errors import (
    DeliveryUnknownError,
    DraftError,
    EmailError,
    NetworkError,
    ProtocolError,
    RefusedError,
    clean,
)
from airflow_email_conn.model.draft import Refusal, SendReceipt
from airflow_email_conn.wire.compose.letterhead import sender_of
from airflow_email_conn.wire.compose.message import compose
from airflow_email_conn.wire.compose.recipients import parse_address
from airflow_email_conn.wire.smtp import protocol as smtp
from airflow_email_conn.wire.smtp.refusals import explain

if TYPE_CHECKING:
    from types import TracebackType

    from airflow_email_conn.backends.base import OnStep
    from airflow_email_conn.model.draft import Draft
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.wire.compose.message import Composed

__all__ = ["SmtpSender"]

_CHUNK = 64 * 1024  # bytes handed to the network at a time, at least

# Commands in one write: their replies fit into the socket's buffers, so neither side can block the other
# (RFC 2920 3.1).
_WINDOW = 100

# The answer to the end of a mail may take so many times the timeout: RFC 5321 4.5.3.2.6 asks for 10 minutes,
# since the server scans and stores, and megabytes may still be in the socket's buffer. To give up here means
# not to know whether the mail went out.
_FINAL_PATIENCE = 4.0
_LAST_WORDS_PATIENCE = 0.05

_GO_AHEAD = 354
_SIGN_IN_FIRST = 530  # RFC 4954 6
_TOO_LARGE = 552  # RFC 1870 6.1


@final
class SmtpSender:
    """An open SMTP connection that sends any number of mails; a `Sender`.

    Not for several threads at once. After a refusal it goes on; after any other error it is closed.
    """

    def __init__(self, session: SmtpSession, from_address: str) -> None:
        self._session = session
        self._from_address = from_address

    @classmethod
    def open(cls, server: Server, *, from_address: str, on_step: OnStep = lambda _: None) -> SmtpSender:
        """Connect and sign in.

        :param from_address: the From of mails that name none; empty when every mail will.
        :param on_step: called before each step: resolve, connect, TLS, EHLO, sign in.
        :raises SettingsError, CapabilityError: before anything is sent.
        :raises AuthenticationError: tried once.
        :raises ConnectError, TLSError, DeadlineError, NetworkError, UnavailableError, ServerError:
        """
        return cls(SmtpSession.connect(server, _hello(from_address), on_step), from_address)

    def send(self, draft: Draft) -> SendReceipt:
        """Send one mail; recipients that were refused stand in the receipt.

        :raises DraftError: it cannot be composed; nothing was sent.
        :raises RefusedError: refused for every recipient, or the sender, or the content.
        :raises UnavailableError: the server closed the connection; not delivered.
        :raises NetworkError: the connection broke before the mail was complete; not delivered.
        :raises DeliveryUnknownError: it broke before the answer to the complete mail; it may have gone out.
        """
        if not self._session.open:
            raise NetworkError("this connection was closed after an error; open a new one")
        domain = sender_of(draft, self._from_address).domain
        with compose(
            draft,
            sender=self._from_address,
            date=datetime.now(timezone.utc),
            message_id=f"<{secrets.token_hex(16)}@{domain}>",
            boundary_seed=secrets.token_hex(16),
            utf8="SMTPUTF8" in self._session.extensions,
        ) as mail:
            return _Transaction(self._session, mail).run()

    def close(self) -> None:
        """Sign out and close; never raises."""
        self._session.close()

    def __enter__(self) -> SmtpSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Transaction:
    """One mail on its way: MAIL, RCPT, DATA (RFC 5321 3.3)."""

    def __init__(self, session: SmtpSession, mail: Composed) -> None:
        self._session, self._mail = session, mail
        self._refused: dict[str, Refusal] = {}

    def run(self) -> SendReceipt:
        """Send it; the session stays open after success and after a refusal that RSET could clear."""
        usable = False
        try:
            self._envelope()
            self._data()
            usable = True
        except RefusedError:
            usable = self._session.reset()
            raise
        finally:
            if not usable:
                self._session.abandon()
        accepted = tuple(r for r in self._mail.recipients if r not in self._refused)
        return SendReceipt(self._mail.message_id, accepted, self._refused)

    def _envelope(self) -> None:
        """MAIL, every RCPT, and DATA; returns when the server waits for a mail that somebody will get."""
        sender, *replies = self._exchange()
        recipients = self._mail.recipients
        for recipient, reply in zip(recipients, replies, strict=False):
            if not reply.positive:
                self._refused[recipient] = Refusal(reply.code, clean(reply.text))
        data = replies[len(recipients)] if len(replies) > len(recipients) else None
        nobody = not sender.positive or len(self._refused) == len(recipients)
        if nobody and data is not None and data.code == _GO_AHEAD:
            # DATA went out with the rest, and this server takes a mail to nobody: it gets an empty one
            # (RFC 2920 3.1). Whatever it answers, nobody has the mail.
            with suppress(EmailError):
                self._session.command(smtp.DotStuffer().finish(), "empty mail")
        if not sender.positive:
            raise self._sender_refused(sender)
        if nobody:
            raise self._all_refused()
        if data is None or data.code != _GO_AHEAD:
            raise self._mail_refused(data or sender)

    def _exchange(self) -> list[smtp.Reply]:
        """The replies to the envelope's commands; these go out together where the server takes it (RFC 2920).

        Stops early when there is nothing more to ask.
        """
        commands = [self._mail_from(), *self._rcpt_to(), smtp.DATA]
        window = _WINDOW if "PIPELINING" in self._session.extensions else 1
        replies: list[smtp.Reply] = []
        for start in range(0, len(commands), window):
            batch = commands[start : start + window]
            if batch == [smtp.DATA] and not any(reply.positive for reply in replies[1:]):
                break
            self._session.write(b"".join(batch), "envelope")
            replies += [self._session.reply(command[:4].decode("ascii")) for command in batch]
            if not replies[0].positive:
                break
        return replies

    def _mail_from(self) -> bytes:
        extensions, mail = self._session.extensions, self._mail
        return smtp.mail(
            mail.sender,
            size=mail.size if "SIZE" in extensions else None,
            utf8=mail.needs_utf8,
            eight_bit=mail.needs_utf8 and "8BITMIME" in extensions,
        )

    def _rcpt_to(self) -> list[bytes]:
        return [smtp.rcpt(recipient, utf8=self._mail.needs_utf8) for recipient in self._mail.recipients]

    def _data(self) -> None:
        """The mail, and the answer to it."""
        last = self._all_but_the_last_chunk()
        try:
            self._session.write(last, "send the end of the mail")
            reply = self._session.reply("answer to the mail", patience=_FINAL_PATIENCE)
        except (NetworkError, ProtocolError) as exc:
            raise self._unknown() from exc
        except EmailError:  # 421: the server says itself that it did not take the mail
            raise
        except BaseException as exc:  # a task's execution_timeout, a signal: no reason to send it twice
            self._session.abandon()
            raise self._unknown() from exc
        if reply.code // 100 == 3:
            raise self._unknown()
        if not reply.positive:
            raise self._mail_refused(reply)

    def _all_but_the_last_chunk(self) -> bytes:
        """Send the mail but for the last chunk, which comes back with the final dot.

        Until that dot is sent, a broken connection means that nothing was delivered (RFC 5321 4.1.1.4).
        """
        stuffer = smtp.DotStuffer()
        waiting: list[bytes] = []
        size = 0
        for piece in self._mail.pieces():
            if size >= _CHUNK:
                self._write(b"".join(waiting))
                waiting, size = [], 0
            waiting.append(stuffer.feed(piece))
            size += len(waiting[-1])
        return b"".join([*waiting, stuffer.finish()])

    def _write(self, chunk: bytes) -> None:
        try:
            self._session.write(chunk, "send the mail (not complete, so not delivered)")
        except NetworkError as exc:
            raise self._why_broken(exc) from exc

    def _why_broken(self, broken: NetworkError) -> EmailError:
        """Some servers refuse a mail in the middle and close; what they said may still be there to read."""
        try:
            reply = self._session.reply("reason", patience=_LAST_WORDS_PATIENCE)
        except (NetworkError, ProtocolError):
            return broken
        finally:
            self._session.abandon()
        return broken if reply.positive else self._mail_refused(reply)

    def _unknown(self) -> DeliveryUnknownError:
        return DeliveryUnknownError(
            f"{self._session.where}: the connection broke before the answer to the complete mail: "
            f"it may have gone out; look for Message-ID {self._mail.message_id} before sending it again"
        )

    def _sender_refused(self, reply: smtp.Reply) -> EmailError:
        known = explain(reply.status, reply.text)
        if reply.code == _SIGN_IN_FIRST or (known and known.sign_in):
            return refused_sign_in(self._session.where, reply)
        return self._mail_refused(reply)

    def _mail_refused(self, reply: smtp.Reply) -> RefusedError:
        known = explain(reply.status, reply.text)
        limit = self._session.extensions.offered.get("SIZE", ())
        hint = f": {known.mend}" if known else ""
        if reply.code == _TOO_LARGE and self._mail.size is not None:
            hint = f": it has {self._mail.size} bytes" + (
                f", the limit is {limit[0][:20]!a}" if limit else ""
            )
        return RefusedError(
            f"{self._session.where} refused the mail from {self._mail.sender}{hint}",
            reply.text,
            refused=self._refusals(),
            retryable=reply.temporary,
        )

    def _all_refused(self) -> RefusedError:
        first, refusal = next(iter(self._refused.items()))
        return RefusedError(
            f"{self._session.where} refused every recipient ({len(self._refused)}), such as {first}",
            f"{refusal.code} {refusal.reason}",
            refused=self._refusals(),
            retryable=all(r.code // 100 == 4 for r in self._refused.values()),
        )

    def _refusals(self) -> dict[str, tuple[int, str]]:
        return {address: (refusal.code, refusal.reason) for address, refusal in self._refused.items()}


def _hello(from_address: str) -> str:
    """This client's name in EHLO: the sender's domain, or nothing.

    smtp-relay.gmail.com closes the connection on an address literal, and takes the customer's domain. It
    also keeps the worker's address out of the mail's Received line.
    """
    if not from_address:
        return ""
    try:
        domain = parse_address("from_address", from_address).domain
    except DraftError:  # the mail that uses it will say so; others may name another sender
        return ""
    return domain if "." in domain and not domain.startswith("[") else ""
