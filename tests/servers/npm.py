"""Packages of npm for test servers that run on node, and node: installed once, outside the checkout."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import tempfile
from pathlib import Path

from tests.servers.packages import install, run

__all__ = ["node", "npm_package"]

#: What ``oidc-provider`` wants; Debian 12 has 18, with which it does not start.
_NODE_VERSION = 22
_NODE_PACKAGE_VERSION = "22.23.3"
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


def node() -> Path:
    """Return a node that is new enough: this machine's, else npm's, which stays as an installed package does.

    :raises PackagesError: apt or npm could not install it.
    """
    found = shutil.which("node")
    if found is not None and int(run([found, "--version"]).lstrip("v").split(".")[0]) >= _NODE_VERSION:
        return Path(found)
    name = f"node-linux-{_ARCHITECTURES[platform.machine()]}"
    return npm_package(name, _NODE_PACKAGE_VERSION) / name / "bin/node"


def npm_package(name: str, version: str) -> Path:
    """Return the ``node_modules`` that has a package and what it needs.

    What the packages want to run while they are installed is not run.

    :raises PackagesError: apt or npm could not install it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-email-conn-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"npm-{name}-{version}"
    with (cache / "npm.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test workers: only one of them installs
        if not folder.exists():
            if shutil.which("npm") is None:
                install(["nodejs", "npm"])
            with tempfile.TemporaryDirectory(dir=cache) as work:
                files = Path(work, "files")
                files.mkdir()
                (files / "package.json").write_text('{"private": true}\n', encoding="ascii")
                options = ["--no-audit", "--no-fund", "--ignore-scripts"]
                run(["npm", "install", *options, f"{name}@{version}"], folder=files)
                files.rename(folder)
    return folder / "node_modules"
