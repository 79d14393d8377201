"""The pure parts of IMAP: names, sets, values, searches, answers."""

from __future__ import annotations

import locale
import tracemalloc
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import ProtocolError, QueryError
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.wire.imap import answers, commands, fetch, grammar, servers, sets, utf7
from airflow_email_conn.wire.imap.commands import Literal
from airflow_email_conn.wire.imap.engine import Data, Status
from airflow_email_conn.wire.imap.search import search_keys

# ------------------------------------------------------------ folder names


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", "INBOX"),
        ("R&D", "R&-D"),
        ("Entwürfe", "Entw&APw-rfe"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 5.1.3
        ("☺!", "&Jjo-!"),
        ("😀", "&2D3eAA-"),
        ("a\tb", "a&AAk-b"),
    ],
)
def test_modified_utf7(name: str, wire: str) -> None:
    """Known names both ways."""
    assert utf7.encode(name) == wire
    assert utf7.decode(wire) == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_modified_utf7_round_trip(name: str) -> None:
    """Any name comes back, as printable ASCII on the way."""
    wire = utf7.encode(name)
    assert wire.isascii()
    assert wire.isprintable() or not wire
    assert utf7.decode(wire) == name


@pytest.mark.parametrize("wire", ["a&b", "&!!!-", "&AGE-", "&2D0-", "&"])
def test_what_is_not_modified_utf7_stays(wire: str) -> None:
    """A name that would not lead back to the folder is shown as it is."""
    assert utf7.decode(wire) == wire


# ------------------------------------------------------------ sets


@given(st.sets(st.integers(1, 5000), min_size=1))
def test_sets_round_trip(uids: set[int]) -> None:
    """Compressed and chunked sets name the same UIDs."""
    found: list[int] = []
    for text in sets.format_sets(uids):
        assert len(text) <= 4000
        found += sets.parse_set(text.encode())
    assert found == sorted(uids)


def test_sets_are_compressed() -> None:
    """100,000 neighbours take a few octets, the worst case few lines."""
    assert list(sets.format_sets(range(1, 100_001))) == ["1:100000"]
    assert list(sets.format_sets([9, 1, 2, 3])) == ["1:3,9"]
    assert list(sets.format_sets([])) == []
    assert len(list(sets.format_sets(range(1, 100_000, 2)))) < 90


@pytest.mark.parametrize("text", [b"", b"a", b"1:", b"0", b"1:4294967295", b"1,,2", b"*"])
def test_bad_sets_are_refused(text: bytes) -> None:
    """Hostile ranges cost nothing."""
    with pytest.raises(ProtocolError):
        sets.parse_set(text)


# ------------------------------------------------------------ grammar


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b'(UID 7 FLAGS (\\Seen $x) X NIL "a b" "q\\"\\\\")', [[b"UID", b"7", b"FLAGS", [b"\\Seen", b"$x"],
                                                              b"X", None, b"a b", b'q"\\']]),
        (b"BODY[HEADER.FIELDS (FROM TO)]<0> x", [b"BODY[HEADER.FIELDS (FROM TO)]<0>", b"x"]),
        (b"", []),
        (b"()", [[]]),
        (b'"NIL" nil', [b"NIL", None]),
        (b"(a)(b)", [[b"a"], [b"b"]]),
    ],
)  # fmt: skip
def test_grammar(text: bytes, values: list[Any]) -> None:
    """Atoms, strings, NIL, lists, sections."""
    assert grammar.parse([text]) == values


def test_grammar_takes_literals_in_place() -> None:
    """A literal is one value, whatever is in it."""
    assert grammar.parse([b"(BODY[] ", b"a) (b", b" UID 1)"]) == [[b"BODY[]", b"a) (b", b"UID", b"1"]]


def test_grammar_survives_depth_and_refuses_imbalance() -> None:
    """Ten thousand parentheses are no reason to fall over."""
    deep: Any = grammar.parse([b"(" * 10_000 + b")" * 10_000])
    depth = 0
    while deep:
        deep, depth = deep[0], depth + 1
    assert depth <= 201
    for text in (b"(", b")", b"(()"):
        with pytest.raises(ProtocolError):
            grammar.parse([text])


