"""Macros in connection fields."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.model.macros import MAX_LENGTH, expand

ENVIRON = {"HOST": "mx.example.com", "_A1": "${HOST}", "EMPTY": "", "DB_PASSWORD": "hunter2", "BAD": "a\r\nb"}


def macro(text: str, allowed: tuple[str, ...] = ()) -> str:
    """`text`, expanded."""
    return expand(text, field="Incoming host (host)", environ=ENVIRON, allowed=allowed)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", ""),
        ("plain $HOST } {", "plain $HOST } {"),
        ("${HOST}", "mx.example.com"),
        ("a${HOST}b${env:HOST}c", "amx.example.combmx.example.comc"),
        ("${NONE:-x.y}", "x.y"),
        ("${env:NONE:-x:-y}", "x:-y"),
        ("${NONE:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-x}", "x"),
        ("${HOST:-x}", "mx.example.com"),
        ("${_A1}", "${HOST}"),  # a value is not expanded again
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$${HOST}"),
        ("$$HOST", "$$HOST"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    """Each form of a macro."""
    assert macro(text) == result


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${NONE}", ["NONE", "not defined", "${NONE:-default}"]),
        ("${HOST", ["no closing brace"]),
        ("${}", ["no name"]),
        ("${A B}", ["name is not"]),
        ("${1A}", ["name is not"]),
        ("${env:}", ["name is not"]),
        ("${HOST:-${NONE}}", ["inside a macro"]),
        ("${" + "A" * 200 + "}", ["name is not"]),
        ("${BAD}", ["line break"]),
        ("a\0b", ["NUL"]),
        ("a\nb", ["line break"]),
        ("a\ud800b", ["Unicode"]),
        ("x" * (MAX_LENGTH + 1), ["longer than"]),
        ("${HOST}" * (MAX_LENGTH // 7), ["longer than"]),
    ],
)
def test_error(text: str, words: list[str]) -> None:
    """Each mistake gives one problem, which names field and mend."""
    with pytest.raises(SettingsError) as caught:
        macro(text)
    (problem,) = caught.value.problems
    assert problem.startswith("Incoming host (host): ")
    assert all(word in problem for word in words)


def test_all_mistakes_of_a_field_at_once() -> None:
    """Two undefined variables are two problems, one used twice is one."""
    with pytest.raises(SettingsError) as caught:
        macro("${A1}${B1}${A1}")
    assert ["A1" in caught.value.problems[0], "B1" in caught.value.problems[1]] == [True, True]
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "AIRFLOW__X",
        "airflow_x",
        "my_Secret",
        "PASSWDX",
        "GH_TOKEN",
        "API_KEY",
        "CREDENTIALS",
        "A_CONN",
    ],
)
@pytest.mark.parametrize("form", ["${%s}", "${env:%s}", "${%s:-default}"])
def test_guard(name: str, form: str) -> None:
    """A name that sounds like a secret is refused, defined or not, until a glob allows it."""
    environ = {name: "hunter2"}
    with pytest.raises(SettingsError, match="macro_names") as caught:
        expand(form % name, field="f", environ=environ, allowed=("OTHER_*",))
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert expand(form % name, field="f", environ=environ, allowed=("OTHER", name[:3] + "*")) == "hunter2"


def test_linear_time() -> None:
    """Nothing in the longest field takes noticeable time."""
    begin = time.perf_counter()
    for text in (
        "${" * MAX_LENGTH,
        "$" * MAX_LENGTH,
        "${A:-" * MAX_LENGTH,
        "}" * MAX_LENGTH,
        "${A}" * MAX_LENGTH,
    ):
        for _ in range(5):
            with contextlib.suppress(SettingsError):
                macro(text)
    assert time.perf_counter() - begin < 2


LITERAL = st.text(st.characters(blacklist_characters="\0\r\n", blacklist_categories=["Cs"]), max_size=200)


@given(LITERAL)
def test_literal_round_trip(text: str) -> None:
    """Any text can be written so that it comes out as it is."""
    assert macro(text.replace("${", "$${")) == text


@given(st.text(st.sampled_from("${}:-envAIRFLOW_HOST\r x"), max_size=60))
def test_guarded_values_never_leave(text: str) -> None:
    """Whatever is written: the value of a guarded variable is in no result and no error."""
    environ = dict.fromkeys(("AIRFLOW_HOST", "AIRFLOW_", "AIRFLOW_A"), "hunter2") | {"HOST": "h"}
    try:
        result = expand(text, field="f", environ=environ, allowed=())
    except SettingsError as exc:
        result = str(exc)
    assert "hunter2" not in result
