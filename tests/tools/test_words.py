"""The catalogues: compiled as they are written, in the words and signs of their readers."""

import gettext
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from core.cli.main import main
from tools import words
from tools.__main__ import COMMANDS

EACH = pytest.mark.parametrize("code", words.translated_languages())


@EACH
def test_what_the_app_reads_is_what_the_translator_wrote(code: str) -> None:
    with words.po_file(code).with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    written = {}
    for message in words.read(code):
        if message.id and message.string and all(message.string):
            many = isinstance(message.id, tuple)
            written[(message.id[0], 0) if many else message.id] = (
                message.string[0] if many else message.string
            )
    read = {id: text for id, text in vars(compiled)["_catalog"].items() if id and text not in id}
    assert read == {id: text for id, text in written.items() if text not in id}


@EACH
def test_every_word_of_the_app_is_translated(code: str) -> None:
    """New or changed words? `python -m tools words`, then translate what it names."""
    lacking = [fault.message for fault in words.faults(words.updated(code))]
    assert not lacking, "\n".join(lacking)
    assert words.is_current(code)


@EACH
def test_every_translation_keeps_its_markup_and_script(code: str) -> None:
    faults = [fault for fault in words.faults(words.read(code)) if fault.what != "no translation"]
    assert not faults, "\n".join(map(str, faults))


@pytest.mark.parametrize(
    ("source", "text", "what"),
    [
        ("Bread", "", "no translation"),
        ("{n} of {m}", "{n}", "placeholder"),
        ("{n:,} k", "{n} 千", "placeholder"),
        ("**Two** traps", "兩個陷阱", "markup"),
        ("See `x`.", "看 `y`。", "markup"),
        (":material/check: Done", "完成", "markup"),
        ("a<br>b", "甲乙", "markup"),
        ("one\n\ntwo", "一二", "markup"),
        ("**Two.** Go", "**二。**走", "emphasis"),
        ("**See.** {x}", "**看。**{x}", "emphasis"),
        ("*a (b)* c", "*甲（乙）*丙", "emphasis"),
        ("a **(b)** c", "甲**（乙）**丙", "emphasis"),
        ("Learn", "学習", "simplified"),
        ("Machine", "机器", "simplified"),
        ("Network", "網絡", "網絡"),
        ("Use T", "用T", "no space"),
        ("95 % of", "95%的", "no space"),
        ("Yes, no", "對, 錯", "half-width"),
        ("A (b)", "甲(乙)", "half-width"),
        ("End.", "結束.", "half-width"),
    ],
)
def test_what_a_reader_would_stumble_over_is_found(source: str, text: str, what: str) -> None:
    catalogue = Catalog(locale="zh_Hant")
    catalogue.add(source, text)
    assert any(what in fault.what for fault in words.faults(catalogue))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{n} of {m}, {n} again", "{m} 個中 {n} 個，又是 {n} 個"),
        ("**What you see.** {text}", "**你看到什麼**。{text}"),
        ("**Fast?** No, *slow* (`a*b`).", "**快嗎？** 不，*慢*（`a*b`）。"),
        ("KL (p ‖ q) = 95 %", "KL (p ‖ q) = 95%"),
        ("Measuring ...", "正在測量 …"),
        ("http://<name of it>:1", "http://<它的名稱>:1"),
    ],
)
def test_good_sentences_pass(source: str, text: str) -> None:
    catalogue = Catalog(locale="zh_Hant")
    catalogue.add(source, text)
    assert not list(words.faults(catalogue))


def test_either_plural_may_lend_its_placeholders_but_no_other() -> None:
    catalogue = Catalog(locale="zh_Hant")
    catalogue.add(("an epoch", "{n} epochs"), ("{n} 個 epoch",))
    assert not list(words.faults(catalogue))
    catalogue = Catalog(locale="zh_Hant")
    catalogue.add(("an epoch", "{n} epochs"), ("{m} 個 epoch",))
    assert list(words.faults(catalogue))


def test_messages_are_found_wherever_they_stand() -> None:
    source = """
a = _("one " "line"), i18n._("two"), f"{_('three')} and {n + len(_('four'))}"
b = ngettext("{n} egg", "{n} eggs", len(x)), _(title), other("five")
"""
    found = {"one line", "two", "three", "four", ("{n} egg", "{n} eggs")}
    assert set(words.messages_of(source)) == found


def test_a_fuzzy_translation_is_a_fault() -> None:
    catalogue = Catalog(locale="zh_Hant")
    catalogue["Bread"] = Message("Bread", "麵包", flags={"fuzzy"})
    assert [fault.what for fault in words.faults(catalogue)] == ["fuzzy"]


def test_new_words_come_and_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "app.py"
    monkeypatch.setattr(words, "REPO", tmp_path)
    monkeypatch.setattr(words, "SOURCES", ("app.py",))
    monkeypatch.setattr(words, "MODELS", {})
    monkeypatch.setattr(words, "load_manifest", dict)
    monkeypatch.setattr(words, "LOCALE_DIR", tmp_path / "locale")
    source.write_text("_('Bread')\n\nngettext('{n} egg', '{n} eggs', n)\n", encoding="utf-8")
    assert main(["words", "--check"], COMMANDS, "tools") == 1
    assert "Out of date" in capsys.readouterr().out
    words.update("zh-Hant")
    file = words.po_file("zh-Hant")
    first = file.read_text(encoding="utf-8").replace('"Bread"\nmsgstr ""', '"Bread"\nmsgstr "麵包"')
    assert "#: app.py\n" in first and 'msgid_plural "{n} eggs"' in first
    file.write_text(first, encoding="utf-8")
    source.write_text("\n_('Bread'), _('Rice')\n", encoding="utf-8")
    assert [fault.message for fault in words.update("zh-Hant")] == ["Rice"]
    second = file.read_text(encoding="utf-8")
    assert "麵包" in second and "egg" not in second and words.is_current("zh-Hant")
