"""Debian's chromium: whether it can be had here, and installing it. Playwright never downloads one."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tests.servers.packages import install

__all__ = ["ARGUMENTS", "CHROMIUM", "chromium_unavailable", "install_chromium"]

CHROMIUM = Path("/usr/bin/chromium")
#: It talks to nobody but the page's server, and root may run it.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_unavailable() -> str | None:
    """Return in one line why no browser can be had here, or None when it can."""
    if importlib.util.find_spec("playwright") is None:
        return "the browser tests need the package playwright"
    if not CHROMIUM.exists() and not _can_install():
        return f"the browser tests need {CHROMIUM}, which only root on Debian can install"
    return None


def install_chromium() -> None:
    """Install it when it is missing. :raises PackagesError: apt could not do it."""
    if not CHROMIUM.exists():
        install(["chromium"])


def _can_install() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists()
