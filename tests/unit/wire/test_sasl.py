"""What the sign-in mechanisms send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.wire import sasl

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def test_plain_is_the_example_of_the_standard() -> None:
    """RFC 4616 4, its first example."""
    assert sasl.plain("tim", "tanstaaftanstaaf") == b"\0tim\0tanstaaftanstaaf"


@given(TEXT, TEXT)
def test_plain_carries_any_text(user: str, secret: str) -> None:
    """User and secret come out again, as UTF-8."""
    assert sasl.plain(user, secret).split(b"\0") == [b"", user.encode(), secret.encode()]
    assert sasl.login(user, secret) == (user.encode(), secret.encode())


@pytest.mark.parametrize("build", [sasl.plain, sasl.login])
@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800"])
def test_what_no_sign_in_can_carry(build: object, bad: str) -> None:
    """It is refused, by its field, and without showing the other one or itself."""
    assert callable(build)
    with pytest.raises(SettingsError, match=r"^user: "):
        build(bad, "hunter2")
    with pytest.raises(SettingsError, match=r"^secret: ") as caught:
        build("tim", bad and f"hunter2{bad}")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("kind", "offered", "chosen"),
    [
        ("secret", {"LOGIN", "PLAIN", "CRAM-MD5"}, "PLAIN"),
        ("secret", {"LOGIN", "XOAUTH2"}, "LOGIN"),
        ("secret", {"GSSAPI", "XOAUTH2"}, None),
        ("secret", set(), None),
        ("bearer", {"PLAIN", "XOAUTH2", "OAUTHBEARER"}, "OAUTHBEARER"),
        ("bearer", {"PLAIN", "XOAUTH2"}, "XOAUTH2"),
        ("bearer", {"PLAIN", "LOGIN"}, None),
    ],
)
def test_choice(kind: str, offered: set[str], chosen: str | None) -> None:
    """One mechanism, the better one, and never one of another kind of credential."""
    assert sasl.choose(kind, offered) == chosen


def test_forms_in_which_a_server_could_echo_a_secret() -> None:
    """As it is, as IMAP's LOGIN quotes it (RFC 9051 4.3), and in base64."""
    assert set(sasl.hidden_forms(rb'a"b\c')) == {'a"b\\c', r"a\"b\\c", "YSJiXGM="}
