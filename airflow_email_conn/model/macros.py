"""Macros in the fields of a connection.

    ${NAME}  ${env:NAME}    the variable's value
    ${NAME:-default}        the default when the variable is undefined or empty, as in a shell
    $${                     a literal ${

A value is put in as it is: macros in it, or in a default, are not expanded.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MAX_LENGTH", "expand", "forbidden"]

#: Characters of a field, before and after expansion. Long lists of scopes stay below a tenth of it.
MAX_LENGTH: Final = 10_000

_START: Final = re.compile(r"\$?\$\{")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# Whoever may edit a connection chooses its host and user: a macro would hand these to that host.
_GUARDED: Final = re.compile(r"^AIRFLOW_|SECRET|PASSWORD|PASSWD|TOKEN|KEY|CREDENTIAL|CONN", re.IGNORECASE)
_FORBIDDEN: Final = re.compile("[\0\r\n\ud800-\udfff]")


def expand(text: str, *, field: str, environ: Mapping[str, str], allowed: Sequence[str]) -> str:
    """`text` with every macro replaced, in time linear in its length.

    :param text: at most `MAX_LENGTH` characters; the result too.
    :param field: how errors call the field.
    :param environ: the variables.
    :param allowed: globs of guarded names (see `[email_conn] macro_names`) that may be used nevertheless.
    :raises SettingsError: a problem for each wrong macro: it names variable and field, never a value.
    """
    problems: list[str] = []
    pieces: list[str] = []
    length = end = 0
    for start, stop, body in _macros(text[: MAX_LENGTH + 1]):
        try:
            value = body if body == "${" else _value(body, environ, allowed)
        except ValueError as exc:
            problems.append(f"{field}: {exc}")
            value = ""
        length += start - end + len(value)
        if length <= MAX_LENGTH:  # else it is an error below: no need to hold it
            pieces += (text[end:start], value)
        end = stop
    result = "".join((*pieces, text[end:]))
    if max(len(text), length + len(text) - end) > MAX_LENGTH:
        problems.append(f"{field}: longer than {MAX_LENGTH} characters; shorten it")
    elif what := forbidden(result):
        problems.append(f"{field}: {what}; remove it")
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return result


def forbidden(text: str) -> str:
    """What `text` holds that no field of one line may hold, in words; or nothing.

    NUL, CR and LF would end a command of every mail protocol early; half a surrogate pair cannot be sent.
    """
    found = _FORBIDDEN.search(text)
    if not found:
        return ""
    names = {"\0": "holds a NUL character", "\r": "holds a line break", "\n": "holds a line break"}
    return names.get(found[0], "holds a character that is not valid Unicode")


def _macros(text: str) -> list[tuple[int, int, str]]:
    """Start, end and body of every macro: `${` for the literal `$${`, empty for an unterminated one."""
    found = []
    end = 0
    while start := _START.search(text, end):
        if start[0] == "$${":
            found.append((start.start(), start.end(), "${"))
            end = start.end()
            continue
        close = text.find("}", start.end())
        end = close + 1 if close >= 0 else len(text)
        found.append((start.start(), end, text[start.end() : close] if close >= 0 else ""))
    return found


def _value(body: str, environ: Mapping[str, str], allowed: Sequence[str]) -> str:
    """What replaces the macro. :raises ValueError: what is wrong and the mend."""
    if not body:
        raise ValueError("a macro has no name or no closing brace; write ${NAME}, or $${ for a literal ${")
    if "${" in body:
        raise ValueError("a macro stands inside a macro; only ${NAME} and ${NAME:-default} are possible")
    name, colon, default = body.removeprefix("env:").partition(":-")
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a macro's name is not that of an environment variable;"
            " write ${NAME} with letters, digits and _, or $${ for a literal ${"
        )
    if _GUARDED.search(name) and not any(fnmatchcase(name, glob) for glob in allowed):
        raise ValueError(
            f"the environment variable {name} may hold a secret, by its name, so no macro may use it;"
            " use another variable, or have it allowed by [email_conn] macro_names"
        )
    value = environ.get(name, "")
    if value or colon:
        return value or default
    if name in environ:
        return ""
    raise ValueError(
        f"the environment variable {name} is not defined; define it where Airflow runs,"
        f" or write ${{{name}:-default}}"
    )
