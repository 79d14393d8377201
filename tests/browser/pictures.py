"""The README's two pictures of the form: `python -m tests.browser.pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tests.browser.apiserver import running_api_server
from tests.browser.chromium import ARGUMENTS, CHROMIUM
from tests.browser.form import ConnectionList
from tests.servers.embedded import running_embedded

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Page

    from tests.servers.embedded import EmbeddedServers

FOLDER = Path(__file__).resolve().parents[2] / ".github" / "images"
_WIDTH, _HEIGHT, _LIST_HEIGHT = 820, 1150, 430  # CSS pixels
_SCALE = 0.82  # to about 700 pixels, which is what the README is wide
GMAIL = {
    "host": "imap.gmail.com",
    "login": "reports@gmail.com",
    "password": "abcd efgh ijkl mnop",
    "port": "0",
}


def take(page: Page, url: str, embedded: EmbeddedServers) -> None:
    """The form with the recipe for Gmail, and the list with a green Test."""
    connections = ConnectionList(page, url)
    connections.show()
    form = connections.add("mail")
    for key, value in GMAIL.items():
        form.fill(key, value)
    page.locator(":focus").blur()
    page.get_by_role("dialog").screenshot(path=FOLDER / "form.png")
    robot = "robot@example.test"
    connections.store(
        "mail",
        host="localhost",
        port=embedded.imaps_port,
        login=robot,
        password=embedded.users[robot],
        outgoing_host="localhost",
        outgoing_port=embedded.submission_port,
        ca_certificates=str(embedded.ca),
    )
    page.set_viewport_size({"width": _WIDTH + 80, "height": _LIST_HEIGHT})
    green, message = connections.test("mail")
    assert green, message
    page.wait_for_timeout(500)  # the toast slides in
    table = page.get_by_role("table").bounding_box()
    assert table
    left, top = table["x"], table["y"]
    clip: FloatRect = {"x": left, "y": top, "width": _WIDTH, "height": _LIST_HEIGHT - top}
    page.screenshot(path=FOLDER / "test.png", clip=clip)


def main() -> None:
    """Take both."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        running_embedded() as embedded,
        running_api_server(Path(home), {}) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        page = browser.new_page(
            viewport={"width": _WIDTH, "height": _HEIGHT},
            device_scale_factor=_SCALE,
            color_scheme="light",
            reduced_motion="reduce",
        )
        take(page, server.url, embedded)
        browser.close()


if __name__ == "__main__":
    main()
