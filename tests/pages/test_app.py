"""Promises of every page: it draws whatever is missing, says all in the reader's language, and
each chart and picture has words for who cannot see it."""

import ast
import asyncio
import gc
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from core import i18n
from core.charts import numbers
from core.models.registry import MODELS
from pages.kit import frame, server
from tests.conftest import run_python
from tests.food import make_food11
from tests.pages import shelf
from tests.pages.conftest import REPO

SOURCES = [REPO / "app.py", *sorted((REPO / "pages").rglob("*.py"))]
EVERY = [entry.key for entry in frame.entries()]
OURS = ("home", "compare", "temperature")
"""Pages that have nothing to show without a checkpoint."""
CHANGED = ("pruning", "low_rank", "quantization")
"""Pages that change a network, if it has a layer to change: those of `shelf` have none."""
Open = Callable[..., AppTest]


def said(app: AppTest) -> str:
    """All plain text on the page."""
    kinds = ("title", "header", "markdown", "caption", "info", "success", "warning", "error")
    return "\n".join(str(element.value) for kind in kinds for element in getattr(app, kind))


def tables(app: AppTest) -> list[dict[str, list[str]]]:
    """Every Markdown table on the page: title -> cells, narrow spaces left out."""
    found = []
    for text in (str(each.value) for each in app.markdown):
        if text.startswith("| ") and "---" in text:
            head, _rules, *rows = (
                [cell.strip().replace(numbers.THIN, "") for cell in line.strip("|").split("|")]
                for line in text.splitlines()
            )
            found.append(dict(zip(head, map(list, zip(*rows, strict=True)), strict=True)))
    return found


def data_buttons(app: AppTest) -> set[str]:
    """Names of the charts whose data can be downloaded under them."""
    ids = (button.proto.id for button in app.get("download_button"))
    return {id.partition("-data-")[2] for id in ids if "-data-" in id}


@pytest.mark.parametrize("page", EVERY)
def test_pages_draw_with_no_network_one_or_two(open_page: Open, page: str) -> None:
    app = open_page(page)
    assert not app.exception and app.title[0].value
    assert page not in OURS + CHANGED or "python -m core reproduce" in app.code[0].value
    for ids in ((shelf.TEACHER,), (shelf.TEACHER, shelf.DISTILLED)):
        if len(ids) == 1 or page in CHANGED:  # the others are drawn with several below
            shelf.fill(*ids)
            app = open_page(page)
            assert not app.exception and app.title[0].value


@pytest.mark.parametrize("page", OURS)
@pytest.mark.parametrize("manifest", ["{", '{"checkpoints": {"a": {"model": 1}}}'])
def test_a_damaged_manifest_is_said(
    open_page: Open, pretrained: Path, page: str, manifest: str
) -> None:
    (pretrained / "manifest.json").write_text(manifest)
    app = open_page(page)
    assert not app.exception
    assert "manifest" in [*app.error, *app.warning][0].value


