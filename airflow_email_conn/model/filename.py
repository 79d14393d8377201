"""File names that are safe everywhere, from what a sender wrote."""

from __future__ import annotations

import hashlib
import re
import unicodedata

__all__ = ["mail_folder_name", "safe_file_name", "unique"]

_MAX_BYTES = 150  # of a name in UTF-8: file systems take 255, and something may be added before or behind
_SEPARATORS = re.compile(r"[/\\:]+")
_FORBIDDEN = re.compile(r'[<>"|?*]')
# CON, NUL, COM1 ... mean devices on Windows, whatever their extension.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)
_SAFE_ID = re.compile(r"[A-Za-z0-9_+=-][A-Za-z0-9._@+=-]{0,119}")


def safe_file_name(name: str) -> str:
    """A single path component that no system reads as anything else; never empty.

    Directories, control and format characters (such as U+202E, which turns `gpj.exe` around), characters that
    Windows forbids, leading dots and trailing dots and spaces go; the extension stays where it is cut.
    """
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    name = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in name)
    name = "".join(c for c in name if unicodedata.category(c) not in {"Cf", "Co", "Cn", "Cs"})
    name = _FORBIDDEN.sub("_", _SEPARATORS.split(name)[-1]).strip(" ").rstrip(". ")
    if name.startswith("."):
        name = "_" + name.lstrip(".")
    if _DEVICES.match(name):
        name = "_" + name
    return _shortened(name) if name.strip("_ ") else "attachment"


def _shortened(name: str) -> str:
    if len(name.encode()) <= _MAX_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > 20:
        stem, dot, extension = name, "", ""
    room = _MAX_BYTES - len((dot + extension).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + extension


def unique(name: str, taken: set[str]) -> str:
    """`name`, or `name-2`, `name-3` ... before the extension; adds it to `taken`, whatever its case."""
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    candidate, count = name, 1
    while candidate.casefold() in taken:
        count += 1
        candidate = f"{stem}-{count}{dot}{extension}"
    taken.add(candidate.casefold())
    return candidate


def mail_folder_name(message_id: str | None) -> str:
    """The folder of a mail: its Message-ID where that is a safe name, else a digest of it; or empty."""
    bare = (message_id or "").strip().removeprefix("<").removesuffix(">")
    if not bare or (_SAFE_ID.fullmatch(bare) and not bare.endswith(".") and not _DEVICES.match(bare)):
        return bare
    return f"id-{hashlib.sha256(bare.encode('utf-8', 'replace')).hexdigest()[:32]}"
