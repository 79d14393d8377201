"""The flat filter arguments: every criterion of a query, rendered."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_email_conn.arguments.filters import MailFilterArguments
from airflow_email_conn.model.query import FILTERS, MailQuery
from airflow_email_conn.operators.mail import FetchEmailOperator, UpdateEmailOperator
from airflow_email_conn.sensors.mail import EmailSensor


@pytest.mark.parametrize("operator", [EmailSensor, FetchEmailOperator, UpdateEmailOperator])
def test_every_criterion_is_a_template(operator: type[MailFilterArguments]) -> None:
    """An argument of the same name, for all of them."""
    assert set(FILTERS) <= set(operator.template_fields)
    assert set(FILTERS) <= set(inspect.signature(MailFilterArguments.__init__).parameters)


def test_rendered_arguments_make_the_query() -> None:
    """Also what stands in rules and mappings; patterns stay as they are."""
    pattern = re.compile("^{{ x }}")
    sensor = EmailSensor(
        task_id="wait",
        header={"X-Kind": "{{ kind }}", "X-Run": ["{{ kind }}", pattern], "X-A": None},
        deny=[{"subject": "^{{ kind }}"}, {"sender": pattern}],
        allow={"sender": "@{{ kind }}"},
        answered="{{ yes }}",
        attachment_type="{{ kind }}/*",
        in_reply_to="{{ kind }}@x",
    )
    sensor.render_template_fields({"kind": "order", "yes": False})  # type: ignore[typeddict-item]
    assert sensor.query == MailQuery(
        header={"X-Kind": "order", "X-Run": ["order", pattern], "X-A": None},
        deny=[{"subject": "^order"}, {"sender": pattern}],
        allow=[{"sender": "@order"}],
        answered=False,
        attachment_type="order/*",
        in_reply_to="order@x",
    )
