"""Address headers: tolerant of mess, never fooled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.model.message import Address
from airflow_email_conn.wire.mime import addresses
from airflow_email_conn.wire.mime.addresses import parse_addresses

USUAL = (
    "a@b.org",
    "<a@b.org>",
    "Ada <a@b.org>",
    "Ada   Countess\tof Lovelace<a@b.org>",
    '"Love, Ada" <a@b.org>',
    '"" <a@b.org>',
    '" " <a@b.org> ',
    "=?utf-8?q?J=C3=B6rg?= <j+x@b-c.org>",
    '"=?utf-8?q?a=2C?= =?utf-8?q?b?=" <a.b@c.d.org>',
    "=?utf-8?q?a=2C?= =?utf-8?q?b?= <a_b@c>",
    "Jörg <j@b.org>",
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("a@b.org", [("a@b.org", "")]),
        ("<a@b.org>", [("a@b.org", "")]),
        ("Ada <a@b.org>", [("a@b.org", "Ada")]),
        ('"Love, Ada" <a@b.org>, bob@c.org', [("a@b.org", "Love, Ada"), ("bob@c.org", "")]),
        (r'"A \"B\" C" <a@b.org>', [("a@b.org", 'A "B" C')]),
        ("a@b.org (Ada)", [("a@b.org", "Ada")]),
        ("a@b.org (Ada (née Byron))", [("a@b.org", "Ada (née Byron)")]),
        ("a(x)@(y)b.org", [("a@b.org", "x")]),
        ("a @ b.org", [("a@b.org", "")]),
        ("Ada Countess of <a@b.org> (her)", [("a@b.org", "Ada Countess of")]),
        ('"a b"@c.org', [('"a b"@c.org', "")]),
        ("a@[192.0.2.1]", [("a@[192.0.2.1]", "")]),
        ("<@x.org,@y.org:a@b.org>", [("a@b.org", "")]),
        (
            "Team: a@b.org, Bob <bob@c.org>;, d@e.org",
            [("a@b.org", ""), ("bob@c.org", "Bob"), ("d@e.org", "")],
        ),
        ("undisclosed-recipients:;", []),
        (",, a@b.org ,", [("a@b.org", "")]),
        ("=?utf-8?q?J=C3=B6rg?= <j@b.org>", [("j@b.org", "Jörg")]),
        ('"=?utf-8?q?J=C3=B6rg?=" <j@b.org>', [("j@b.org", "Jörg")]),
        ("=?utf-8?q?Doe,_John?= <j@b.org>", [("j@b.org", "Doe, John")]),
        ("Jörg <jörg@exämple.org>", [("jörg@exämple.org", "Jörg")]),
        ('"a@b.org" <c@d.org>', [("c@d.org", "a@b.org")]),
        ("a@b.org <c@d.org>", [("c@d.org", "a@b.org")]),
        ("MAILER-DAEMON <>", [("", "MAILER-DAEMON")]),
        ("just words", [("", "just words")]),
        ("<>", []),
        (")", []),
    ],
)
def test_addresses_are_read(value: str, expected: list[tuple[str, str]]) -> None:
    """The forms of RFC 5322 3.4 and 4.4, and the usual mistakes."""
    assert parse_addresses(value.encode()) == tuple(Address(*pair) for pair in expected)


@pytest.mark.parametrize(
    "value",
    [
        "alice@example.org)bob@evil.example",
        "alice@example.org bob@evil.example",
        "alice@example.org(x)bob",
        "<alice@example.org",
        "<alice@example.org> <bob@evil.example>",
        "<alice@example.org> bob@evil.example",
        "<alice@example.org@evil.example>",
        "alice@example.org@evil.example",
        "<<alice@example.org>",
        "Alice alice@example.org",
        "=?utf-8?q?alice=40example=2Eorg?=",
        "=?utf-8?q?=3Calice=40example=2Eorg=3E?=",
        "=?utf-8?q?x?=alice@example.org",
        '"alice@example.org',
        "(alice@example.org",
        "alice@",
        "@example.org",
        "<@example.org>",
        "alice@ex\x01ample.org",
        'alice@"example.org"',
        "<Alice: alice@example.org>",
    ],
)
def test_what_is_ambiguous_gives_no_address(value: str) -> None:
    """CVE-2023-27043 and its kin: readable as a name, useless to fool a filter."""
    assert [address.email for address in parse_addresses(value.encode())] in ([""], [])


def test_what_stands_before_a_colon_is_no_address() -> None:
    """A group's name must not pass for the sender."""
    found = parse_addresses(b"alice@example.org: bob@evil.example;")
    assert [address.email for address in found] == ["", "bob@evil.example"]


def test_an_encoded_comma_makes_no_second_address() -> None:
    """Names are decoded after the header was cut."""
    found = parse_addresses(b"=?utf-8?q?boss=40example=2Eorg=2C_x?= <x@evil.example>")
    assert found == (Address("x@evil.example", "boss@example.org, x"),)


@pytest.mark.parametrize(
    "value", [b"(" * 1000, b"(" * 1000 + b")" * 1000 + b" a@b.org", b'"' * 5001, b"<@" * 5000]
)
def test_nesting_is_no_recursion(value: bytes) -> None:
    """The standard library raises RecursionError on the first."""
    parse_addresses(value)


def test_limits() -> None:
    """Number of addresses, bytes of the header, tokens of one mailbox."""
    assert len(parse_addresses(b"a@b," * (addresses.MAX_ADDRESSES + 5))) == addresses.MAX_ADDRESSES
    long = b"a@b.org, " + b"x" * addresses.MAX_ADDRESS_BYTES + b"@b.org.evil"
    assert parse_addresses(long) == (Address("a@b.org"),)
    assert [a.email for a in parse_addresses(b"(x) " * 5000 + b"<a@b.org>")] == [""]
    assert [a.email for a in parse_addresses(b'"' + b"\\x" * 5000 + b'" <a@b.org>')] == [""]


@given(st.binary() | st.text(alphabet='ab@.<>()",:;[]\\ =?q', max_size=40).map(str.encode))
def test_any_bytes_give_addresses_without_line_ends(value: bytes) -> None:
    """Never raises; emails have exactly one unquoted @ and no white space outside of quotes."""
    for address in parse_addresses(value):
        if '"' not in address.email:
            assert address.email.count("@") == (1 if address.email else 0)
            assert len(address.email.split()) <= 1
        assert not set(address.name) & set("\0\r\n")


@given(st.lists(st.sampled_from(USUAL), min_size=1), st.sampled_from([",", ", ", " ,\t"]))
def test_usual_addresses_are_read_as_among_odd_ones(mailboxes: list[str], comma: str) -> None:
    """They are read a shorter way; the comment behind them takes the long one."""
    value = comma.join(mailboxes).encode()
    assert parse_addresses(value) == parse_addresses(value + b", ()")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1), min_size=1
    )
)
def test_names_in_quotes_come_back(names: list[str]) -> None:
    """Whatever a quoted name holds."""
    names = [name for name in names if "=?" not in name]
    quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in names]
    value = ", ".join(f'"{name}" <u{i}@b.org>' for i, name in enumerate(quoted)).encode()
    assert parse_addresses(value) == tuple(Address(f"u{i}@b.org", name) for i, name in enumerate(names))
