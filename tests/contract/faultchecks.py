"""What must hold after a cell of the fault matrix, whatever happened in it."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

from airflow_email_conn.errors import (
    ConnectError,
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    UnavailableError,
)
from tests.contract.faultscene import CHANGED, IDS, JOBS

if TYPE_CHECKING:
    from airflow_email_conn.backends.base import Mailbox
    from tests.contract.faultcells import Cell, Outcome
    from tests.contract.faultscene import Scene
    from tests.contract.witness import Witness

__all__ = ["check"]

_MARGIN = 4.0  # seconds, for a machine that is busy


def check(cell: Cell, scene: Scene, outcome: Outcome, witness: Witness) -> None:
    """The right error in time or the whole result; a dead session stays dead; no mail is lost or doubled."""
    witness.outcome(outcome.error, outcome.seconds)
    witness.fault(outcome.fault, outcome.passed)
    assert outcome.fault.hits
    assert type(outcome.error) in expected(cell), repr(outcome.error)
    if outcome.error is None:
        assert outcome.result == JOBS[cell.stage][1](scene)
    else:
        assert outcome.error.retryable
        # DELE twice, and QUIT: drop by drop each may come in its own time.
        steps = 3 if (cell.fault, cell.stage) == ("drip", "dele") else 1
        assert outcome.seconds < steps * cell.timeout + _MARGIN
        refused = (
            cell.protocol == "pop3" and cell.fault == "BYE"
        )  # DELE: that session is given up, not broken
        if outcome.connections == 1 and not refused:
            assert all(isinstance(error, NetworkError) for error in outcome.later)
        else:  # fetching connected again: that session answers what it is asked
            assert not any(isinstance(error, ProtocolError) for error in outcome.later)
    with scene.open() as mailbox:
        if cell.protocol == "pop3":
            _check_maildrop(cell, scene, outcome, mailbox)
        else:
            if cell.stage == "move" and cell.arrives and outcome.error:
                scene.settle(mailbox)
            _check_mails(cell, scene, outcome, mailbox)
            _check_rerun(cell, scene, mailbox)


def expected(cell: Cell) -> tuple[type[EmailError | None], ...]:
    """What may come out of a cell, and nothing else; None for the whole result."""
    done: tuple[type[None], ...] = ()
    if cell.fault == "slow":
        return (NoneType,)
    if cell.heals or cell.fault == "restart":
        # Fetching connects again. And Dovecot's answer to a short command is quicker than its end.
        done = (NoneType,) if cell.changes or cell.stage in {"headers", "body"} else ()
    if cell.fault in {"stall", "half-open", "drip"}:
        return (*done, DeadlineError)
    if cell.fault == "BYE":
        # Within a mail, a word of the server is the mail's. The second DELE has no answer; nor has the RETR
        # after a TOP that was refused for now.
        is_cut = cell.octets or cell.stage in {"dele", "top"}
        return (*done, NetworkError if is_cut else UnavailableError)
    if cell.fault == "restart":
        return (*done, NetworkError, UnavailableError)  # it says BYE where it can
    if (cell.fault, cell.stage) == ("reset", "greeting"):
        return (NetworkError, ConnectError)  # a reset may be there before connecting is through
    return (*done, NetworkError)


def _check_mails(cell: Cell, scene: Scene, outcome: Outcome, mailbox: Mailbox) -> None:
    """No mail is lost or doubled; only those that were named changed, and only if the server was asked."""
    found = scene.found(mailbox)
    if cell.modest:
        return  # between COPY and EXPUNGE a mail is in both folders, and RFC 6851 3.3 knows no way around it
    done = {True} if outcome.error is None else {False, True} if cell.arrives else {False}
    unchanged = {False}
    for number, mails in enumerate(found.values()):
        (mail,) = mails
        named = number < CHANGED
        assert mail.ref.folder in {scene.name, scene.done}
        assert (mail.ref.folder == scene.done) in (done if named and cell.stage == "move" else unchanged)
        assert mail.seen in (done if named and cell.stage == "store" else unchanged)
        assert not mail.flagged


def _check_rerun(cell: Cell, scene: Scene, mailbox: Mailbox) -> None:
    """The same job completes on a healthy network, also where it was done already."""
    again = _again(cell, scene, mailbox)
    result = JOBS[cell.stage][1]
    moving = cell.modest or cell.stage == "move"
    assert again in ([result(scene), []] if moving else [result(scene)])
    found = list(scene.found(mailbox).values())
    if moving:
        assert {mail.ref.folder for mails in found[:CHANGED] for mail in mails} == {scene.done}
        assert [mail.ref.folder for mail in found[-1]] == [scene.name]
    if not cell.modest:
        assert all(len(mails) == 1 for mails in found)
    if cell.stage == "store":
        assert [mail.seen for mails in found for mail in mails] == [True] * CHANGED + [False]


def _check_maildrop(cell: Cell, scene: Scene, outcome: Outcome, mailbox: Mailbox) -> None:
    """Only QUIT deletes, and only what was named; the same job completes in another session."""
    whole, rest = list(IDS), list(IDS[CHANGED:])
    # Drop by drop it may come as far as QUIT.
    may_be_deleted = cell.arrives and (cell.stage == "quit" or (cell.fault, cell.stage) == ("drip", "dele"))
    done = [rest] if cell.deletes and outcome.error is None else [whole, rest] if may_be_deleted else [whole]
    assert scene.left(mailbox) in done
    again = _again(cell, scene, mailbox)
    result = JOBS[cell.stage][1](scene)
    assert again in ([result, []] if may_be_deleted or outcome.error is None else [result])
    with scene.open() as mailbox:  # noqa: PLR1704 - the one before showed what was there when it began
        assert scene.left(mailbox) == (rest if cell.deletes else whole)


def _again(cell: Cell, scene: Scene, mailbox: Mailbox) -> object:
    """Do the job once more."""
    job, _ = JOBS[cell.stage]
    try:
        return job(mailbox, scene)
    except EmailError as exc:  # the server was still doing it for the session that broke
        if not exc.retryable:
            raise
        return job(mailbox, scene)