@pytest.mark.parametrize("piece", [b"(", b"(a ", b"()", b"(" * 300 + b"a" + b")" * 300])
def test_what_lies_too_deep_costs_little(piece: bytes) -> None:
    """A list was held for each parenthesis, which took 75 bytes."""
    text = b"(" * 300 + piece * (1_000_000 // len(piece))
    tracemalloc.start()
    with suppress(ProtocolError):
        grammar.parse([text])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * len(text)


@pytest.mark.parametrize("text", [b'"', b'"a', b'"a\\"', b'("a" "b)', b'("a"b" )'])
def test_grammar_refuses_a_string_without_end(text: bytes) -> None:
    """Nobody knows what belongs to it."""
    with pytest.raises(ProtocolError, match="string that does not end"):
        grammar.parse([text])


@pytest.mark.parametrize("text", [b"x" * 30, b"x" * 30 + b'\\"', b'\\"'])
def test_a_long_string_costs_little(text: bytes) -> None:
    """With an end and without: 200 bytes for each octet of it were held, and 32 MB may come."""
    long = text * (1_000_000 // len(text))
    tracemalloc.start()
    for quoted in (b'("%b" NIL)' % long, b'("%b' % long):
        with suppress(ProtocolError):
            grammar.parse([quoted])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(long)


@pytest.mark.parametrize(
    "piece", [b'("' + b'\\"' * 200_000, b"a[" * 200_000, b'"' * 400_001, b"[ " * 200_000]
)
def test_grammar_is_linear(piece: bytes) -> None:
    """No deadline applies to the processor: a quadratic pattern would take hours here."""
    with suppress(ProtocolError):
        grammar.parse([piece])


@given(st.binary(max_size=200))
def test_grammar_never_raises_anything_else(text: bytes) -> None:
    """Any text is parsed or refused."""
    with suppress(ProtocolError):
        grammar.parse([text])


# ------------------------------------------------------------ search


def keys(**filters: Any) -> bytes:
    """Search keys as one line, literals in angle brackets."""
    return b" ".join(
        key if isinstance(key, bytes) else b"<" + key.data + b">" for key in search_keys(MailQuery(**filters))
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, b"ALL"),
        ({"sender": "@acme.com"}, b'FROM "@acme.com"'),
        ({"sender": ["a@b.c", "@d.e", "f@g.h"]}, b'OR OR FROM "a@b.c" FROM "@d.e" FROM "f@g.h"'),
        ({"recipient": "a@b.c"}, b'OR TO "a@b.c" CC "a@b.c"'),
        ({"subject": "märz"}, "SUBJECT <märz>".encode()),
        ({"subject": "the yearly report"}, b'SUBJECT "the" SUBJECT "yearly" SUBJECT "report"'),
        ({"subject": "a\tb" + " c" * 100}, b" ".join([b'SUBJECT "a" SUBJECT "b"', *[b'SUBJECT "c"'] * 18])),
        ({"subject": ["the report", "a"]}, b'OR SUBJECT "report" SUBJECT "a"'),
        ({"subject": {"regex": "x"}}, b"ALL"),
        ({"subject": ["a", {"regex": "x"}]}, b"ALL"),
        ({"unseen": True, "flagged": False}, b"UNSEEN UNFLAGGED"),
        ({"since": "2026-03-01"}, b"SINCE 28-Feb-2026"),
        ({"before": "2026-12-31T23:00:00-05:00"}, b"BEFORE 3-Jan-2027"),
        ({"larger_than": "10", "smaller_than": 20}, b"LARGER 10 SMALLER 20"),
        ({"message_id": "<a@b>"}, b'HEADER MESSAGE-ID "a@b"'),
        ({"in_reply_to": "<a@b>"}, b'HEADER IN-REPLY-TO "a@b"'),
        ({"answered": True}, b"ANSWERED"),
        ({"answered": False}, b"UNANSWERED"),
        ({"header": {"X-Kind": "in"}}, b'HEADER "X-Kind" "in"'),
        ({"header": {"X-Kind": " the yearly report"}}, b'HEADER "X-Kind" "yearly"'),  # lines are folded
        ({"header": {"X-Kind": ["a", "b"]}}, b'OR HEADER "X-Kind" "a" HEADER "X-Kind" "b"'),
        ({"header": {"X-Kind": ["a", "ä"]}}, b'HEADER "X-Kind" ""'),
        ({"header": {"X-Kind": {"regex": "a"}}}, b'HEADER "X-Kind" ""'),
        ({"header": {"X-A": True, "X-B": False, "X-C": None}}, b'HEADER "X-A" ""'),
        ({"header": {"X-Kind": ["a"] * 51}}, b'HEADER "X-Kind" ""'),
        ({"deny": {"subject": "a"}, "allow": {"sender": "b"}}, b"ALL"),
        ({"attachment": "*.csv", "attachment_type": "text/csv"}, b"ALL"),
        ({"raw": " KEYWORD $Invoice ", "unseen": True}, b"UNSEEN KEYWORD $Invoice"),
    ],
)
def test_search_keys(filters: dict[str, Any], expected: bytes) -> None:
    """Each criterion in IMAP's words."""
    assert keys(**filters) == expected


