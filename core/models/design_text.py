"""A design as people paste it: freed from what editors, chats and word processors put around it.

A byte order mark, UTF-16, quotes, code fences, zero-width characters, full-width letters and
typographic dashes stand for nothing in a design; whoever copies one cannot see most of them.
"""

import codecs
import unicodedata

_BOMS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MISREAD_BOMS = ("ï»¿", "ÿþ", "þÿ")
"""Byte order marks that somebody has read as Latin-1."""
_FENCES = ("```", "~~~")
_DOUBLE, _SINGLE = "“”„‟«»〝〞＂「」『』", "‘’‚‛‹›＇´"
_QUOTES = "\"'`" + _DOUBLE + _SINGLE
_TYPED = str.maketrans(dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_SINGLE, "'") | {"×": "x"})


def unwrapped(data: str | bytes) -> str:
    """The text without what stands around it: marks, spaces, a code fence, quotes.

    Bytes are UTF-8, or UTF-16 or UTF-32 by their mark or their zeros; what is none of these keeps
    replacement characters, which no design has.
    """
    text = _decoded(data) if isinstance(data, bytes) else data
    text = _stripped(text.replace("\x00", ""))  # of UTF-16 that was read as something else
    for mark in _MISREAD_BOMS:
        text = text.removeprefix(mark)
    lines = text.splitlines()
    language = lines[0].strip("`~ ") if lines else ""
    if len(lines) > 1 and lines[0].startswith(_FENCES) and (not language or language.isalnum()):
        end = -1 if lines[-1].strip() in _FENCES else None
        text = _stripped("\n".join(lines[1:end]))
    while len(text) > 1 and text[0] in _QUOTES and text.rstrip(",;")[-1:] in _QUOTES:
        text = _stripped(text.rstrip(",;")[1:-1])
    return text


def typed(text: str) -> str:
    """The text in the characters of a keyboard: no full-width letters, no typographic quotes and
    dashes, nothing without a width."""
    plain = unicodedata.normalize("NFKC", text).translate(_TYPED)
    kinds = ((one, unicodedata.category(one)) for one in plain)
    return "".join(
        "-" if kind == "Pd" or one == "−" else one for one, kind in kinds if kind != "Cf"
    )


def _decoded(data: bytes) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.removeprefix(mark).decode(encoding, "replace")
    if data[1:2] == b"\x00":
        return data.decode("utf-16-le", "replace")
    return data.decode("utf-16-be" if data[:1] == b"\x00" else "utf-8", "replace")


def _stripped(text: str) -> str:
    """Without spaces and characters of no width at its ends."""
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_blank(one: str) -> bool:
    return one.isspace() or unicodedata.category(one) == "Cf"
