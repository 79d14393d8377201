"""Bytes to text by the label a mail gives, which may be wrong, invented or hostile: never raises."""

from __future__ import annotations

import re
from encodings.aliases import aliases
from functools import lru_cache

__all__ = ["decode", "decode_checked"]

_LABEL_LIMIT = 64  # characters; the longest registered name has 45 (RFC 2978 wants 40 at most)

# Bytes to bytes, or host dependent: never the charset of a mail.
_NOT_TEXT = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "mbcs", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
# Text codecs of Python that have no entry in its alias table.
_UNALIASED = {
    *("cp720", "cp737", "cp856", "cp874", "cp875", "cp1006", "koi8_r", "koi8_t", "koi8_u", "utf_8_sig"),
    *("mac_arabic", "mac_croatian", "mac_farsi", "mac_romanian"),
}
# An allow-list: `codecs.lookup` remembers every unknown name for ever, so hostile labels must not reach it.
_CODECS = frozenset(aliases.values()) - _NOT_TEXT | _UNALIASED

_ALIASES = {
    "8bit": "cp1252",
    "ansi": "cp1252",
    "ansi_x3_110": "latin_1",
    "ansi_x3_110_1983": "latin_1",
    "ascii_8bit": "cp1252",
    "iso_8859_6_e": "iso8859_6",
    "iso_8859_6_i": "iso8859_6",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_8_i": "iso8859_8",
    "koi8": "koi8_r",
    "koi8_ru": "koi8_u",
    "unicode": "utf_8",
    "unicode_1_1_utf_8": "utf_8",
    "utf": "utf_8",
    "utf8mb4": "utf_8",
    "windows_31j": "cp932",
    "x_mac_cyrillic": "mac_cyrillic",
}

# What senders mean: the vendor's superset of the standard they name, as https://encoding.spec.whatwg.org.
_SUPERSETS = {
    "big5": "cp950",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso2022_jp": "iso2022_jp_ext",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "latin_1": "cp1252",
    "shift_jis": "cp932",
    "tis_620": "cp874",
    "utf_8_sig": "utf_8",
}

_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_CODE_PAGE = re.compile(r"(?:x_)?(?:ansi|cp|dos|ibm|ms|win|windows)_?(\d{3,5})")
_HIGH = bytes(range(0x80, 0x100))


def decode(data: bytes, charset: str) -> str:
    """Text of `data`, whatever the label says. Bytes that fit nothing become U+FFFD.

    :param charset: the label of the mail; empty without one (us-ascii by RFC 2045 5.2).
    """
    return decode_checked(data, charset)[0]


def decode_checked(data: bytes, charset: str) -> tuple[str, bool]:
    """As `decode`, and whether the charset had to be guessed because the label did not fit."""
    codec = _codec(charset)
    if codec is None:
        return _guess(data, "utf_8"), not data.isascii()
    try:
        return _strict(data, codec), False
    except ValueError:
        return _guess(data, codec), True


def _strict(data: bytes, codec: str) -> str:
    """Decoded without any mistake. :raises ValueError: the codec does not fit."""
    text = data.decode(codec)
    if codec == "utf_7":  # the one codec here that lets lone surrogates through, which no output can encode
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _guess(data: bytes, codec: str) -> str:
    """UTF-8 if it is; else `codec` if most of it fits; else windows-1252, the usual unlabelled charset."""
    try:
        return data.decode("utf-8")
    except ValueError:
        pass
    text = data.decode(codec, "replace")
    high = len(data) - len(data.translate(None, _HIGH))
    # The wrong charset loses nearly every 8-bit byte; a damaged text of the right one only some.
    if text.count("\ufffd") * 3 < max(high, 1):
        return text
    return data.decode("cp1252", "replace")


@lru_cache(maxsize=512)
def _codec(charset: str) -> str | None:
    """Python's name of the codec for a label; None when there is none to trust."""
    words = charset[:_LABEL_LIMIT].strip(" \t\"'").lower().removeprefix("charset=").split()
    label = _PUNCTUATION.sub("_", words[0].partition(";")[0]).strip("_") if words else ""
    page = _CODE_PAGE.fullmatch(label)
    names = (label, label.removeprefix("x_"), f"cp{page[1]}" if page else "")
    for name in names:
        codec = _ALIASES.get(name) or aliases.get(name) or name
        if codec in _CODECS:
            return _SUPERSETS.get(codec, codec)
    return None
