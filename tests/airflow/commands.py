"""`airflow email-conn` in this process: by Airflow's own parser, without the seconds that a start takes."""

from __future__ import annotations

import io
import threading
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.cli.cli_parser import get_parser

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


def run(*arguments: str, meanwhile: Callable[[Callable[[], str]], None] | None = None) -> Done:
    """Call `airflow email-conn` with arguments.

    :param meanwhile: runs beside it; is given what tells what stands on stderr so far.
    """
    code = 0
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        if meanwhile:
            threading.Thread(target=meanwhile, args=(err.getvalue,), daemon=True).start()
        try:
            args = get_parser().parse_args(["email-conn", *arguments])
            args.func(args)
        except SystemExit as exc:
            code = int(exc.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
