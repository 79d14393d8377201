"""What `airflow email-conn` offers. Every call of `airflow` asks for it: a command is loaded when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

__all__ = ["get_commands"]

_EXIT: Final = "Exit code: 0 all is well, 1 something is wrong, 2 wrong usage or no such connection."


def get_commands() -> list[GroupCommand]:
    """The commands, as Airflow's parser takes them (`cli` of the provider's metadata)."""
    from airflow.cli.cli_config import ARG_OUTPUT, ARG_VERBOSE, GroupCommand  # noqa: PLC0415 - they are there

    one = _argument("conn_id", help="A connection of type email")
    any_one = _argument("conn_id", nargs="?", help="A connection of type email (default: all of them)")
    direction = _argument(
        "--direction",
        choices=("incoming", "outgoing", "all"),
        default="all",
        help="Which side to sign in (default: all that need it; a shared credential once)",
    )
    shown = (ARG_OUTPUT, ARG_VERBOSE)
    return [
        GroupCommand(
            name="email-conn",
            help="Email connections: sign in by OAuth, test, and find what uses them",
            subcommands=(
                _command("login", "Sign in a person by OAuth device flow", one, direction, *shown),
                _command(
                    "logout", "Forget an OAuth sign-in, and revoke it where the authority can", one, *shown
                ),
                _command(
                    "status", "Show credentials and sign-ins, without asking any server", any_one, *shown
                ),
                _command(
                    "test", "Try each step of each direction; changes nothing, sends nothing", one, *shown
                ),
                _command(
                    "usage", "Show which DAGs use which connection, and which are unused", any_one, *shown
                ),
            ),
        )
    ]


def _argument(flag: str, **options: Any) -> Arg:
    from airflow.cli.cli_config import Arg  # noqa: PLC0415 - it is there

    return Arg((flag,), **options)  # type: ignore[no-untyped-call]


def _command(name: str, told: str, *arguments: Any) -> ActionCommand:
    from airflow.cli.cli_config import ActionCommand, lazy_load_command  # noqa: PLC0415 - they are there

    func = lazy_load_command(f"airflow_email_conn.cli.{name}.{name}")
    return ActionCommand(name=name, help=told, func=func, args=arguments, epilog=_EXIT)
