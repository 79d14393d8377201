"""One field of a connection after the other, as text or native type, with all problems collected."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.model.fields import BY_KEY
from airflow_email_conn.model.macros import MAX_LENGTH, expand, forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FieldReader"]

_MAX_PEM: Final = 1_000_000  # characters; the certificates of all public authorities take a quarter of it
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class FieldReader:
    """Reads fields by their kind and collects what is wrong with them, once for each field.

    A wrong field reads as its default, so that one mistake gives one problem. Problems never hold a value.

    :param values, environ, variable, macro_names: as for `settings.EmailSettings.parse`.
    """

    __slots__ = ("_environ", "_failed", "_macro_names", "_values", "_variable", "problems")

    def __init__(
        self,
        values: Mapping[str, Any],
        environ: Mapping[str, str],
        variable: Callable[[str], str | None],
        macro_names: Sequence[str],
    ) -> None:
        self._values, self._environ = values, environ
        self._variable, self._macro_names = variable, macro_names
        self._failed: set[str] = set()
        self.problems: list[str] = []
        for key in BY_KEY:
            self._check_mask(key, values.get(key))

    def problem(self, key: str, text: str) -> None:
        """Note what is wrong with a field and the mend, unless something is already."""
        if key not in self._failed:
            self._failed.add(key)
            self.problems.append(f"{BY_KEY[key].title}: {text}")

    def missing(self, key: str, mend: str, *others: str) -> None:
        """Note that a field is empty, unless it or one of `others`, which could fill it, was wrong."""
        if not self.failed(key, *others):
            self.problem(key, f"is empty; {mend}")

    def failed(self, *keys: str) -> bool:
        """Whether something is wrong with one of the fields."""
        return not self._failed.isdisjoint(keys)

    def has(self, key: str) -> bool:
        """Whether the field is filled in, rightly or wrongly."""
        filled = self._raw(key) is not None and (BY_KEY[key].kind != "text" or bool(self.text(key)))
        return filled or key in self._failed

    def changed(self, key: str) -> bool:
        """Whether the field says anything else than an empty one does; the form saves defaults too."""
        field = BY_KEY[key]
        if field.kind == "choice":
            return self.choice(key) != field.default or self.failed(key)
        if field.kind == "boolean":
            return self.boolean(key) != field.default or self.failed(key)
        if field.kind == "integer":
            return self.port(key) != field.default or self.failed(key)
        return self.has(key)

    def text(self, key: str) -> str:
        """One line of text without outer spaces, macros expanded."""
        return "" if key in self._failed else self._expanded(key, self._string(key))

    def secret(self, key: str) -> str:
        """A secret, exactly as it is."""
        return "" if key in self._failed else self._checked_secret(key, self._string(key))

    def variable(self, key: str) -> str:
        """The value of the Airflow Variable that the field names."""
        name = self.text(key)
        value = self._variable(name) if name else ""
        if value is None:
            # As it was typed: its macros' values are nobody's business.
            typed = "".join(c for c in str(self._raw(key)) if c.isprintable())[:100]
            self.problem(key, f"there is no Airflow Variable {typed}; create it, or correct the name")
        elif name and not value:
            self.problem(key, "the Airflow Variable is empty; give it a value")
        return self._checked_secret(key, value or "")

    def choice(self, key: str) -> str:
        """One of the field's choices."""
        field = BY_KEY[key]
        default, known = str(field.default), [value for value, _ in field.choices]
        text = "" if key in self._failed else self._string(key).strip().lower()
        if text and text not in known:
            self.problem(key, f"is not one of the choices; choose one of {', '.join(known)}")
        return text if text in known else default

    def boolean(self, key: str) -> bool:
        """A switch."""
        text = "" if key in self._failed else self._string(key).strip().lower()
        if text and text not in _BOOLEANS:
            self.problem(key, "is neither on nor off; enter true or false")
        return _BOOLEANS.get(text, bool(BY_KEY[key].default))

    def port(self, key: str) -> int:
        """A port; 0 is the standard one."""
        is_number = not isinstance(self._raw(key), (float, bool))
        text = self.text(key) if is_number else "not a port"
        if not text:
            return 0
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
            self.problem(key, "is not a port; enter a number from 1 to 65535, or 0 for the standard port")
            return 0
        return int(text)

    def seconds(self, key: str) -> float:
        """A time in seconds."""
        raw = self._raw(key)
        default = float(BY_KEY[key].default or 0)
        if raw is None or key in self._failed:
            return default
        try:
            value = float(raw) if isinstance(raw, (int, float, str)) and not isinstance(raw, bool) else 0.0
        except (ValueError, OverflowError):
            value = 0.0
        if not 1 <= value <= 3600 or (isinstance(raw, str) and "_" in raw):
            self.problem(key, "is not a time; enter a number of seconds from 1 to 3600")
            return default
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """Texts without spaces or commas: a list, the JSON of one, or separated by commas or white space."""
        raw = self._raw(key)
        if raw is None or key in self._failed:
            return ()
        if isinstance(raw, str) and raw.lstrip().startswith("[") and len(raw) <= MAX_LENGTH:
            try:
                raw = json.loads(raw)
            except (ValueError, RecursionError):
                raw = None
        items = list(raw) if isinstance(raw, (list, tuple)) else [raw]
        if not all(isinstance(item, str) for item in items):
            self.problem(key, "is not a list of texts; enter one per line")
            return ()
        if sum(map(len, items)) > MAX_LENGTH:
            self.problem(key, "is too long; shorten it")
            return ()
        lines = [line for item in items for line in item.splitlines()]
        words = [word for line in lines for word in re.split(r"[\s,]+", self._expanded(key, line)) if word]
        return tuple(dict.fromkeys(words))

    def pem(self, key: str) -> str:
        """PEM text with LF line ends, or where macros are allowed one line: the path of a file."""
        raw = self._raw(key)
        if raw is None or key in self._failed:
            return ""
        if not isinstance(raw, str) or len(raw) > _MAX_PEM:
            self.problem(key, "is not PEM text; paste it with its BEGIN and END lines")
            return ""
        if "-----BEGIN" not in raw and BY_KEY[key].macro:
            return self.text(key)
        lines = [line.strip() for line in raw.strip().splitlines()]
        if what := forbidden("".join(lines)):
            self.problem(key, f"{what}; remove it")
        return "\n".join(lines) + "\n"

    def _raw(self, key: str) -> Any:
        """The value, None when the field is empty."""
        value = self._values.get(key)
        if not isinstance(value, str):
            return value
        # One half of Airflow reads null in a URI as None, the other as text; a secret may be any text.
        empty = {""} if BY_KEY[key].kind == "secret" else {"", "null"}
        return None if value.strip() in empty else value

    def _string(self, key: str) -> str:
        """The value as text: URIs make numbers and booleans of what looks like them."""
        raw = self._raw(key)
        if raw is None:
            return str(BY_KEY[key].default or "") if BY_KEY[key].kind == "text" else ""
        if isinstance(raw, bool):
            return str(raw).lower()
        if isinstance(raw, str) and len(raw) <= MAX_LENGTH:
            return raw
        if isinstance(raw, int) and raw.bit_length() < 4096:
            return str(raw)
        what = (
            "is too long; shorten it"
            if isinstance(raw, (str, int))
            else "is not text; write it in quotes, as JSON"
        )
        self.problem(key, what)
        return ""

    def _expanded(self, key: str, text: str) -> str:
        field = BY_KEY[key]
        if not field.macro:
            return text.strip()
        if key == "host":  # a URI lowers its case, and so that of the macros in it
            text = self._restored(text)
        try:
            expanded = expand(
                text.strip(), field=field.title, environ=self._environ, allowed=self._macro_names
            )
        except SettingsError as exc:
            if key not in self._failed:
                self._failed.add(key)
                self.problems += exc.problems
            return ""
        return expanded.strip()

    def _restored(self, text: str) -> str:
        """`text` with the names of its macros in the case that the environment has them in."""
        names = {name.lower(): name for name in sorted(self._environ, reverse=True)}

        def restore(found: re.Match[str]) -> str:
            name = found[2]
            return found[1] + (name if name in self._environ else names.get(name, name))

        return re.sub(r"(\$\{(?:env:)?)([a-z_][a-z0-9_]*)", restore, text)

    def _checked_secret(self, key: str, text: str) -> str:
        self._check_mask(key, text)
        if what := forbidden(text):
            self.problem(key, f"{what}; remove it")
        return text

    def _check_mask(self, key: str, value: object) -> None:
        if isinstance(value, str) and value.strip() == "***":
            self.problem(
                key, "holds ***, which Airflow shows in place of a secret; enter the secret itself again"
            )