VALUES = st.lists(st.sampled_from(["a", "b@c", "ä@b", "ä", "a b"]), min_size=1, max_size=3)


@given(st.dictionaries(st.sampled_from(["subject", "message_id", "in_reply_to"]), VALUES), VALUES)
def test_narrower_servers_are_asked_for_more(filters: dict[str, Any], kinds: list[str]) -> None:
    """What is left out for a server that takes no UTF-8 (BADCHARSET) only makes the search wider."""
    query = MailQuery(header={"X-Kind": kinds}, unseen=True, **filters)
    every, ascii_only = search_keys(query), search_keys(query, ascii_only=True)
    assert not any(isinstance(part, Literal) for part in ascii_only)
    left_out = [name for name, values in filters.items() if any(not value.isascii() for value in values)]
    kept = {name: values for name, values in filters.items() if name not in left_out}
    assert ascii_only == search_keys(MailQuery(header={"X-Kind": kinds}, unseen=True, **kept))
    assert left_out or ascii_only == every


def test_months_are_english() -> None:
    """Whatever the locale: IMAP knows no other names (RFC 9051 9: date-month)."""
    english = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]  # fmt: skip
    before = locale.setlocale(locale.LC_ALL)
    try:
        for name in (before, "de_DE.UTF-8", "fr_FR.UTF-8"):
            with suppress(locale.Error):  # not every machine has them
                locale.setlocale(locale.LC_ALL, name)
            for number, month in enumerate(english, 1):
                when = datetime(2026, number, 15, tzinfo=timezone.utc)
                assert keys(since=when) == f"SINCE 14-{month}-2026".encode()
                assert fetch.received({b"INTERNALDATE": f"15-{month}-2026 00:00:00 +0000".encode()}) == when
    finally:
        locale.setlocale(locale.LC_ALL, before)


def test_summaries_ask_for_known_names_once() -> None:
    """More header fields, none twice, and none that could end the command."""
    items = fetch.summary_items(["X-Kind", "subject"])
    assert items.endswith(b" X-KIND)])")
    assert items.count(b"SUBJECT") == 1
    for name in ("X A", "a)", "a\r\nb", "", '"a"', "{3}"):
        with pytest.raises(QueryError, match="header"):
            fetch.summary_items([name])


def test_days_are_wide_enough_everywhere() -> None:
    """SINCE and BEFORE of the server's own zone, UTC-12 to UTC+14, must contain the moment."""
    moment = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)
    for hours in range(-12, 15):
        local = moment.astimezone(timezone(timedelta(hours=hours))).date()
        assert keys(since=moment) == b"SINCE 13-Mar-2026"
        assert keys(before=moment) == b"BEFORE 16-Mar-2026"
        assert datetime(2026, 3, 13).date() <= local < datetime(2026, 3, 16).date()  # noqa: DTZ001 - dates only


@pytest.mark.parametrize("raw", ["é", "TEXT {3}", "TEXT {3+}"])
def test_raw_that_would_break_the_line_is_refused(raw: str) -> None:
    """Nothing that makes the server wait for octets that never come."""
    with pytest.raises(QueryError, match="raw"):
        keys(raw=raw)


