"""What an import adds where Airflow is loaded already, as in a worker or the DAG processor."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import TYPE_CHECKING

import airflow.sdk  # noqa: F401 - the ground on which all of them stand

if TYPE_CHECKING:
    from tests.bench.case import Begin, Place

__all__ = ["nothing", "official", "ours"]


def ours(place: Place, begin: Begin) -> None:
    """This package's hook."""
    _load(begin, "airflow_email_conn.hooks.mail")


def official(place: Place, begin: Begin) -> None:
    """The official hook."""
    _load(begin, "airflow.providers.imap.hooks.imap")


def nothing(place: Place, begin: Begin) -> None:
    """What the measurement itself takes."""
    _load(begin, "airflow.sdk")


def _load(begin: Begin, module: str) -> None:
    # Whoever imports just after Airflow else pays, now and then, for a collection of all its objects.
    gc.collect()
    gc.freeze()
    begin()
    import_module(module)
