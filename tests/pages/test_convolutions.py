"""The convolution calculator's page, run without a browser."""

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import i18n
from core.convolutions import timing
from core.convolutions.method import EXAMPLES, LIMITS, ConvSetting
from tests.pages.conftest import REPO
from tests.pages.test_app import Marking

PAGE = REPO / "pages" / "convolutions.py"
SMALL = {"in_channels": "8", "out_channels": "8", "groups": "2", "map_size": "8"}
Open = Callable[..., AppTest]


@pytest.fixture
def open_it() -> Open:
    """The page by itself; its settings may be given as a link gives them."""

    def open_page(**query: str) -> AppTest:
        st.cache_data.clear()
        app = AppTest.from_file(str(PAGE), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        app = app.run()
        assert not app.exception
        return app

    return open_page


def words(app: AppTest) -> str:
    """All plain text on the page."""
    kinds = ("title", "header", "markdown", "caption", "info", "warning")
    return "\n".join(str(text.value) for kind in kinds for text in getattr(app, kind))


def alts(app: AppTest) -> str:
    """What the charts say they show, which is what they were given to draw."""
    return "\n".join(chart.proto.alt for chart in app.get("vega_lite_chart"))


def press(app: AppTest, label: str) -> AppTest:
    """Press the button with this label."""
    (button,) = [button for button in app.button if button.label == label]
    return button.click().run()


def reveal(app: AppTest) -> AppTest:
    """The page after "Just show me"."""
    return app.button_group(key="guess_share").set_value("show").run()


def test_the_page_says_something_true_and_not_the_answer(open_it: Open) -> None:
    app = open_it()
    assert app.title[0].value.endswith("?")
    charts = app.get("vega_lite_chart")
    assert len(charts) == 4  # parameters, three drawings
    assert all(len(chart.proto.alt) > 40 for chart in charts)
    assert "8 groups: an output channel reads 8 of 64" in alts(app)
    drawn = alts(app) + words(app) + charts[0].proto.spec
    assert "73,856" in drawn and "9,344" in drawn
    for answer in ("8,960", "12.1", "1/8.2"):  # layer 4 of plain_2m as depthwise + pointwise
        assert answer not in drawn
    app = reveal(app)
    assert "8,960 (12.1" in alts(app) and "1/8.2" in words(app)
    app.button_group(key="guess_share").set_value(1 / 8).run()
    assert "**Right.** It needs 8,960 of 73,856" in words(app)
    app.number_input(key="out_channels").set_value(8).run()
    assert "**Not quite.**" in words(app)
    assert "(guess: 12" in app.get("vega_lite_chart")[0].proto.spec


@pytest.mark.parametrize(
    ("tab", "content"),
    [("work", "6.17 MACs"), ("why", "= 8{,}960"), ("time", "11.9"), ("homework", "0.76867")],
)
def test_a_tab_that_tells_the_answer_waits_for_the_guess(
    open_it: Open, tab: str, content: str
) -> None:
    app = open_it(tab=tab)
    assert len(app.info) == 1 and "guess first" in app.info[0].value
    assert "8,960" not in words(app).replace("{,}", ",") + alts(app)
    app = reveal(app)
    assert not app.info and not app.exception and content in words(app)
    assert len(app.get("vega_lite_chart")) == (4 if tab == "work" else 1)


def test_why_and_trap_say_what_is_counted(open_it: Open) -> None:
    assert "class Step" in open_it(tab="why").code[0].value  # the key of a former tab
    app = open_it(tab="trap", groups="4")
    assert "**32, 32, 32** of 128" in words(app) and "**32, 128, 128** of 128" in words(app)
    app.number_input(key="groups").set_value(1).run()
    assert "above 1" in app.info[0].value


def test_every_control_changes_the_answer_at_once(open_it: Open) -> None:
    """Meant: 20 ms of processor time a touch; with room for a slow machine."""
    # 64 groups of 64 input channels: the group layer's drawing follows the channels, too
    app = reveal(open_it(in_channels="32", out_channels="64", groups="4", tab="work"))
    seconds = []
    for field in LIMITS:
        before = words(app) + alts(app)
        box = app.number_input(key=field)
        box.set_value(box.value * 2 if box.value else 1)
        began = time.process_time()
        app.run()
        seconds.append(time.process_time() - began)
        assert not app.exception and not app.warning
        assert words(app) + alts(app) != before, field
    assert statistics.median(seconds) < 0.1
    before = words(app)
    app.slider(key="rank_percent").set_value(50).run()
    assert words(app) != before
    before = words(app)
    app.toggle(key="bias").set_value(False).run()
    assert words(app) != before


def test_a_link_sets_every_control(open_it: Open) -> None:
    link = {"in_channels": "12", "out_channels": "20", "groups": "4", "map_size": "30",
            "kernel_size": "5", "stride": "2", "padding": "2"}  # fmt: skip
    app = open_it(**link, bias="false", rank_percent="60")
    for field, value in link.items():
        assert app.number_input(key=field).value == int(value)
    assert app.toggle(key="bias").value is False
    assert app.slider(key="rank_percent").value == 60
    assert "6,000" in alts(app)  # 12 x 20 x 25 weights
    assert "Rank 36 of 60" in words(app)
    assert "4 groups: an output channel reads 3 of 12" in alts(app) and "8 groups" not in alts(app)


@pytest.mark.parametrize("value", ["nan", "-1", "1e999", "", "../../x", "<script>", "九"])
def test_a_mangled_link_still_opens(open_it: Open, value: str) -> None:
    names = (*LIMITS, "bias", "rank_percent", "guess_share", "tab")
    app = open_it(**dict.fromkeys(names, value))
    for field, (least, most) in LIMITS.items():
        shown = app.number_input(key=field).value
        assert shown is not None and least <= shown <= most
    app.number_input(key="stride").set_value(2).run()
    assert not app.exception
    assert app.number_input(key="stride").value == 2


@pytest.mark.parametrize(
    ("link", "reason", "cure", "field"),
    [
        ({"groups": "7"}, "7 groups", "Groups: 4", "groups"),
        ({"in_channels": "30", "groups": "4"}, "4 groups", "Input channels: 32", "in_channels"),
        ({"kernel_size": "9", "padding": "0", "map_size": "4"}, "empty", "Padding: 3", "padding"),
    ],
)
def test_what_cannot_be_is_explained_and_mended(
    open_it: Open, link: dict[str, str], reason: str, cure: str, field: str
) -> None:
    app = open_it(**link)
    assert reason in app.warning[0].value
    assert not app.get("vega_lite_chart")
    app = press(app, cure)
    assert app.number_input(key=field).value == int(cure.rpartition(" ")[2])
    assert not app.warning
    assert len(app.get("vega_lite_chart")) == 4


def test_an_example_sets_its_layer(open_it: Open) -> None:
    app = reveal(press(open_it(), "HW13 residual, stage 2"))
    for field in LIMITS:
        assert app.number_input(key=field).value == getattr(EXAMPLES["hw13_residual"], field)
    assert "8,960" in alts(app)  # 640 + 8,320, as torchsummary prints them for hw13_residual


def test_a_setting_is_timed_once_until_asked_again(
    open_it: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    measured = timing.time_layers

    def counted(setting: ConvSetting) -> timing.ConvTimings:
        calls.append(setting)
        return measured(setting, budget_s=0.0)

    monkeypatch.setattr("core.convolutions.timing.time_layers", counted)
    kept: list[tuple[Any, ...]] = []
    monkeypatch.setattr("pages.kit.lab.measured", lambda *all: kept.append(all))
    app = press(reveal(open_it(**SMALL, tab="time")), "Time it here")
    charts = app.get("vega_lite_chart")
    assert len(charts) == 2 and "of the time at batch 32" in charts[-1].proto.alt
    assert "1 thread" in words(app) and re.search(r"takes [\d,.]+\s%", words(app))
    key, _about, result, _when, settings, values = kept[-1]
    assert key == "time_it" and "of the standard layer's time" in result
    assert values["time_share"] > 0 and settings["map_size"] == int(SMALL["map_size"])
    press(press(app, "Time it here").run(), "Time it here")
    assert len(calls) == 1
    press(app, "Measure again")
    assert len(calls) == 2
    app.number_input(key="groups").set_value(4).run()  # another layer: not measured yet
    assert len(app.get("vega_lite_chart")) == 1


def test_another_visitors_timing_is_said(open_it: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = partial(timing.time_layers, budget_s=0.0, wait_s=0.01)
    monkeypatch.setattr("core.convolutions.timing.time_layers", hurried)
    app = reveal(open_it(**SMALL, tab="time"))
    with timing._ONE_AT_A_TIME:
        press(app, "Time it here")
        assert "Somebody else" in app.warning[0].value
    press(app, "Time it here")
    assert not app.warning
    assert len(app.get("vega_lite_chart")) == 2


def test_a_layer_too_heavy_to_time_is_said(open_it: Open) -> None:
    vast = {"in_channels": "1024", "out_channels": "1024", "map_size": "224"}
    app = reveal(open_it(**vast, tab="time"))
    assert "Batch 1 is left out" in words(app)
    assert "Time it here" not in [button.label for button in app.button]


def shown(app: AppTest) -> Iterator[str]:
    """All words a reader meets."""
    yield from words(app).splitlines()
    yield alts(app)
    for widgets in (app.button, app.number_input, app.slider, app.toggle, app.button_group):
        yield from (str(widget.label) for widget in widgets)
    for player in app.get("bidi_component"):
        said = json.loads(player.proto.json)["words"]
        yield from (said | said.pop("titles")).values()


@pytest.mark.parametrize("tab", ["wiring", "slide", "work", "sums", "trap", "homework", "time"])
def test_all_words_can_be_translated(
    open_it: Open, monkeypatch: pytest.MonkeyPatch, tab: str
) -> None:
    hurried = partial(timing.time_layers, budget_s=0.0)
    monkeypatch.setattr("core.convolutions.timing.time_layers", hurried)
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    app = open_it(**SMALL, tab=tab)
    texts = list(shown(app))
    app = reveal(app)
    if tab == "time":
        app = press(app, "⟦Time it here⟧")
    texts += shown(app)
    app.number_input(key="groups").set_value(7).run()
    for text in [*texts, *shown(app)]:
        left = re.sub(r"\\text\{\w+\}|\\\w+|&\w+;", "", text)  # not words
        while (inner := re.sub(r"⟦[^⟦⟧]*⟧", "", left)) != left:
            left = inner
        assert not re.search(r"[^\W\d_]{3}", left), text


def test_the_kernel_slides_over_numbers_of_trained_students(open_it: Open) -> None:
    (player,) = open_it(tab="slide").get("bidi_component")
    data = json.loads(player.proto.json)
    macs = {
        data["words"]["titles"][layer["kind"]]: (layer["macs"], layer["formula"])
        for layer in data["layers"]
    }
    assert macs == {
        "First layer": (32 * 32 * 16 * 3 * 9, "32 × 32 × 16 × 3 × 3²"),
        "Standard": (16 * 16 * 32 * 16 * 9, "16 × 16 × 32 × 16 × 3²"),
        "Depthwise": (16 * 16 * 16 * 9, "16 × 16 × 16 × 1 × 3²"),
        "Pointwise": (16 * 16 * 32 * 16, "16 × 16 × 32 × 16 × 1²"),
        "8 groups": (16 * 16 * 32 * 2 * 9, "16 × 16 × 32 × 2 × 3²"),
    }
    assert "generated picture" in data["alt"]
    app = open_it(tab="slide")
    assert data["id"] == json.loads(app.get("bidi_component")[0].proto.json)["id"]
    answer = "167,936 multiplications, 14.2"
    assert answer not in words(app) and answer in words(reveal(app))


def test_without_trained_students_nothing_slides(
    open_it: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    app = open_it(tab="slide")
    assert not app.get("bidi_component")
    assert "plain_275k" in words(app) and "group8_277k" in words(app)
