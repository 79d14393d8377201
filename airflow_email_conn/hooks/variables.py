"""Airflow's Variables, in whatever process of Airflow this is. Blocking."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

__all__ = ["delete_variable", "get_variable", "set_variable"]


_TRIES: Final = 3
_PAUSE: Final = 0.2  # seconds between them


def get_variable(name: str) -> str | None:
    """The value; None if there is none.

    Airflow says "not found" of any failure, too; "none" is believed only when nothing else is possible.

    :raises RuntimeError: it is there, and cannot be read now.
    """
    for _ in range(_TRIES):
        kind = _accessor()
        found = kind.get(name, **{"default" if _is_supervised() else "default_var": None})
        if found is not None or not _is_stored(name):
            return None if found is None else str(found)
        time.sleep(_PAUSE)  # or it was written just now
    raise RuntimeError(f"the Variable {name!r} is there, but cannot be read now")


def _is_stored(name: str) -> bool:
    """Whether Airflow's database has it. Raises what asking raises."""
    if _is_supervised():
        return name in _accessor().keys(prefix=name)
    from airflow.models.variable import Variable  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    with create_session() as session:
        return session.scalar(select(Variable.id).where(Variable.key == name)) is not None


def set_variable(name: str, value: str, description: str) -> None:
    """Write it into Airflow's database."""
    _accessor().set(name, value, description=description)


def delete_variable(name: str) -> None:
    """Take it out of Airflow's database, if it is there."""
    _accessor().delete(name)


def _is_supervised() -> bool:
    # Tasks, triggers and DAG parsing talk to the supervisor; the API server and the CLI have the database.
    return hasattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS")


def _accessor() -> Any:
    if _is_supervised():
        from airflow.sdk import Variable  # noqa: PLC0415

        return Variable
    from airflow.models.variable import Variable as StoredVariable  # noqa: PLC0415

    return StoredVariable
