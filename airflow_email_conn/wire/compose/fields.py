"""Header fields as they are sent: checked, encoded and folded (RFC 5322, RFC 2047, RFC 2231)."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_email_conn.errors import DraftError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_email_conn.model.message import Address

__all__ = [
    "MAX_TEXT",
    "address_field",
    "check_message_id",
    "check_text",
    "parameter_field",
    "text_field",
    "token_field",
]

# Characters in one header value; Postfix cuts a header at 102,400 bytes (header_size_limit).
MAX_TEXT = 10_000

_LINE = 76  # RFC 2047 2: a line with an encoded word has at most 76 characters
_WORD = 75  # RFC 2047 2: an encoded word has at most 75
_ENVELOPE = len("=?utf-8?q??=")
_LONGEST_ID = 900  # a Message-ID cannot be folded, and a line ends at 998 (RFC 5322 2.1.1)

# Control characters end lines or hide text; U+0085, U+2028 and U+2029 are line ends to Python's parser.
# Surrogates that stand alone are no characters and cannot be encoded.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_SIMPLE_PARAMETER = re.compile(r"[A-Za-z0-9!#$%&'()*+,./:;<=>?@\[\]^_`{|}~ -]{1,60}")
_MESSAGE_ID = re.compile(r"<?([!-;=?-~]+)>?")
# RFC 2047 5 (3): what a Q-encoded word may hold as it is wherever it stands.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_ATTRIBUTE_SAFE = "!#$&+-.^_`{|}~"  # RFC 2231 7 attribute-char, beside letters and digits


def check_text(field: str, value: object, *, longest: int | None = None) -> str:
    """A text that may go into a header.

    :param longest: characters; no limit when None.
    :raises DraftError: names the field and the character.
    """
    if not isinstance(value, str):
        raise DraftError(f"{field}: must be text, not {type(value).__name__}")
    bad = _FORBIDDEN.search(value)
    if bad:
        raise DraftError(
            f"{field}: contains the character U+{ord(bad[0]):04X} at position {bad.start()}: "
            "line breaks and control characters are not allowed there"
        )
    if longest is not None and len(value) > longest:
        raise DraftError(f"{field}: {len(value)} characters are too many; at most {longest}")
    return value


def check_message_id(field: str, value: str) -> str:
    """A Message-ID with its angle brackets, which may be missing (RFC 5322 3.6.4). :raises DraftError:"""
    match = _MESSAGE_ID.fullmatch(check_text(field, value).strip())
    if match is None or len(match[1]) > _LONGEST_ID:
        raise DraftError(f"{field}: {value[:100]!a} is not a Message-ID such as <unique@example.com>")
    return f"<{match[1]}>"


def text_field(name: str, value: str, *, longest_word: int = 60) -> bytes:
    """An unstructured field, such as Subject.

    What looks like an encoded word is encoded itself, so it arrives as it was written.

    :param value: checked before.
    :param longest_word: a longer one without a space is encoded, so that it can be folded.
    """
    words = value.split(" ")
    plain = "=?" not in value and max(map(len, words)) <= longest_word
    if plain and (not value or _PLAIN.fullmatch(value)):
        return token_field(name, words)
    return token_field(name, _encoded_words(value, _LINE - len(name) - 2))


def address_field(name: str, addresses: Sequence[Address]) -> bytes:
    """From, To, Cc or Reply-To (RFC 5322 3.4)."""
    tokens: list[str] = []
    for number, address in enumerate(addresses, 1):
        tokens += [*_phrase(address.name), f"<{address.email}>"] if address.name else [address.email]
        if number < len(addresses):
            tokens[-1] += ","
    return token_field(name, tokens)


def parameter_field(name: str, value: str, parameters: Iterable[tuple[str, str]]) -> bytes:
    """Content-Type or Content-Disposition with its parameters, file names in two forms.

    A `name` is quoted RFC 2047 words, which no standard allows and old Outlooks need; any other
    parameter that is not simple follows RFC 2231.
    """
    tokens = [value]
    for key, text in parameters:
        tokens[-1] += ";"
        if _SIMPLE_PARAMETER.fullmatch(text) and "=?" not in text:
            tokens.append(f'{key}="{text}"')
        elif key == "name":
            tokens += f'{key}="{" ".join(_encoded_words(text, _WORD - 8))}"'.split(" ")
        else:
            tokens += _extended(key, text)
    return token_field(name, tokens)


def token_field(name: str, tokens: Iterable[str]) -> bytes:
    """Tokens with one space between them, folded before the token that would not fit into 76 octets."""
    lines, line, empty = [], f"{name}:".encode(), True
    for token in tokens:
        encoded = token.encode()
        if not empty and len(line) + 1 + len(encoded) > _LINE:
            lines.append(line)
            line = b""
        line += b" " + encoded
        empty = False
    return b"\r\n".join([*lines, line]) + b"\r\n"


def _phrase(name: str) -> list[str]:
    """A display name: atoms, a quoted string or encoded words, whichever is the plainest that works."""
    if "=?" not in name:
        if _ATOMS.fullmatch(name) and len(name) <= 200 and max(map(len, name.split(" "))) <= 60:
            return name.split(" ")
        if _PLAIN.fullmatch(name) and len(name) <= 60:
            return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']
    # The first word may stand behind "Reply-To:" or another address; fold() moves it when it does not fit.
    return _encoded_words(name, _LINE - len("Reply-To: "))


def _encoded_words(text: str, first: int) -> list[str]:
    """Encoded words, each of whole characters (RFC 2047 5), in the shorter of the two encodings.

    :param first: characters that the first one may have.
    """
    raw = text.encode()
    safe = sum(byte in _Q_SAFE or byte == 0x20 for byte in raw)
    quoted = safe + 3 * (len(raw) - safe) <= 4 * -(-len(raw) // 3)
    words: list[str] = []
    room = max(min(first, _WORD), 24) - _ENVELOPE
    chunk, length = b"", 0
    for char in text:
        encoded = char.encode()
        cost = sum(1 if b in _Q_SAFE or b == 0x20 else 3 for b in encoded) if quoted else len(encoded)
        if chunk and length + cost > (room if quoted else room // 4 * 3):
            words.append(_encoded_word(chunk, quoted=quoted))
            chunk, length, room = b"", 0, _WORD - _ENVELOPE
        chunk += encoded
        length += cost
    return [*words, _encoded_word(chunk, quoted=quoted)]


def _encoded_word(raw: bytes, *, quoted: bool) -> str:
    if not quoted:
        return f"=?utf-8?b?{binascii.b2a_base64(raw, newline=False).decode('ascii')}?="
    coded = "".join("_" if b == 0x20 else chr(b) if b in _Q_SAFE else f"={b:02X}" for b in raw)
    return f"=?utf-8?q?{coded}?="


def _extended(key: str, text: str) -> list[str]:
    """A parameter with its character set, in several when it is long (RFC 2231 4.1)."""
    chunks = ["utf-8''"]
    for char in text:
        coded = quote(char, safe=_ATTRIBUTE_SAFE)
        if len(chunks[-1]) + len(coded) > 50:
            chunks.append("")
        chunks[-1] += coded
    if len(chunks) == 1:
        return [f"{key}*={chunks[0]}"]
    last = len(chunks) - 1
    return [f"{key}*{n}*={chunk}{';' if n < last else ''}" for n, chunk in enumerate(chunks)]
