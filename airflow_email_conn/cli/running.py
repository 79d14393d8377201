"""How every command runs: its rows on stdout, everything else on stderr, and how it went as exit code."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_email_conn.errors import EmailError, clean

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["UsageError", "command", "tell"]

Rows = Sequence[Mapping[str, Any]]
Body = Callable[["Namespace"], tuple[Rows, bool]]

_WRONG: Final = 1
_USAGE: Final = 2
_INTERRUPTED: Final = 130  # what shells give for SIGINT


class UsageError(Exception):
    """The command was called wrongly; its text says how."""


def command(*, audited: bool = False) -> Callable[[Body], Callable[[Namespace], None]]:
    """Make a command of a function that returns rows and whether all is well.

    A failure is one line on stderr, without a trace; `--verbose` shows logs, and a trace of what nobody
    foresaw.

    :param audited: it changes something: Airflow's audit log tells who called it.
    :raises SystemExit: of the command: 1 when something is wrong, 2 for wrong usage.
    """

    def decorate(body: Body) -> Callable[[Namespace], None]:
        @suppress_logs_and_warning
        @providers_configuration_loaded
        @functools.wraps(body)
        def run(args: Namespace) -> None:
            code = _run(body, args)
            if code:
                raise SystemExit(code)

        return cast("Callable[[Namespace], None]", _audit(run)) if audited else run

    return decorate


_audit: Final[Callable[[Any], Any]] = action_cli(check_db=False)  # type: ignore[no-untyped-call]


def _run(body: Body, args: Namespace) -> int:
    """:returns: the exit code."""
    try:
        rows, is_well = body(args)
    except (UsageError, AirflowNotFoundException) as exc:
        tell(str(exc))
        return _USAGE
    except EmailError as exc:
        tell(exc.message)
        return _WRONG
    except KeyboardInterrupt:
        tell("interrupted")
        return _INTERRUPTED
    except Exception as exc:
        if args.verbose:
            raise
        # Not its text: those of databases and secrets backends hold addresses, and perhaps passwords.
        tell(f"unexpected {type(exc).__name__}; --verbose shows more")
        return _WRONG
    _show(rows, args.output)
    return 0 if is_well else _WRONG


def tell(text: str) -> None:
    """A line for a person."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command


def _show(rows: Rows, output: str) -> None:
    """JSON with its types, which Airflow's console makes texts of; the rest as other commands show it."""
    if output == "json":
        print(json.dumps(rows))  # noqa: T201 - a command
        return
    if not rows and output != "yaml":
        return  # not "No data found": why there is none was told
    from airflow.cli.simple_table import AirflowConsole  # noqa: PLC0415 - takes 0.1 s to load
    from rich.markup import escape  # noqa: PLC0415 - as above

    texts = [{key: "" if value is None else clean(str(value)) for key, value in row.items()} for row in rows]
    if output == "table":  # for a person, whose terminal is narrow; scripts get all columns
        filled = {key for row in texts for key, value in row.items() if value}
        texts = [{key: escape(value) for key, value in row.items() if key in filled} for row in texts]
    AirflowConsole().print_as(texts, output)
