"""`usage`: which DAGs use which connections, from Airflow's database."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.deadline_alert import DeadlineAlert
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from sqlalchemy import func, select

from airflow_email_conn.cli.connections import all_ids, settings_by_id
from airflow_email_conn.cli.running import command, tell
from airflow_email_conn.cli.serialized import Use, deadline_uses, has_callbacks, uses
from airflow_email_conn.errors import SettingsError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

__all__ = ["usage"]

_BATCH: Final = 20  # DAGs at a time: a large one has some MB
_BACKEND: Final = "airflow_email_conn.notifications.mail.send_email"
_SHOWN: Final = 10


@command()
def usage(args: Namespace) -> tuple[list[dict[str, Any]], bool]:
    """One row for each use; one without a DAG, of kind `unused`, for each connection without any."""
    if args.conn_id:
        _must_exist(args.conn_id)
    ids = frozenset([args.conn_id] if args.conn_id else all_ids())
    found = sorted(_found(ids), key=str)
    if args.conn_id:  # a template may mean any connection
        found = [use for use in found if use.conn_id == args.conn_id or "{{" in use.conn_id]
    unused = sorted(ids - {use.conn_id for use in found})
    return [
        _row(use) for use in (*found, *(Use(conn_id, None, "unused", "", "") for conn_id in unused))
    ], True


def _found(ids: frozenset[str]) -> set[Use]:
    """Every use of a connection; what cannot be seen is told of."""
    found = {*_settings()}
    silent: list[str] = []
    with create_session() as session:
        for dag_id, data in _dags(session):
            found.update(uses(dag_id, data, ids))
            if has_callbacks(data):
                silent.append(dag_id)
        found.update(_deadlines(session, ids))
    if silent:
        more = f" and {len(silent) - _SHOWN} more" if len(silent) > _SHOWN else ""
        names = ", ".join(sorted(silent)[:_SHOWN])
        tell(f"Not seen: callbacks (notifiers) of {names}{more}; Python code of tasks")
    return found


def _row(use: Use) -> dict[str, Any]:
    return {key: value or None for key, value in asdict(use).items()}


def _must_exist(conn_id: str) -> None:
    """:raises UsageError, AirflowNotFoundException: there is no such connection."""
    try:
        settings_by_id(conn_id)
    except SettingsError:
        return  # it exists, and who uses it must mend it


def _newest(*columns: Any) -> Select[Any]:
    """Of the newest version of each DAG that still has a file."""
    newest = (
        select(DagVersion.dag_id, func.max(DagVersion.version_number).label("number"))
        .join(DagModel, DagModel.dag_id == DagVersion.dag_id)
        .where(DagModel.is_stale.is_(False))
        .group_by(DagVersion.dag_id)
        .subquery()
    )
    same = (DagVersion.dag_id == newest.c.dag_id) & (DagVersion.version_number == newest.c.number)
    return (
        select(*columns)
        .select_from(SerializedDagModel)
        .join(DagVersion, SerializedDagModel.dag_version_id == DagVersion.id)
        .join(newest, same)
    )


def _dags(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each DAG's id and JSON."""
    query = _newest(SerializedDagModel).execution_options(yield_per=_BATCH)
    for row in session.scalars(query):
        data = row.data
        session.expunge(row)  # or all of them would stay in memory
        if isinstance(data, dict):
            yield row.dag_id, data


def _deadlines(session: Session, known: frozenset[str]) -> Iterator[Use]:
    """The callbacks of deadlines, which Airflow keeps in a table of their own."""
    query = _newest(SerializedDagModel.dag_id, DeadlineAlert).join(
        DeadlineAlert, DeadlineAlert.serialized_dag_id == SerializedDagModel.id
    )
    for dag_id, alert in session.execute(query):
        yield from deadline_uses(dag_id, alert.name or "", alert.callback_def, known)


def _settings() -> Iterator[Use]:
    """Airflow's own mails, when they go out by this package."""
    if conf.get("email", "email_backend", fallback="") == _BACKEND:
        conn_id = conf.get("email", "email_conn_id", fallback="") or "smtp_default"
        yield Use(conn_id, None, "setting", "[email] email_conn_id", "send_email")
