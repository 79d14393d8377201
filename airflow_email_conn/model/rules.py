"""Criteria that have a form of their own: header fields by name, and the rules of `deny` and `allow`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from airflow_email_conn.errors import QueryError
from airflow_email_conn.model.criteria import (
    MAX_VALUES,
    TextFilter,
    Texts,
    plain_text,
    read_regex,
    read_texts,
)

__all__ = ["HeaderFilter", "HeaderRule", "Rule", "RuleFilter", "read_headers", "read_rules"]

HeaderFilter: TypeAlias = "Mapping[str, TextFilter | bool] | Iterable[HeaderRule] | None"
RuleFilter: TypeAlias = "Mapping[str, Any] | Rule | Iterable[Mapping[str, Any] | Rule] | None"

_MAX_HEADERS = 50  # fields of one query; each is read with every mail
# Atoms of every protocol: names that need quoting (RFC 5322 3.6.8 allows them) are not seen in mail.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_RULE_KEYS = ("sender", "subject")


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What a query asks of one header field.

    :param values: any of which the field must equal (texts) or hold (patterns).
    :param present: True: it must be there, False: it must be missing or empty; None asks nothing.
    """

    name: str
    values: Texts = ()
    present: bool | None = None

    @property
    def asks(self) -> bool:
        """Whether it asks anything; else the field is only to be read."""
        return bool(self.values) or self.present is not None

    def plain(self) -> Any:
        """The value in JSON."""
        return [plain_text(value) for value in self.values] or self.present


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of `deny` or `allow`: every pattern that it has must be found."""

    sender: re.Pattern[str] | None = None
    subject: re.Pattern[str] | None = None

    def plain(self) -> dict[str, Any]:
        """The rule in JSON: a text is a regular expression here."""
        patterns = {key: plain_text(getattr(self, key)) for key in _RULE_KEYS if getattr(self, key)}
        return {key: value["regex"] if len(value) == 1 else value for key, value in patterns.items()}


def read_headers(field: str, value: object) -> tuple[HeaderRule, ...]:
    """Header names and what is asked of each; none means that the criterion is not set.

    :raises QueryError: not a mapping, an impossible name, one name twice, or a value that no text can be.
    """
    if value is None:
        return ()
    rules = tuple(_header_rules(field, value))
    if not rules:
        raise QueryError(f"{field}: an empty mapping asks nothing; leave it out (None)")
    if len(rules) > _MAX_HEADERS:
        raise QueryError(f"{field}: more than {_MAX_HEADERS} fields")
    if len({rule.name.lower() for rule in rules}) < len(rules):
        raise QueryError(f"{field}: one name twice; give a list of values instead")
    return rules


def _header_rules(field: str, value: object) -> Iterable[HeaderRule]:
    if isinstance(value, Mapping):
        return [_header_rule(field, name, wanted) for name, wanted in value.items()]
    if isinstance(value, tuple) and all(isinstance(item, HeaderRule) for item in value):
        return value
    raise QueryError(f'{field}: a mapping such as {{"List-Id": "..."}}, not {type(value).__name__}')


def _header_rule(field: str, name: object, wanted: Any) -> HeaderRule:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise QueryError(f"{field}: {name!r:.80} is not a name; letters, digits, '-', '_' and '.' can be")
    if wanted is None or isinstance(wanted, bool):
        return HeaderRule(name, (), wanted)
    return HeaderRule(name, read_texts(f"{field} {name}", wanted))


def read_rules(field: str, value: object) -> tuple[Rule, ...]:
    """Rules in order; none means that the list is not set.

    :raises QueryError: an empty list, a key that is neither sender nor subject, a bad pattern.
    """
    if value is None:
        return ()
    listed = [value] if isinstance(value, Mapping | Rule) else value
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise QueryError(
            f'{field}: a list of rules such as [{{"subject": "^out of office"}}], not {type(value).__name__}'
        )
    rules = tuple(_rule(f"{field}[{number}]", item) for number, item in enumerate(listed))
    if not rules:
        raise QueryError(f"{field}: an empty list; leave it out (None)")
    if len(rules) > MAX_VALUES:
        raise QueryError(f"{field}: more than {MAX_VALUES} rules")
    return rules


def _rule(field: str, value: object) -> Rule:
    if isinstance(value, Rule):
        return value
    unknown = set(value) - set(_RULE_KEYS) if isinstance(value, Mapping) else set()
    if not isinstance(value, Mapping) or not value or unknown:
        wrong = f", and none of {min(map(repr, unknown)):.40}" if unknown else ""
        raise QueryError(
            f'{field}: a rule is {{"sender": "<regex>"}} or {{"subject": "<regex>"}}, or has both keys{wrong}'
        )
    return Rule(**{key: read_regex(f"{field} {key}", pattern) for key, pattern in value.items()})
