"""The convolution calculator's page, run without a browser."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import i18n
from core.convolutions import timing
from core.convolutions.method import EXAMPLES, LIMITS, ConvSetting
from tests.pages.conftest import REPO

PAGE = REPO / "pages" / "convolutions.py"
SMALL = {"in_channels": "8", "out_channels": "8", "groups": "2", "map_size": "8"}


@pytest.fixture
def open_it() -> Callable[..., AppTest]:
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


Open = Callable[..., AppTest]


def said(app: AppTest) -> str:
    """All plain text on the page."""
    kinds = ("title", "header", "markdown", "caption", "info", "warning")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(app, kind))


def alts(app: AppTest) -> str:
    """What the charts say they show, which is what they were given to draw."""
    return "\n".join(chart.proto.alt for chart in app.get("vega_lite_chart"))


def press(app: AppTest, label: str) -> AppTest:
    """Press the button with this label."""
    (button,) = [one for one in app.button if one.label == label]
    return button.click().run()


def told(app: AppTest) -> AppTest:
    """The page after "Just show me"."""
    return app.button_group(key="guess_share").set_value("show").run()


def test_the_page_says_something_true_and_not_the_answer(open_it: Open) -> None:
    app = open_it()
    assert app.title[0].value.endswith("?")
    charts = app.get("vega_lite_chart")
    assert len(charts) == 4  # parameters, three drawings
    assert all(len(chart.proto.alt) > 40 for chart in charts)
    assert "8 groups: an output channel reads 8 of 64" in alts(app)
    drawn = alts(app) + said(app) + charts[0].proto.spec
    assert "73,856" in drawn and "9,344" in drawn
    for answer in ("8,960", "12.1", "1/8.2"):  # layer 4 of plain_2m as depthwise + pointwise
        assert answer not in drawn
    app = told(app)
    assert "8,960 (12.1" in alts(app) and "1/8.2" in said(app)
    app.button_group(key="guess_share").set_value(1 / 8).run()
    assert "**Right.** It needs 8,960 of 73,856" in said(app)
    app.number_input(key="out_channels").set_value(8).run()
    app.button_group(key="guess_share").set_value(1 / 8).run()
    assert (
        "**Not quite.**" in said(app) and "(guess: 12" in app.get("vega_lite_chart")[0].proto.spec
    )


@pytest.mark.parametrize("tab", ["work", "sums", "time", "homework"])
def test_a_tab_that_tells_the_answer_waits_for_the_guess(open_it: Open, tab: str) -> None:
    app = open_it(tab=tab)
    assert len(app.info) == 1 and "guess first" in app.info[0].value
    assert "8,960" not in said(app).replace("{,}", ",") + alts(app)
    app = told(app)
    assert not app.info and not app.exception
    words = {"work": "6.17 MACs", "sums": "= 8{,}960", "time": "11.9", "homework": "0.76867"}
    assert words[tab] in said(app)
    assert len(app.get("vega_lite_chart")) == (4 if tab == "work" else 1)


def test_why_and_trap_say_what_is_counted(open_it: Open) -> None:
    assert "class Step" in open_it(tab="why").code[0].value
    app = open_it(tab="trap", groups="4")
    assert "**32, 32, 32** of 128" in said(app) and "**32, 128, 128** of 128" in said(app)
    app.number_input(key="groups").set_value(1).run()
    assert "above 1" in app.info[0].value


def test_every_control_changes_the_answer(open_it: Open) -> None:
    # 64 groups of 64 input channels: the group layer's drawing follows the channels, too
    app = told(open_it(in_channels="32", out_channels="64", groups="4", tab="work"))
    for field in LIMITS:
        before = said(app) + alts(app)
        box = app.number_input(key=field)
        app = box.set_value(box.value * 2 if box.value else 1).run()
        assert not app.exception
        assert not app.warning
        assert said(app) + alts(app) != before, field
    before = said(app)
    app.slider(key="rank_percent").set_value(50).run()
    assert said(app) != before
    before = said(app)
    app.toggle(key="bias").set_value(False).run()
    assert said(app) != before


def test_the_figures_are_those_of_the_setting(open_it: Open) -> None:
    app = open_it(rank_percent="50", bias="false", groups="32")
    assert "Rank 96 of 192" in said(app)
    assert "73,728" in said(app)
    assert "32 groups: an output channel reads 2 of 64" in alts(app)
    assert "8 groups" not in alts(app)


def test_a_link_sets_every_control(open_it: Open) -> None:
    link = {"in_channels": "12", "out_channels": "20", "groups": "4", "map_size": "30",
            "kernel_size": "5", "stride": "2", "padding": "2"}  # fmt: skip
    app = open_it(**link, bias="false", rank_percent="60")
    for field, value in link.items():
        assert app.number_input(key=field).value == int(value)
    assert app.toggle(key="bias").value is False
    assert app.slider(key="rank_percent").value == 60
    assert "6,000" in alts(app)  # 12 x 20 x 25 weights


@pytest.mark.parametrize(
    "value", ["nan", "-1", "1e999", "", "../../x", "<script>", "九", "9" * 400]
)
def test_a_mangled_link_still_opens(open_it: Open, value: str) -> None:
    names = (*LIMITS, "bias", "rank_percent", "guess_share", "tab")
    app = open_it(**dict.fromkeys(names, value))
    for field, (low, high) in LIMITS.items():
        value_now = app.number_input(key=field).value
        assert value_now is not None
        assert low <= value_now <= high
    app.number_input(key="stride").set_value(2).run()
    assert not app.exception
    assert app.number_input(key="stride").value == 2


@pytest.mark.parametrize(
    ("link", "words", "cure", "field"),
    [
        ({"groups": "7"}, "7 groups", "Groups: 4", "groups"),
        ({"in_channels": "30", "groups": "4"}, "4 groups", "Input channels: 32", "in_channels"),
        ({"kernel_size": "9", "padding": "0", "map_size": "4"}, "empty", "Padding: 3", "padding"),
    ],
)
def test_what_cannot_be_is_explained_and_mended(
    open_it: Open, link: dict[str, str], words: str, cure: str, field: str
) -> None:
    app = open_it(**link)
    assert words in app.warning[0].value
    assert not app.get("vega_lite_chart")
    app = press(app, cure)
    assert app.number_input(key=field).value == int(cure.rpartition(" ")[2])
    assert not app.warning
    assert len(app.get("vega_lite_chart")) == 4


def test_an_example_sets_its_layer(open_it: Open) -> None:
    app = told(press(open_it(), "HW13 residual, stage 2"))
    wanted = EXAMPLES["hw13_residual"]
    for field in LIMITS:
        assert app.number_input(key=field).value == getattr(wanted, field)
    assert "8,960" in alts(app)  # 640 + 8,320, as torchsummary prints them for hw13_residual


# --- timing -------------------------------------------------------------------------------------


def test_timing_gives_medians_beside_the_macs(open_it: Open) -> None:
    app = told(open_it(**SMALL, tab="time"))
    assert not app.dataframe
    app = press(app, "Time it here")
    assert not app.exception
    table = app.dataframe[0].value
    assert len(table) == 8
    assert set(table["batch"]) == {1, 32}
    assert table["params"].tolist()[:3] == [584, 296, 152]
    charts = app.get("vega_lite_chart")
    assert len(charts) == 2
    assert "of the time at batch 32" in charts[-1].proto.alt
    assert "1 thread" in said(app)
    assert re.search(r"takes [\d,.]+\s%", said(app))
    app.number_input(key="groups").set_value(4).run()  # another layer: not measured yet
    assert not app.dataframe


def test_a_setting_is_timed_once_until_asked_again(
    open_it: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    measured = timing.time_layers

    def counted(setting: ConvSetting) -> timing.ConvTimings:
        calls.append(setting)
        return measured(setting, budget_s=0.0)

    monkeypatch.setattr("core.convolutions.timing.time_layers", counted)
    app = press(told(open_it(**SMALL, tab="time")), "Time it here")
    press(press(app, "Time it here").run(), "Time it here")
    assert len(calls) == 1
    press(app, "Measure again")
    assert len(calls) == 2


def test_another_visitors_timing_is_said(open_it: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = partial(timing.time_layers, budget_s=0.0, wait_s=0.01)
    monkeypatch.setattr("core.convolutions.timing.time_layers", hurried)
    app = told(open_it(**SMALL, tab="time"))
    with timing._ONE_AT_A_TIME:
        press(app, "Time it here")
        assert "Somebody else" in app.warning[0].value
    press(app, "Time it here")
    assert not app.warning
    assert app.dataframe


def test_a_layer_too_heavy_to_time_is_said(open_it: Open) -> None:
    vast = {"in_channels": "1024", "out_channels": "1024", "map_size": "224"}
    app = told(open_it(**vast, tab="time"))
    assert "Batch 1 is left out" in said(app)
    assert "Time it here" not in [button.label for button in app.button]


# --- promises -----------------------------------------------------------------------------------


def test_a_change_is_answered_at_once(open_it: Open) -> None:
    """Meant: 20 ms of processor time; with room for a slow machine."""
    app = open_it()
    seconds = []
    for groups in (1, 2, 4, 16, 32, 64):
        app.number_input(key="groups").set_value(groups)
        start = time.process_time()
        app.run()
        seconds.append(time.process_time() - start)
    assert statistics.median(seconds) < 0.1


def test_drawing_and_counting_import_no_torch() -> None:
    program = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(PAGE)!r}, default_timeout=60).run()
app.number_input(key="groups").set_value(4).run()
assert not app.exception, app.exception
assert "torch" not in sys.modules
"""
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


