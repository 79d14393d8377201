"""``$filter`` of OData 4, as much of it as Exchange takes for messages and folders."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.servers.graph.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Filter", "parse_filter"]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<number>-?\d+)|(?P<name>[A-Za-z_][\w/]*)|(?P<mark>[(),:]))"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left is not None and left > right,
    "ge": lambda left, right: left is not None and left >= right,
    "lt": lambda left, right: left is not None and left < right,
    "le": lambda left, right: left is not None and left <= right,
}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
    "contains": lambda text, part: part in text,
}
_CONSTANTS = {"true": True, "false": False, "null": None}


class Filter(NamedTuple):
    """What a filter says.

    :param names: its properties, in the order in which they stand there.
    """

    matches: Callable[[Any], bool]
    names: list[str]


class _Mark(NamedTuple):
    kind: str
    text: str


def parse_filter(text: str, properties: Mapping[str, Callable[[Any], Any]]) -> Filter:
    """Read a filter.

    :param properties: how to get each property that can be filtered on.
    :raises GraphError: 400; the filter is none, or has other properties.
    """
    parser = _Parser(_tokens(text), properties)
    matches = parser.disjunction()
    parser.end()
    return Filter(matches, parser.names)


def _tokens(text: str) -> list[_Mark]:
    found, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match or match.lastgroup is None:
            raise _wrong(f"Syntax error at position {position}")
        found.append(_Mark(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def _wrong(why: str) -> Exception:
    return bad_request(
        "ErrorInvalidUrlQueryFilter", f"The query filter contains one or more invalid nodes. {why}"
    )


class _Parser:
    """Recursive descent: or, and, not, then a comparison, a function, a lambda or parentheses."""

    def __init__(self, tokens: list[_Mark], properties: Mapping[str, Callable[[Any], Any]]) -> None:
        self._tokens = tokens
        self._properties = properties
        self._at = 0
        self.names: list[str] = []

    def disjunction(self) -> Callable[[Any], bool]:
        """``a or b``."""
        parts = [self._conjunction()]
        while self._takes("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else lambda item: any(part(item) for part in parts)

    def _conjunction(self) -> Callable[[Any], bool]:
        parts = [self._term()]
        while self._takes("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda item: all(part(item) for part in parts)

    def _term(self) -> Callable[[Any], bool]:
        if self._takes("not"):
            inner = self._term()
            return lambda item: not inner(item)
        if self._takes("("):
            inside = self.disjunction()
            self._expect(")")
            return inside
        token = self._next()
        if token.text.lower() in _FUNCTIONS and self._peek() == "(":
            return self._function(_FUNCTIONS[token.text.lower()])
        if token.kind == "name" and token.text.endswith("/any"):
            return self._lambda(token.text.removesuffix("/any"))
        return self._comparison(token)

    def _comparison(self, token: _Mark) -> Callable[[Any], bool]:
        get = self._property(token)
        operator = self._next().text
        if operator not in _COMPARISONS:
            raise _wrong(f"Unknown operator {operator}")
        compare, value = _COMPARISONS[operator], self._value()
        return lambda item: compare(get(item), value)

    def _function(self, holds: Callable[[str, str], bool]) -> Callable[[Any], bool]:
        self._expect("(")
        get = self._property(self._next())
        self._expect(",")
        value = self._value()
        self._expect(")")
        return lambda item: holds(get(item) or "", value)

    def _lambda(self, name: str) -> Callable[[Any], bool]:
        """``categories/any(c:c eq 'red')``."""
        get = self._property(_Mark("name", name))
        self._expect("(")
        variable = self._next().text
        self._expect(":")
        self._expect(variable)
        self._expect("eq")
        value = self._value()
        self._expect(")")
        return lambda item: value in get(item)

    def _property(self, token: _Mark) -> Callable[[Any], Any]:
        if token.kind != "name" or token.text not in self._properties:
            raise _wrong(f"The property '{token.text}' is not supported for filter.")
        if token.text not in self.names:
            self.names.append(token.text)
        return self._properties[token.text]

    def _value(self) -> Any:
        token = self._next()
        if token.kind == "text":
            return token.text[1:-1].replace("''", "'").casefold()
        if token.kind == "time":
            return _time(token.text)
        if token.kind == "number":
            return int(token.text)
        if token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        raise _wrong(f"Unknown value {token.text}")

    def _peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _next(self) -> _Mark:
        if self._at >= len(self._tokens):
            raise _wrong("It ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, text: str) -> bool:
        if self._peek() != text or self._tokens[self._at].kind == "text":
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise _wrong(f"'{text}' expected")

    def end(self) -> None:
        """Nothing may follow."""
        if self._at < len(self._tokens):
            raise _wrong(f"Unexpected '{self._peek()}'")


def _time(text: str) -> datetime:
    try:  # Python 3.10 reads neither Z nor fractions of any length
        head, _, fraction = text.removesuffix("Z").partition(".")
        zone = "" if text.endswith("Z") or "+" not in head else head[-6:]
        value = datetime.fromisoformat(head if zone else f"{head}+00:00")
        return value.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0).astimezone(
            timezone.utc
        )
    except ValueError:
        raise _wrong(f"{text} is no time") from None
