"""The criteria that a query sets, as checks of one mail.

What matches and what is explained come from the same table, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_email_conn.model import predicates, reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_email_conn.model.message import MailSummary

__all__ = ["ON_ATTACHMENTS", "Check", "Explanation", "checks_of", "explained", "hold"]

# Criteria that need the list of attachments.
ON_ATTACHMENTS = frozenset({"has_attachments", "attachment", "attachment_type"})

# In the order in which a mail is explained; attachments by name and type, which are one check, come last.
_TABLE: dict[str, tuple[Callable[[Any, MailSummary], bool], Callable[[Any, MailSummary], str]]] = {
    "deny": (predicates.deny, reasons.deny),
    "allow": (predicates.allow, reasons.allow),
    "sender": (predicates.sender, reasons.sender),
    "recipient": (predicates.recipient, reasons.recipient),
    "subject": (predicates.subject, reasons.subject),
    "message_id": (predicates.message_id, reasons.message_id),
    "in_reply_to": (predicates.in_reply_to, reasons.in_reply_to),
    "header": (predicates.header, reasons.header),
    "unseen": (predicates.unseen, reasons.unseen),
    "flagged": (predicates.flagged, reasons.flagged),
    "answered": (predicates.answered, reasons.answered),
    "since": (predicates.since, reasons.since),
    "before": (predicates.before, reasons.before),
    "larger_than": (predicates.larger_than, reasons.larger_than),
    "smaller_than": (predicates.smaller_than, reasons.smaller_than),
    "has_attachments": (predicates.has_attachments, reasons.has_attachments),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a mail is taken or not.

    :param reason: one printable line; what it quotes of the mail is cut.
    :param criterion: the filter that decided; empty when a mail is taken because it fulfils them all.
    """

    taken: bool
    reason: str
    criterion: str = ""


class Check(NamedTuple):
    """One criterion that is set.

    :param holds: of the wanted value and a mail: whether it fulfils the criterion.
    :param missed: of the same: what to say when it does not.
    """

    criterion: str
    wanted: Any
    holds: Callable[[Any, MailSummary], bool]
    missed: Callable[[Any, MailSummary], str]


def checks_of(criteria: dict[str, Any]) -> tuple[Check, ...]:
    """The checks of the criteria that are set, in the order of the table.

    :param criteria: name to value as read; None when not set.
    """
    found = [Check(name, criteria[name], *_TABLE[name]) for name in _TABLE if criteria[name] is not None]
    files = (criteria["attachment"] or (), criteria["attachment_type"] or ())
    if any(files):
        criterion = "attachment" if files[0] else "attachment_type"
        found.append(Check(criterion, files, predicates.attachment, reasons.attachment))
    return tuple(found)


def hold(checks: Iterable[Check], mail: MailSummary) -> bool:
    """Whether a mail fulfils every check."""
    # A loop, since it runs for every mail: `all` would cost a generator each time.
    for check in checks:  # noqa: SIM110
        if not check.holds(check.wanted, mail):
            return False
    return True


def explained(checks: Iterable[Check], mail: MailSummary) -> Explanation:
    """What the first check that fails says; or that the mail is taken, and by which rule of `allow`."""
    taken = Explanation(taken=True, reason="every criterion is fulfilled")
    for check in checks:
        if not check.holds(check.wanted, mail):
            return Explanation(
                taken=False, reason=check.missed(check.wanted, mail), criterion=check.criterion
            )
        if check.criterion == "allow":
            rule = reasons.fitting_rule("allow", check.wanted, mail)
            taken = Explanation(taken=True, reason=rule, criterion="allow")
    return taken
