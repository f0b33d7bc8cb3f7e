"""Every word the app shows passes through `_()`: gettext, with English as the source text.

The language is a context variable: each session's script thread has its own, so one visitor's
Chinese never becomes another's. Catalogues live in `core/locale/<language>/LC_MESSAGES/` (`python
-m tools words` makes them); a language, or a sentence, without a translation is shown in English.
What a process keeps for all its sessions holds no word, or has the language in its key.
"""

import gettext as _gettext
import re
from collections.abc import Iterable
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

LOCALE_DIR = Path(__file__).with_name("locale")
DOMAIN = "smallplates"
SOURCE_LANGUAGE = "en"

LANGUAGES: dict[str, str] = {"en": "English", "zh-Hant": "繁體中文"}
"""Language code (BCP 47) -> the language's own name, which is what a reader looks for in a menu."""

_language: ContextVar[str] = ContextVar("language", default=SOURCE_LANGUAGE)


@lru_cache(maxsize=16)
def _catalogue(code: str, folder: Path) -> _gettext.NullTranslations:
    return _gettext.translation(DOMAIN, str(folder), languages=[locale_of(code)], fallback=True)


def locale_of(code: str) -> str:
    """The name of a language's folder of catalogues: "zh_Hant" for "zh-Hant"."""
    return code.replace("-", "_")


def available_languages() -> dict[str, str]:
    """The languages there is a catalogue for, English first: what a language menu may offer."""
    return dict(_available(LOCALE_DIR))


@lru_cache(maxsize=16)
def _available(folder: Path) -> dict[str, str]:
    return {
        code: name
        for code, name in LANGUAGES.items()
        if code == SOURCE_LANGUAGE
        or _gettext.find(DOMAIN, str(folder), languages=[locale_of(code)])
    }


def known_language(wanted: str | None) -> str | None:
    """The language there is for a browser's tag, or a link's; None where there is none.

    Every Chinese ("zh", "zh_TW", "zh-Hant-HK", "zh-CN" too) is the Traditional one: who reads
    Simplified characters reads these more easily than English, which the menu offers.
    """
    tag = (wanted or "").replace("_", "-").lower()
    offered = available_languages()
    exact = {code.lower(): code for code in offered}
    if tag in exact:
        return exact[tag]
    first = tag.split("-")[0]
    return next((code for code in offered if code.lower().split("-")[0] == first), None)


def match_language(wanted: str | None) -> str:
    """`known_language`, or English: anything unknown, empty or hostile."""
    return known_language(wanted) or SOURCE_LANGUAGE


def set_language(code: str) -> None:
    """Speak `code` from here on in this context (thread); an unknown code means English."""
    _language.set(code if code in LANGUAGES else SOURCE_LANGUAGE)


def language() -> str:
    """The language code in force in this context."""
    return _language.get()


def _(text: str) -> str:
    """`text` in the language of this context; English where there is no translation."""
    # gettext answers the empty string with the catalogue's header
    return _catalogue(_language.get(), LOCALE_DIR).gettext(text) if text else ""


def ngettext(singular: str, plural: str, n: int) -> str:
    """`singular` or `plural`, by the plural rule of the language of this context, for `n`."""
    return _catalogue(_language.get(), LOCALE_DIR).ngettext(singular, plural, n)


_BETWEEN_HAN = re.compile("(?<=[\u3400-\u9fff])(\\**) (\\**)(?=[\u3400-\u9fff])")
"""The space that stands beside a placeholder for a Latin name, where it was given a Chinese one."""


def paragraph(sentences: Iterable[str]) -> str:
    """Sentences one after the other: a space between them, none in Chinese; nor has Chinese one
    between its own characters, bold or not."""
    if _language.get() != "zh-Hant":
        return " ".join(sentences)
    return _BETWEEN_HAN.sub(r"\1\2", "".join(sentences))


def labelled(name: str, value: str) -> str:
    """ "name: value", with the colon of the language of this context."""
    return _("{name}: {value}").format(name=name, value=value)


def bracketed(value: str, detail: str) -> str:
    """ "value (detail)", with the brackets of the language of this context."""
    return _("{value} ({detail})").format(value=value, detail=detail)


def food_class(name: str) -> str:
    """A class of `core.course.CLASSES` in the language of this context."""
    return {
        "Bread": _("Bread"),
        "Dairy product": _("Dairy product"),
        "Dessert": _("Dessert"),
        "Egg": _("Egg"),
        "Fried food": _("Fried food"),
        "Meat": _("Meat"),
        "Noodles/Pasta": _("Noodles/Pasta"),
        "Rice": _("Rice"),
        "Seafood": _("Seafood"),
        "Soup": _("Soup"),
        "Vegetable/Fruit": _("Vegetable/Fruit"),
    }.get(name, name)
