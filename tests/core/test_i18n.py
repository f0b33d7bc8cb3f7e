"""Languages: English without a catalogue, another with one, and never another thread's."""

import threading
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from core import i18n


@pytest.fixture
def chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of three sentences for zh-Hant."""
    catalogue = Catalog(locale="zh_Hant")
    catalogue.add("Bread", "麵包")
    catalogue.add(("{n} photo", "{n} photos"), ("{n} 張照片",))
    folder = tmp_path / "zh_Hant" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "smallplates.mo").open("wb") as file:
        write_mo(file, catalogue)
    monkeypatch.setattr(i18n, "LOCALE_DIR", tmp_path)


@pytest.fixture(autouse=True)
def english_afterwards() -> object:
    yield
    i18n.set_language("en")


def test_english_is_the_source_text() -> None:
    assert i18n.language() == "en"
    assert i18n._("Bread") == "Bread"
    assert i18n.ngettext("{n} photo", "{n} photos", 1) == "{n} photo"
    assert i18n.ngettext("{n} photo", "{n} photos", 2) == "{n} photos"


def test_a_catalogue_translates_and_what_it_lacks_stays_english(chinese: None) -> None:
    i18n.set_language("zh-Hant")
    assert i18n._("Bread") == "麵包"
    assert i18n.food_class("Bread") == "麵包"
    assert i18n.ngettext("{n} photo", "{n} photos", 1) == "{n} 張照片"
    assert i18n._("Egg") == "Egg"
    assert i18n._("") == ""  # gettext would give the catalogue's header


def test_sentences_follow_each_other_as_their_language_wants(chinese: None) -> None:
    assert i18n.paragraph(["One.", "Two."]) == "One. Two."
    i18n.set_language("zh-Hant")
    assert i18n.paragraph(["一。", "二。"]) == "一。二。"
    assert (
        i18n.paragraph(["**甲模型** 的 **MB** 數", " **乙** 丙 A"])
        == "**甲模型**的 **MB** 數**乙**丙 A"
    )


def test_a_language_without_a_catalogue_reads_english(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "LOCALE_DIR", tmp_path / "nowhere")
    i18n.set_language("zh-Hant")
    assert i18n._("Bread") == "Bread"
    assert i18n.available_languages() == {"en": "English"}


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("zh-TW", "zh-Hant"),
        ("zh_tw", "zh-Hant"),
        ("zh", "zh-Hant"),
        ("zh_hant", "zh-Hant"),
        ("zh-CN", "zh-Hant"),
        ("zh-Hant-HK", "zh-Hant"),
        ("en-GB", "en"),
        ("fr", "en"),
        ("", "en"),
        (None, "en"),
        ("../../etc/passwd", "en"),
    ],
)
def test_a_browsers_tag_finds_its_language(chinese: None, wanted: str | None, code: str) -> None:
    assert i18n.match_language(wanted) == code


def test_threads_do_not_share_a_language(chinese: None) -> None:
    """As sessions: each script runs in a thread of its own."""
    heard: dict[str, str] = {}
    ready = threading.Barrier(2)

    def session(code: str) -> None:
        i18n.set_language(code)
        ready.wait(timeout=10)  # both have set theirs before either speaks
        heard[code] = i18n._("Bread")

    threads = [threading.Thread(target=session, args=(code,)) for code in ("en", "zh-Hant")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert heard == {"en": "Bread", "zh-Hant": "麵包"}
    assert i18n.language() == "en"