@given(st.text(max_size=30))
def test_string_arguments_stay_one_argument(text: str) -> None:
    """Quoted and unquoted again, or a literal, or refused: never a line end."""
    try:
        part = commands.string(text, "subject")
    except QueryError:
        return
    if isinstance(part, bytes):
        assert grammar.parse([part]) == [text.encode()]
        assert b"\r" not in part
        assert b"\n" not in part
    else:
        assert part.data.decode() == text


# ------------------------------------------------------------ answers


def data(line: bytes) -> Data:
    """An untagged answer without literals."""
    kind, _, rest = line.partition(b" ")
    return Data(kind.decode(), None, (rest,))


def test_found_uids() -> None:
    """Old and new style, split over answers, repeated, with extras."""
    assert answers.found_uids([data(b"SEARCH 3 1"), data(b"SEARCH 2 (MODSEQ 9)"), data(b"EXISTS 5")]) == [
        1,
        2,
        3,
    ]
    assert answers.found_uids([data(b'ESEARCH (TAG "A1") UID ALL 5:7,2')]) == [2, 5, 6, 7]
    assert answers.found_uids([data(b'ESEARCH (TAG "A1") UID')]) == []
    assert answers.found_uids([data(b"SEARCH")]) == []
    with pytest.raises(ProtocolError):
        answers.found_uids([data(b"SEARCH 1 x")])


def test_listed_folders() -> None:
    """Names, flat namespaces, special use in any case of letters, folders that hold no mail."""
    assert answers.listed_folder(data(b'LIST (\\HasNoChildren \\sent) "." "Gesendet &APw-"')) == (
        "Gesendet ü",
        ".",
        "\\Sent",
        True,
    )
    assert answers.listed_folder(data(b"LIST (\\Noselect) NIL x")) == ("x", "", "", False)
    assert answers.listed_folder(data(b"LIST")) is None


def test_copied() -> None:
    """COPYUID maps old to new, in the server's order."""
    statuses = [Status("*", "OK", "COPYUID", b"99 3,5:6 10:12"), Status("A1", "OK", "READ-WRITE")]
    assert answers.copied(statuses) == ("99", {3: 10, 5: 11, 6: 12})
    assert answers.copied([Status("A1", "OK")]) == ("", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=timezone.utc)),
        (b" 1-Jan-2026 00:00:00 +1400", datetime(2025, 12, 31, 10, tzinfo=timezone.utc)),
        (b"31-Foo-2026 00:00:00 +0000", None),
        (b"", None),
        (b"99-Jan-2026 00:00:00 +0000", None),
    ],
)
def test_internal_dates(text: bytes, expected: datetime | None) -> None:
    """With their zone, in English, or not at all."""
    assert fetch.received({b"INTERNALDATE": text}) == expected


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("status", "name", "retryable"),
    [
        (
            Status("A1", "NO", "AUTHENTICATIONFAILED", b"", "Authentication failed."),
            "AuthenticationError",
            False,
        ),
        (Status("A1", "NO", "", b"", "LOGIN failed."), "AuthenticationError", False),
        (Status("A1", "NO", "UNAVAILABLE", b"", "later"), "UnavailableError", True),
        (Status("A1", "NO", "LIMIT", b"", "Maximum number of connections"), "UnavailableError", True),
        (Status("A1", "BAD", "", b"", "User is authenticated but not connected."), "UnavailableError", True),
        (
            Status("A1", "NO", "", b"", "Request is throttled. Suggested Backoff Time: 299961 milliseconds"),
            "UnavailableError",
            True,
        ),
    ],
)
def test_refused_sign_ins(status: Status, name: str, retryable: bool) -> None:
    """What a later try may heal, and what locks the account when tried again."""
    error = servers.sign_in_refusal("ann@acme.com", status)
    assert type(error).__name__ == name
    assert error.retryable is retryable


@pytest.mark.parametrize("code", ["AUTHENTICATIONFAILED", "UNAVAILABLE"])
def test_refused_sign_ins_name_the_user(code: str) -> None:
    """As it was entered: Exchange's users have a backslash, which is not doubled."""
    error = servers.sign_in_refusal("CORP\\robot", Status("A1", "NO", code, b"", ""))
    assert "sign-in of 'CORP\\robot'" in error.message
    assert "\n" not in servers.sign_in_refusal("a\nb", Status("A1", "NO", code, b"", "")).message
