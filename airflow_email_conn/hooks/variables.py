"""Airflow's Variables, in whatever process of Airflow this is. Blocking."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["delete_variable", "get_variable", "set_variable"]


def get_variable(name: str) -> str | None:
    """The value; None if there is none."""
    kind = _accessor()
    found = kind.get(name, **{"default" if _is_supervised() else "default_var": None})
    return None if found is None else str(found)


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
