"""With every logger at DEBUG, through sign-in, renewal and failures: no secret in logs, errors, reprs."""

from __future__ import annotations

import logging
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.client import open_mailbox, open_sender
from airflow_email_conn.errors import EmailError
from airflow_email_conn.oauth.keeper import Tokens
from airflow_email_conn.token_store import MemoryTokenStore
from tests.airflow.leaks import forms, pieces
from tests.oauth.connections import ALICE, BOB, keeper_of, settings, sign_in
from tests.oauth.test_matrix import WAYS, way_fields
from tests.servers.authorityfaults import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.authorityfaults import FaultyAuthority
    from tests.servers.bed import Bed


class Said(logging.Handler):
    """All that is logged, with tracebacks."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, and the objects that it was made of."""
        self.lines.append(f"{self.format(record)} {record.args!r}")


@pytest.fixture
def said() -> Iterator[Said]:
    """Everything at DEBUG."""
    names = [None, "msal", "httpx", "httpcore", "urllib3", "airflow_email_conn"]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    handler = Said()
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield handler
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    loggers[0].removeHandler(handler)


@contextmanager
def failing(said: Said) -> Iterator[None]:
    """An error that is wanted; what would be printed of it counts as said."""
    with pytest.raises(EmailError) as caught:
        yield
    said.lines += traceback.format_exception(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        said.lines.append(f"{error!r} {error.args!r} {vars(error)!r}")
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_said(
    bed: Bed, faulty_authority: FaultyAuthority, tmp_path: Path, said: Said, way: str
) -> None:
    """Neither the credential, nor a token, nor a code, nor the messages that they went out in."""
    authority = faulty_authority.authority
    store = MemoryTokenStore()
    fields = way_fields(way, authority, tmp_path)  # type: ignore[arg-type]
    used = settings(bed, faulty_authority, timeout=2, **fields)
    keeper = keeper_of(used.incoming, store)
    tokens = Tokens(store, "mail")
    secrets: list[str] = []
    if way == "person":
        code = keeper.begin_sign_in()
        said.lines.append(repr(code))
        assert keeper.finish_sign_in(code) is None
        secrets.append(code.flow["device_code"])
        sign_in(authority, keeper)
    for opened in (open_mailbox, open_sender):
        opened(used, tokens=tokens).close()
    secrets += _tokens(keeper.state())
    renewed = keeper.renewed(keeper.state())
    said.lines += [repr(each) for each in (renewed, keeper, tokens, used, store, vars(keeper))]
    secrets += _tokens(renewed)
    echo = " ".join(secrets)
    for answer in (
        Answer(400, f'{{"error": "invalid_request", "error_description": "{echo}"}}'.encode()),
        Answer(200, f'{{"access_token": "{echo}", "x'.encode()),
        Answer(200, f'["{echo}"]'.encode()),
        Answer(200, f'{{"access_token": 7, "x": "{echo}"}}'.encode()),
        Answer(200, f'{{"access_token": "{renewed.access_token}", "id_token": "{echo}"}}'.encode()),
        Answer(302, headers={"Location": "https://elsewhere.test/"}),
        Answer(503),
        Answer(kind="close"),
        Answer(kind="hang"),
    ):
        faulty_authority.answers["token"] = answer
        with failing(said):
            keeper.renewed(keeper.state())
    del faulty_authority.answers["token"]
    fields["login"] = BOB if way == "person" else ALICE
    bad = settings(bed, faulty_authority, **(fields | {"scopes": "other"}))
    other = keeper_of(bad.incoming, store)
    if way == "person":
        sign_in(authority, other)
    for opened in (open_mailbox, open_sender):
        with failing(said):
            opened(bad, tokens=tokens)
    secrets += _tokens(other.state())
    for request in faulty_authority.requests:
        names = ("client_secret", "client_assertion", "refresh_token", "device_code")
        secrets += [request.form[name] for name in names if name in request.form]
    secrets += pieces(str(fields.get("client_certificate_private_key") or "daemon-secret"))
    assert used.incoming is not None
    lookups = {form: name for each in secrets for form, name in forms(each).items()}
    text = "\n".join(said.lines).encode(errors="replace")
    assert len(said.lines) > 50
    assert [name for form, name in lookups.items() if form in text] == []


def _tokens(record: Any) -> list[str]:
    return [each for each in (record.access_token, record.refresh_token) if each]
