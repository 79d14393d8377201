"""A browser, an Airflow for it, and the list of connections in a new page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.apiserver import ApiServer, running_api_server
from tests.browser.chromium import ARGUMENTS, CHROMIUM, chromium_unavailable, install_chromium
from tests.browser.form import ConnectionList

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

#: What the macros of the recipes stand for.
ENVIRON = {"POP_HOST": "pop.example.com", "POP_PORT": "1995", "POP_USER": "reports@example.com"}
_PATIENCE = 15_000  # milliseconds until a click or a wait is given up

# The browser is of package scope: while Playwright runs, this thread has a running event loop, which tests
# elsewhere must not meet.


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test may install chromium and starts Airflow."""
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; skipped only where it cannot be had: never in CI for root on Debian."""
    reason = chromium_unavailable()
    if reason is not None:
        if os.environ.get("CI") and os.geteuid() == 0 and Path("/etc/debian_version").exists():
            pytest.fail(f"CI must not skip the browser: {reason}")
        pytest.skip(reason)
    install_chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it is installed

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def airflow(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A running API server."""
    with running_api_server(tmp_path_factory.mktemp("browser-airflow"), ENVIRON) as server:
        yield server


@pytest.fixture(scope="package")
def page(browser: Browser, airflow: ApiServer) -> Iterator[Page]:
    """One page for all tests: Airflow's UI takes seconds to load."""
    context = browser.new_context(
        viewport={"width": 1000, "height": 1200}, color_scheme="light", reduced_motion="reduce"
    )
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    page.goto(f"{airflow.url}/connections")
    yield page
    context.close()


@pytest.fixture
def connections(page: Page, airflow: ApiServer) -> ConnectionList:
    """The list of connections, loaded anew only if something is open."""
    shown = ConnectionList(page, airflow.url)
    if page.get_by_role("dialog").count():
        shown.show()
    return shown
