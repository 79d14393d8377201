"""The Debian packages of the real servers: whether they can be had here, and installing them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PackagesError", "bed_unavailable", "install", "run", "unpacked"]

#: Dovecot 2.4, in Debian 13, reads another configuration language than the 2.3 of Debian 12.
_DEBIAN = "12"
#: Somebody else may be at the package manager.
_PATIENT = ("-o", "DPkg::Lock::Timeout=300")
_UNPACKED = Path("/var/cache/email-conn-tests")
_POLICY = Path("/usr/sbin/policy-rc.d")


class PackagesError(RuntimeError):
    """A package manager's command failed; the text holds its output."""


def bed_unavailable() -> str | None:
    """Return in one line why the real servers cannot run here, or None when they can."""
    if not sys.platform.startswith("linux"):
        return f"the real mail servers need Linux, this is {sys.platform}"
    release = _os_release()
    if (release.get("ID"), release.get("VERSION_ID")) != ("debian", _DEBIAN):
        return f"the real mail servers need Debian {_DEBIAN}, this is {release.get('PRETTY_NAME', 'unknown')}"
    if os.geteuid() != 0:
        return "the real mail servers need root"
    return None


def install(packages: Sequence[str]) -> list[str]:
    """Install the packages that are missing, without starting their daemons.

    :return: the names of those that were missing.
    :raises PackagesError: apt could not do it.
    """
    with _one_at_a_time():
        missing = [package for package in packages if not _installed(package)]
        if missing:
            with _daemons_stay_off():
                if "postfix" in missing:
                    run(
                        ["debconf-set-selections"],
                        "postfix postfix/main_mailer_type select No configuration\n",
                    )
                run(["apt-get", "update"])
                run(["apt-get", "install", "-y", "--no-install-recommends", *_PATIENT, *missing])
    return missing


def unpacked(package: str, sibling: str) -> Path:
    """Return a folder with the files of a package that conflicts with an installed one.

    It is fetched once and stays, as an installed package does.

    :param sibling: the installed package of the same source, whose version is taken.
    :raises PackagesError: apt could not do it.
    """
    version = run(["dpkg-query", "-W", "-f", "${Version}", sibling])
    folder = _UNPACKED / f"{package}_{version}"
    with _one_at_a_time():
        if not folder.exists():
            _UNPACKED.mkdir(parents=True, exist_ok=True)
            run(["apt-get", "update"])
            with tempfile.TemporaryDirectory(dir=_UNPACKED) as work:
                run(["apt-get", "download", f"{package}={version}"], folder=Path(work))
                (archive,) = Path(work).glob("*.deb")
                run(["dpkg", "-x", str(archive), f"{work}/files"])
                Path(work, "files").rename(folder)
    return folder


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


def _installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${Status}", package]
    return "ok installed" in subprocess.run(query, capture_output=True, text=True, check=False).stdout


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    # Parallel test workers each start a bed; only one of them may install.
    with (Path(tempfile.gettempdir()) / "email-conn-install.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _daemons_stay_off() -> Iterator[None]:
    """Keep the packages from starting their daemons on the real ports (invoke-rc.d asks this file)."""
    if _POLICY.exists():  # container images bring one that says the same
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def run(command: Sequence[str], text: str | None = None, folder: Path | None = None) -> str:
    """Run a package manager's command.

    :param text: its standard input.
    :param folder: where it runs.
    :return: its output.
    :raises PackagesError: it failed.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    if done.returncode:
        raise PackagesError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout
