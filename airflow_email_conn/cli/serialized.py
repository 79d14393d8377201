"""Who uses which connection in a serialised DAG: JSON as Airflow 3.3 writes it, of which no file is loaded.

The values of template fields are in it, and the arguments of watchers' triggers. Callbacks are not: only that
there are some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Use", "deadline_uses", "has_callbacks", "uses"]

_OURS: Final = "airflow_email_conn."
_OWN_FIELD: Final = "email_conn_id"
_SUFFIX: Final = "conn_id"  # email_conn_id, smtp_conn_id, conn_id
# What mapped tasks and deadlines do not say: defaults stand in the class, which is not loaded.
_DEFAULTS: Final = {
    "airflow_email_conn.operators.smtp": "smtp_default",
    "airflow_email_conn.notifications.smtp": "smtp_default",
    "airflow_email_conn.sensors.imap_attachment": "imap_default",
}
_DEFAULT: Final = "email_default"
_AT_RUN_TIME: Final = "{{ from another task }}"


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a connection is used.

    :param conn_id: as written: an id, or a template.
    :param kind: `task`, `watcher`, `deadline` or `setting`.
    :param name: task id, name of the watcher, or setting.
    :param type: operator, trigger or callback.
    """

    conn_id: str
    dag_id: str | None
    kind: str
    name: str
    type: str


def uses(dag_id: str, data: dict[str, Any], known: frozenset[str]) -> Iterator[Use]:
    """Every use in a DAG.

    Fields of classes of this package, and any `email_conn_id`, always count; another `..._conn_id` counts
    when it names a known connection.

    :param data: SerializedDagModel.data
    :param known: ids of email connections.
    """
    dag = data.get("dag", {})
    for task in dag.get("tasks", []):
        fields = task.get("__var", task)
        for conn_id in sorted(set(_of_task(fields, known))):
            yield Use(conn_id, dag_id, "task", str(fields.get("task_id")), str(fields.get("task_type")))
    for watcher in _watchers(dag):
        trigger = watcher.get("trigger", {})
        path = str(trigger.get("classpath", ""))
        for conn_id in _named(_plain(trigger.get("kwargs")), path, known):
            yield Use(conn_id, dag_id, "watcher", str(watcher.get("name")), path.rpartition(".")[2])


def deadline_uses(dag_id: str, name: str, definition: dict[str, Any], known: frozenset[str]) -> Iterator[Use]:
    """Every use in the callback of a deadline. :param definition: DeadlineAlert.callback_def"""
    callback = definition.get("__data__", definition)
    module, _, kind = str(callback.get("path", "")).rpartition(".")
    found = list(_named(_plain(callback.get("kwargs")), module, known))
    if not found and module.startswith(_OURS):
        found = [_DEFAULTS.get(module, _DEFAULT)]
    for conn_id in found:
        yield Use(conn_id, dag_id, "deadline", name, kind)


def has_callbacks(data: dict[str, Any]) -> bool:
    """Whether the DAG, or a task of it, has callbacks: perhaps notifiers, whose connections nobody tells."""
    dag = data.get("dag", {})
    parts = [dag, *(task.get("__var", task) for task in dag.get("tasks", []))]
    parts += [_plain(part.get("partial_kwargs")) for part in parts]
    return any(key.startswith("has_on_") and value for part in parts for key, value in part.items())


def _of_task(fields: dict[str, Any], known: frozenset[str]) -> Iterator[str]:
    module = str(fields.get("_task_module", ""))
    if not fields.get("_is_mapped"):
        yield from _named(fields, module, known)
        return
    given = [_plain(fields.get("partial_kwargs")), *_expanded(fields)]
    found = [conn_id for each in given for conn_id in _named(each, module, known)]
    takes_one = any(name.endswith(_SUFFIX) for name in fields.get("template_fields", ()))
    if not found and module.startswith(_OURS) and takes_one:
        found.append(_DEFAULTS.get(module, _DEFAULT))
    yield from found


def _expanded(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """What a mapped task is expanded over: field to values, or one mapping for each task."""
    value = fields.get(fields.get("_expand_input_attr", ""), {}).get("value")
    each = value if isinstance(value, list) else [value]
    return [_plain(item) for item in each]


def _named(fields: dict[str, Any], path: str, known: frozenset[str]) -> Iterator[str]:
    """The connections that fields name.

    :param path: of the class that the fields are of.
    """
    for name, value in fields.items():
        if not name.endswith(_SUFFIX):
            continue
        ours = path.startswith(_OURS) or name == _OWN_FIELD
        for one in _values(value):
            if ours or one in known:
                yield one


def _values(value: Any) -> list[str]:
    """A field's value, or values when a mapped task is expanded over it."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [one for each in value for one in _values(each)]
    if isinstance(value, dict) and value.get("__type") in {"tuple", "set", "dict"}:
        return _values(list(value["__var"]))
    return [_AT_RUN_TIME] if isinstance(value, dict) else []


def _watchers(node: Any) -> Iterator[dict[str, Any]]:
    """The watchers of every asset in the schedule, or among inlets and outlets."""
    if isinstance(node, dict):
        watchers = node.get("watchers")
        if isinstance(watchers, list):
            yield from (each for each in watchers if isinstance(each, dict))
        for child in node.values():
            yield from _watchers(child)
    elif isinstance(node, list):
        for child in node:
            yield from _watchers(child)


def _plain(node: Any) -> dict[str, Any]:
    """A mapping, out of the wrapping that some of Airflow's have."""
    found = node.get("__var", node) if isinstance(node, dict) else {}
    return found if isinstance(found, dict) else {}
