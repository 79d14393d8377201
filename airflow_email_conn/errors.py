"""Every exception of this package, by who must act.

EmailError                          base; `retryable` says whether the same call may succeed later
|
|   you
+-- SettingsError (ValueError)      the connection is wrong: every problem of it in one message
+-- QueryError (ValueError)         the filter of a search is wrong
+-- DraftError (ValueError)         the mail to be sent is wrong; nothing was sent
+-- CapabilityError                 the protocol or the server cannot do that
|
|   the server
+-- ServerError                     it said no, or made no sense
|   +-- AuthenticationError         it refused the credential
|   |   +-- SignInRequiredError     a person must sign in by OAuth, or sign in again
|   +-- FolderNotFoundError         no such folder; names those that exist
|   +-- MailNotFoundError           the mail is gone (moved or deleted meanwhile)
|   +-- RefusedError                it refused the mail: the sender, every recipient, or the content
|   +-- ProtocolError               what it sent breaks the protocol or a limit of ours
|   +-- UnavailableError            it is busy or shutting down; retryable
|
|   the network
+-- NetworkError (ConnectionError)  retryable
    +-- ConnectError                name not found, refused, unreachable
    +-- TLSError                    certificate or handshake; not retryable
    +-- DeadlineError (TimeoutError)  a step took longer than the connection's timeout
    +-- DeliveryUnknownError        the mail may have gone out: the answer was lost; not retryable
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "CapabilityError",
    "ConnectError",
    "DeadlineError",
    "DeliveryUnknownError",
    "DraftError",
    "EmailError",
    "FolderNotFoundError",
    "MailNotFoundError",
    "NetworkError",
    "ProtocolError",
    "QueryError",
    "RefusedError",
    "ServerError",
    "SettingsError",
    "SignInRequiredError",
    "TLSError",
    "UnavailableError",
    "clean",
]

# A server's text ends up in logs and error messages: long enough to understand, too short to flood.
_SERVER_TEXT_LIMIT = 300


class EmailError(Exception):
    """Base of all errors of this package.

    :param message: what happened and how to mend it, in our words: never a secret, never a server's text.
    :param server_text: what the server said about it; cleaned of control characters and cut here.
    """

    retryable: bool = False

    def __init__(self, message: str, server_text: str = "") -> None:
        super().__init__(message, server_text)
        self.message = message
        self.server_text = clean(server_text)

    def __str__(self) -> str:
        return f"{self.message} (the server said: {self.server_text})" if self.server_text else self.message


def clean(text: str) -> str:
    """One printable line of at most _SERVER_TEXT_LIMIT characters."""
    cut = text[: _SERVER_TEXT_LIMIT * 2]
    line = " ".join("".join(c if c.isprintable() else " " for c in cut).split())
    return line if len(line) <= _SERVER_TEXT_LIMIT else line[:_SERVER_TEXT_LIMIT] + "..."


class SettingsError(EmailError, ValueError):
    """The connection cannot work as it is filled in.

    :param problems: one line each: the field and the mend.
    """

    def __init__(self, problems: list[str] | tuple[str, ...] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))

    def __reduce__(self) -> tuple[type[SettingsError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class QueryError(EmailError, ValueError):
    """A filter that cannot be understood."""


class DraftError(EmailError, ValueError):
    """A mail that cannot be composed; nothing was sent."""


class CapabilityError(EmailError):
    """Something that this protocol, this server or this version cannot do."""


class ServerError(EmailError):
    """The server refused, or answered something that makes no sense."""


class AuthenticationError(ServerError):
    """The server refused the credential. Tried once: a second try may lock the account."""


class SignInRequiredError(AuthenticationError):
    """There is no OAuth sign-in of a person, or it has ended: somebody must sign in (again)."""


class FolderNotFoundError(ServerError):
    """No folder of that name.

    :param folders: the names that exist.
    """

    def __init__(self, name: str, folders: tuple[str, ...] = ()) -> None:
        self.name, self.folders = name, folders
        shown = ", ".join(folders[:50]) or "none"
        more = f" and {len(folders) - 50} more" if len(folders) > 50 else ""
        super().__init__(f"no folder {name!r}; the folders are: {shown}{more}")

    def __reduce__(self) -> tuple[type[FolderNotFoundError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.name, self.folders)


class MailNotFoundError(ServerError):
    """The mail is not where its reference says: moved, deleted, or the folder was rebuilt."""


class RefusedError(ServerError):
    """The server refused the mail: its sender, every recipient, or its content.

    :param refused: address to (reply code, reason), as far as single addresses were refused.
    :param retryable: true when every refusal was temporary (a 4xx reply, RFC 5321 4.2.1).
    """

    def __init__(
        self,
        message: str,
        server_text: str = "",
        *,
        refused: dict[str, tuple[int, str]] | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, server_text)
        self.refused = dict(refused or {})
        self.retryable = retryable


class ProtocolError(ServerError):
    """The server broke the protocol, or a limit that keeps this process alive."""


class UnavailableError(ServerError):
    """The server is busy, throttling or shutting down.

    :param retry_after: seconds for which it asked to be left alone; None when it did not say.
    """

    retryable = True

    def __init__(self, message: str, server_text: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, server_text)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[UnavailableError], tuple[str, str, float | None]]:
        return type(self), (self.message, self.server_text, self.retry_after)


class NetworkError(EmailError, ConnectionError):
    """The network failed."""

    retryable = True


class ConnectError(NetworkError):
    """No connection: the name is unknown, the port is closed, or the host cannot be reached."""


class TLSError(NetworkError):
    """No trustworthy encryption: bad certificate, wrong host name, no TLS where TLS was demanded."""

    retryable = False


class DeadlineError(NetworkError, TimeoutError):
    """A step took longer than the connection's timeout."""


class DeliveryUnknownError(NetworkError):
    """The connection broke after the mail was sent and before the server's answer came.

    The mail may or may not have gone out, so nothing here sends it again (RFC 5321 4.5.3.2.6, RFC 1047).
    """

    retryable = False