class Marking:
    """A translation into ⟦brackets⟧: what stands outside them was not translated."""

    def gettext(self, text: str) -> str:
        return f"⟦{text}⟧"

    def ngettext(self, one: str, many: str, n: int) -> str:
        return f"⟦{one if n == 1 else many}⟧"


def shown(app: AppTest) -> Iterator[str]:
    """All words a reader meets."""
    yield from said(app).splitlines()
    yield alts(app)
    for widgets in (app.button, app.number_input, app.slider, app.toggle, app.button_group,
                    app.expander):  # fmt: skip
        for widget in widgets:
            yield str(widget.label)


@pytest.mark.parametrize(
    "link",
    [
        {"tab": "work"},
        {"groups": "7"},
        {"groups": "1", "tab": "trap"},
        {"tab": "sums"},
        {"tab": "why"},
        {"tab": "homework"},
        SMALL | {"tab": "time"},
    ],
)
def test_all_words_can_be_translated(
    open_it: Open, monkeypatch: pytest.MonkeyPatch, link: dict[str, str]
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    app = open_it(**link)
    texts = list(shown(app))
    if link.get("groups") != "7":
        app = told(app)
    if link.get("tab") == "time":
        app = press(app, "⟦Time it here⟧")
        assert app.dataframe
    for text in texts + list(shown(app)):
        left = re.sub(r"\\text\{\w+\}|\\\w+", "", text)  # not words
        while (inner := re.sub(r"⟦[^⟦⟧]*⟧", "", left)) != left:
            left = inner
        assert not re.search(r"[^\W\d_]{3}", left), text