@pytest.mark.parametrize("page", OURS)
def test_a_damaged_checkpoint_does_not_stop_the_others(
    open_page: Open, pretrained: Path, food: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    shelf.fill(shelf.TEACHER, shelf.DISTILLED, shelf.SCRATCH)
    shelf.spoil(pretrained, shelf.SCRATCH)
    link = {"networks": list(shelf.NOISE), "tab": "classes"} if page == "compare" else {}
    app = open_page(page, **link)
    assert not app.exception
    if page == "compare":
        assert shelf.SCRATCH in app.error[0].value
        assert len(app.get("vega_lite_chart")) == 1 + 2


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_food11(tmp_path_factory.mktemp("food"))


HOSTILE = ["nan", "-1e999", "", "\x00../../etc/<script>九", "0" * 5000]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_mangled_link_still_opens(open_page: Open, value: str) -> None:
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    names = [
        "T",
        "networks",
        "cost",
        "kind",
        "teacher",
        "number_sure",
        "photo_from",
        "lang",
        "food",
    ]
    for page in OURS:
        app = open_page(page, **dict.fromkeys([*names, "lang"], value))
        assert not app.exception, (page, value)


def test_a_link_sets_the_page(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    app = open_page("compare", T="2.5", networks=[shelf.SCRATCH], tab="classes")
    assert app.slider[0].value == 2.5
    assert app.multiselect[0].value == [shelf.SCRATCH]
    app = open_page("home", cost="size_bytes")
    assert '"size_bytes"' in app.get("vega_lite_chart")[0].proto.spec


SHOWING = {
    "title", "header", "subheader", "markdown", "caption", "text", "write", "info", "success",
    "warning", "error", "toast", "button", "download_button", "link_button", "page_link", "toggle",
    "checkbox", "radio", "selectbox", "multiselect", "slider", "select_slider", "number_input",
    "text_input", "text_area", "file_uploader", "camera_input", "segmented_control", "pills",
    "expander", "popover", "tabs", "metric", "spinner", "status", "badge", "show",
    "show_with_slider", "set_page_config", "Page", "NumberColumn", "TextColumn", "Column",
}  # fmt: skip
WORDY = {"label", "help", "alt", "placeholder", "caption", "title", "page_title", "body", "text"}


def bare_words(tree: ast.AST) -> Iterator[str]:
    """Text given to something that shows it, without `_()` around it."""

    def letters(node: ast.AST) -> Iterator[ast.Constant]:
        if isinstance(node, ast.Call):
            return  # `_("...")` and its kin, `.format(...)` of one: translated
        if isinstance(node, ast.FormattedValue | ast.Subscript | ast.Attribute | ast.Compare):
            return
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                words = re.sub(r":[a-z]+\[|&[a-z]+;", "", node.value)  # without Markdown's own
                if re.search(r"[^\W\d_]{2}", words):
                    yield node
            return
        for child in ast.iter_child_nodes(node):
            yield from letters(child)

    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [word.value for word in node.keywords if word.arg in WORDY]
        if name in ("show", "show_with_slider"):
            given += node.args[1:2]  # what is said of the chart, which is the first
        elif name in SHOWING and node.args and name != "Page":
            given.append(node.args[0])
        for value in given:
            for text in letters(value):
                yield f"line {text.lineno}: {text.value!r}"


def test_every_visible_text_passes_through_gettext() -> None:
    problems = [
        f"{path.relative_to(REPO)}, {problem}"
        for path in SOURCES
        for problem in bare_words(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not problems, "\n".join(problems)


def test_the_rule_finds_bare_words_and_leaves_translated_ones_alone() -> None:
    for source in (
        'st.title("Hello")',
        'left.markdown("Hello " + _("you"))',
        'st.slider(_("T"), help="more")',
        'show(chart, "A chart")',
        'st.caption(f"about {n} photos")',
        'right.selectbox("Class", names)',
    ):
        assert list(bare_words(ast.parse(source))), source
    source = "st.title(_('Hello')); st.caption(f'**{word}** &nbsp;:gray[{n}]'); st.code('x = 1')"
    assert not list(bare_words(ast.parse(source)))


def english_joins(tree: ast.AST) -> Iterator[str]:
    """Sentences, or a name and its value, put together with a space or a mark of English: Chinese
    has others. `core.i18n` has `paragraph`, `labelled` and `bracketed`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
            if any(re.fullmatch(r"\**[.:;]\** \W*", str(part)) for part in parts[1:]):
                yield f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = (getattr(side, "value", None) for side in (node.left, node.right))
            if any(re.fullmatch("[,.:;]? ", str(side)) for side in sides):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_sentences_are_joined_as_their_language_joins_them() -> None:
    problems = [
        f"{path.relative_to(REPO)}, {problem}"
        for path in [*SOURCES, *(REPO / "core").glob("*/chart.py")]
        for problem in english_joins(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not problems, "\n".join(problems)
    for source in ("_('a') + ' ' + _('b')", "f'**{a}**: {b}'", "x = f'{a}. {b} {c}'"):
        assert list(english_joins(ast.parse(source))), source


class Marking:
    """A translation into ⟦brackets⟧: what stands outside them was not translated."""

    def gettext(self, text: str) -> str:
        return f"⟦{text}⟧"

    def ngettext(self, one: str, many: str, n: int) -> str:
        return f"⟦{one if n == 1 else many}⟧"


def outside(text: str) -> str:
    """What is left of a text without its translated parts, code, formulas and networks' names."""
    for spec in MODELS.values():
        text = text.replace(spec.title, "")
    text = re.sub(r"`[^`]*`|&\w+;|\$[^$]*\$", "", text)
    while (inner := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = inner
    return text


@pytest.mark.parametrize("page", EVERY)
def test_nothing_on_the_page_escapes_translation_and_all_pictures_have_alt_text(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, food: Path, page: str
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    app = open_page(page)
    assert not app.exception
    texts = [str(element.value) for kind in ("title", "header", "markdown", "caption", "info",
             "success", "warning") for element in getattr(app, kind)]  # fmt: skip
    widgets = [*app.selectbox, *app.multiselect, *app.slider, *app.button, *app.toggle]
    widgets += [*app.number_input, *app.button_group, *app.expander, *app.radio]
    texts += [str(widget.label) for widget in widgets]
    texts += [option for menu in [*app.selectbox, *app.radio] for option in menu.options]
    charts = [chart.proto.alt for chart in app.get("vega_lite_chart")]
    assert charts or page not in OURS
    assert all(len(alt) > 20 for alt in charts)
    assert len([*texts, *charts]) >= 8
    untranslated = [text for text in [*texts, *charts] if re.search(r"[^\W\d_]{3}", outside(text))]
    untranslated = [text for text in untranslated if "<style>" not in text and text[:1] != "$"]
    assert not untranslated, "\n".join(untranslated)
    pictures = [picture for block in app.get("image") for picture in block.proto.imgs]
    assert pictures or page != "compare"
    assert all(picture.alt for picture in pictures)


@pytest.mark.parametrize("link", ["zh-Hant", "zh_TW", "zh-hk"])
def test_the_language_is_the_links_and_stays_the_sessions(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    monkeypatch.setattr(i18n, "available_languages", lambda: dict(i18n.LANGUAGES))
    chinese = SimpleNamespace(gettext=lambda text: "臺" + text, ngettext=lambda o, m, n: "臺" + m)
    english = SimpleNamespace(gettext=lambda text: text, ngettext=lambda o, m, n: m)
    monkeypatch.setattr(
        i18n, "_catalogue", lambda code, _folder: chinese if code == "zh-Hant" else english
    )
    translated = open_page("home", lang=link)
    assert translated.title[0].value.startswith("臺")
    switch: Any = translated.sidebar.get("button_group")[0]
    assert switch.value == "zh-Hant" and switch.label.startswith("臺")  # drawn before it is read
    plain = open_page("home")
    assert not plain.title[0].value.startswith("臺")
    switch = plain.sidebar.get("button_group")[0]
    chosen = switch.select("zh-Hant").run()
    assert chosen.query_params["lang"] in ("zh-Hant", ["zh-Hant"])
    assert chosen.title[0].value.startswith("臺")


def test_streamlit_is_set_up_as_the_file_says_and_collects_nothing_after_a_run() -> None:
    """An option that a new Streamlit no longer knows would be lost without a word."""
    path = REPO / ".streamlit" / "config.toml"
    for section, options in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for name, value in options.items():
            if not isinstance(value, dict):
                assert config.get_option(f"{section}.{name}") == value
    assert config.get_option("runner.postScriptGC") is False


@pytest.mark.slow
def test_no_page_that_only_draws_imports_torch(food: Path) -> None:
    """Over the shipped networks; app.py and home do without ONNX Runtime: they come at once."""
    program = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(REPO / "app.py")!r}, default_timeout=120).run()
assert not app.exception and app.get("vega_lite_chart"), app.exception
assert "onnxruntime" not in sys.modules
for page in {(*OURS[1:], *CHANGED)!r}:
    assert not app.switch_page(f"pages/{{page}}.py").run().exception, app.exception
    assert app.get("vega_lite_chart"), page
    assert "torch" not in sys.modules, page
"""
    run_python(program, FOOD11_ROOT=food)


@pytest.mark.slow
def test_a_second_start_draws_home_without_pandas_and_altair(tmp_path: Path) -> None:
    """Both take 0.4 s; the charts of the shipped networks are compiled already."""
    program = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(REPO / "app.py")!r}, default_timeout=60).run()
assert not app.exception and len(app.get("vega_lite_chart")) == 2, app.exception
print(*sorted({{"altair", "pandas", "jsonschema", "onnxruntime"}} & set(sys.modules)))
"""
    told = []
    environment = os.environ | {"PYTHONPATH": str(REPO), "SMALL_PLATES_CACHE": str(tmp_path)}
    del environment["SMALL_PLATES_VALIDATE_CHARTS"]
    for _start in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPO,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.split())
    assert "altair" in told[0] and told[1] == []


def test_the_foot_leads_to_the_next_page(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    app = open_page("home", tab="networks")
    assert data_buttons(app) == {"networks"}
    assert len(list(app.get("page_link"))) >= 3  # one to each page, and the next


def test_one_set_of_photographs_is_named_once(open_page: Open, pretrained: Path) -> None:
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    path = pretrained / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["checkpoints"][shelf.DISTILLED]["data"]["name"] += ", having learned from: Dreams"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    captions = [caption.value for caption in open_page("home", tab="sources").caption]
    (line,) = (caption for caption in captions if "Accuracies measured on" in caption)
    assert line == "Accuracies measured on 66 test photographs of Generated colours (not Food-11)."


def test_the_garbage_collector_works_again_whatever_happens_to_the_prewarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr("pages.kit.server.importlib.import_module", broken)
    try:
        gc.disable()  # as app.py does when the server imports it
        with ThreadPoolExecutor(1) as threads:  # a browser's test may have left a loop in this one
            threads.submit(asyncio.run, server.prewarm()).result()
        assert gc.isenabled()
    finally:
        gc.enable()
