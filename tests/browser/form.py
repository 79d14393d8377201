"""Airflow's connection form and list, as a person uses them: what is opened and touched is counted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from airflow_email_conn.model.fields import BY_KEY, FIELDS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

__all__ = ["SECTIONS", "ConnectionForm", "ConnectionList"]

#: The sections of this connection's form that are closed at first.
SECTIONS = tuple(dict.fromkeys(field.section for field in FIELDS if field.extra))
_STANDARD = "Standard Fields"


class ConnectionForm:
    """The open form.

    :param touched: keys of the fields that were filled in, Connection ID and Type among them.
    :param opened: titles of the sections that were opened, in order.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.touched: list[str] = []
        self.opened: list[str] = []
        self._open = _STANDARD

    def name(self, conn_id: str) -> None:
        """Enter the Connection ID and choose the type Email."""
        self.page.locator('input[name="connection_id"]').fill(conn_id)
        self.touched += ["conn_id", "conn_type"]
        self.page.get_by_role("combobox").first.click()
        self.page.keyboard.type("Email")
        self.page.get_by_role("option", name="Email", exact=True).click()
        self.control("login").wait_for()

    def open(self, section: str) -> Locator:
        """Open a section, which closes the one before; its content."""
        heading = self.page.get_by_role("button", name=section, exact=True)
        if section != self._open:
            heading.click()
            self._open = section
            if section != _STANDARD:
                self.opened.append(section)
        content = self.page.locator(f'[id="{heading.get_attribute("aria-controls")}"]')
        content.wait_for()
        return content

    def control(self, key: str) -> Locator:
        """The input of a field, which has to be in the open section."""
        field = BY_KEY[key]
        return self.page.locator(f'[name="element_{key}"]' if field.extra else f'[name="{key}"]')

    def fill(self, key: str, value: Any) -> None:
        """Open the field's section and enter a value: a choice by the label that the form shows."""
        field = BY_KEY[key]
        content = self.open(field.section if field.extra else _STANDARD)
        self.touched.append(key)
        if field.kind == "choice":
            combobox = content.get_by_role("combobox").nth(self._combobox(key))
            combobox.click()
            self.page.get_by_role("option", name=dict(field.choices)[value], exact=True).click()
        elif field.kind == "boolean":
            content.locator("label").filter(has=self.control(key)).click()
        else:
            self.control(key).fill(str(value))

    def save(self) -> None:
        """Press Save and wait until Airflow has stored the connection and closed the form."""
        with self.page.expect_response(_is_save) as answer:
            # By the keyboard: a toast may lie over the button, as long as the mouse is on it.
            self.page.get_by_role("button", name="Save").press("Enter")
        assert answer.value.ok, answer.value.text()
        self.page.locator('[role="dialog"]').wait_for(state="detached")

    @staticmethod
    def _combobox(key: str) -> int:
        """Which one of its section a choice is; comboboxes have no names."""
        choices = [f.key for f in FIELDS if f.kind == "choice" and f.section == BY_KEY[key].section]
        return choices.index(key)


class ConnectionList:
    """The list of connections, which the page shows when nothing else is open."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    def show(self) -> None:
        """Load it anew."""
        self.page.goto(f"{self._url}/connections")

    def store(self, conn_id: str, **values: Any) -> None:
        """Create a connection as the form does, but quicker, through Airflow's API, and show the list."""
        # All fields: the form of Airflow 3.3.2 shows of a stored extra only the keys that are in it.
        extra = {field.key: values.pop(field.key, field.default) for field in FIELDS if field.extra}
        body = {"connection_id": conn_id, "conn_type": "email", "extra": json.dumps(extra)}
        answer = self.page.request.post(f"{self._url}/api/v2/connections", data=body | values)
        assert answer.ok, answer.text()
        self.show()

    def add(self, conn_id: str) -> ConnectionForm:
        """Open the form for a new connection of type Email."""
        self.page.get_by_role("button", name="Add Connection").first.click()
        form = ConnectionForm(self.page)
        form.name(conn_id)
        return form

    def edit(self, conn_id: str) -> ConnectionForm:
        """Open the form of a stored connection."""
        self._row(conn_id).get_by_role("button", name="Edit Connection").click()
        form = ConnectionForm(self.page)
        form.control("login").wait_for()
        return form

    def test(self, conn_id: str) -> tuple[bool, str]:
        """Press Test: whether it is green, and the message."""
        toast = self.page.locator('[data-scope="toast"][data-part="root"]', has_text="Test Connection")
        toast.wait_for(state="detached")  # of an earlier test
        self._row(conn_id).get_by_role("button", name="Test Connection").click()
        toast.wait_for()
        green = "Test Connection Successful" in (toast.text_content() or "")
        return green, toast.locator('[data-part="description"]').inner_text()

    def _row(self, conn_id: str) -> Locator:
        cell = self.page.get_by_role("cell", name=re.compile(f"^{re.escape(conn_id)}$"))
        return self.page.get_by_role("row").filter(has=cell)


def _is_save(response: Any) -> bool:
    return "/api/v2/connections" in response.url and response.request.method in {"POST", "PATCH"}
