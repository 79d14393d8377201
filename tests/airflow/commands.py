"""`airflow email-conn` in this process: by Airflow's own parser, without the seconds that a start takes."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from airflow.cli.cli_parser import get_parser


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Done:
    """Call `airflow email-conn` with arguments."""
    code = 0
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            args = get_parser().parse_args(["email-conn", *arguments])
            args.func(args)
        except SystemExit as exc:
            code = int(exc.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
