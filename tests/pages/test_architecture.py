"""The architecture page: opens, compares, designs; its link is the whole setting."""

import base64
import json
import re
import time
from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qsl

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.inference.layers import Layer
from core.models.design.cost import layer_rows, totals
from core.models.design.plans import known
from core.models.design.spec import Design, read
from pages import architecture
from tests.pages.conftest import REPO

Open = Callable[..., AppTest]
BUDGET_MS = 60


@pytest.fixture
def page(open_page: Open) -> Callable[..., AppTest]:
    def opened(**query: str) -> AppTest:
        app = open_page("architecture", **query)
        assert not app.exception
        return app

    return opened


def texts(app: AppTest) -> str:
    elements = [*app.markdown, *app.caption, *app.warning, *app.code]
    return "\n".join(element.value for element in elements)


def line_shown(app: AppTest) -> str:
    return app.text_input(key="design").value or ""


def params_of(line: str) -> str:
    return f"{totals(layer_rows(read(line))).params:,}"


def params_shown(app: AppTest) -> str:
    matches = [re.search(r"\*\*([\d,]+)\*\* parameters", text.value) for text in app.markdown]
    (match,) = filter(None, matches)
    return match[1]


def alts(app: AppTest) -> str:
    return "\n".join(chart.proto.alt for chart in app.get("vega_lite_chart"))


def test_looking_inside_keeps_the_answer_back_until_the_guess(page: Open) -> None:
    app = page()
    assert app.title[0].value == "Where do a network's parameters sit?"
    assert params_shown(app) == "256,779"
    (chart,) = app.get("vega_lite_chart")
    shown = texts(app) + chart.proto.alt + chart.proto.spec
    assert "27\u202f%" not in shown and "94\u202f%" not in shown  # 24 % of the MACs are there
    assert "most in stem  16 × 64² (24\u202f%)" in chart.proto.alt
    table = app.dataframe[0].value
    assert table["layer"].iloc[0] == "Conv2d-1" and len(table) == 37
    assert "macs" in table and "params" not in table
    app.pills(key="guess_half").set_value("first").run()
    assert "**Not quite.** First half 5\u202f%, second half 94\u202f%" in texts(app)
    assert app.dataframe[0].value["params"].sum() == 256_779
    app.pills(key="guess_half").set_value("second").run()
    assert "**Right.** First half 5\u202f%" in texts(app)
    assert "Parameters 256,779, most in 4.2  256 × 8² (27\u202f%)" in alts(app)
    for key in known():  # every registered network opens
        app.selectbox(key="model").set_value(key).run()
        assert not app.error and not app.exception and len(app.dataframe) == 1, key


def test_two_networks_side_by_side(page: Open) -> None:
    app = page(mode="compare", tab="layers")
    assert "parameters 8.4× smaller" in texts(app) and not app.dataframe
    assert "Memory ?" in alts(app) and "1.04×" not in texts(app) + alts(app)
    app.pills(key="guess_memory").set_value("not").run()
    assert "**Right.** Parameters 8.4× smaller, memory 1.04× smaller." in texts(app)
    assert len(app.dataframe) == 2
    app.selectbox(key="model_a").set_value("resnet18").run()
    assert "44× smaller" in texts(app) and not app.exception
    app = page(mode="compare", tab="parts")
    assert len(app.get("vega_lite_chart")) == 1
    app.pills(key="guess_memory").set_value("show").run()
    assert len(app.get("vega_lite_chart")) == 3


def test_each_tab_has_its_numbers(page: Open) -> None:
    app = page(tab="torchsummary")
    assert not app.code and "guess first" in app.info[0].value
    app.pills(key="guess_half").set_value("show").run()
    assert "Total params: 256,779" in app.code[0].value
    assert "882 MB" in texts(page(tab="trap"))  # torchsummary's own figure, in HW13's report


@pytest.mark.parametrize(
    ("tab", "content"),
    [("homework", "2,168,203 against 256,779"), ("years", "HW13 2023: 60,000 parameters; simple"),
     ("why", "def count_conv"), ("wider", "def count_conv")],
)  # fmt: skip
def test_links_to_tabs_of_today_and_of_before(page: Open, tab: str, content: str) -> None:
    assert content in texts(page(tab=tab, mode="design"))


def test_a_link_is_a_design(page: Open) -> None:
    line = "px64-silu-nobias-stem8d-inv16t2x2k5d-group32g4p"
    app = page(mode="design", design=line, tab="take")
    assert params_shown(app) == params_of(line)
    assert f"--model design:{read(line).line} --px 64" in texts(app)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "sep0", "%00", "9" * 700, "[a](b)"])
def test_a_hostile_link_is_explained(page: Open, text: str) -> None:
    app = page(mode="design", design=text)
    assert "Below is the last design that worked." in app.warning[0].value
    assert params_shown(app) == "50,315"
    assert "<script>" not in app.warning[0].value and "[a](b)" not in app.warning[0].value


@pytest.mark.parametrize("query", [{"mode": "x"}, {"model": "../x"}, {"px_dwpw_256k": "NaN"}])
def test_other_hostile_links_mean_the_default(page: Open, query: dict[str, str]) -> None:
    assert params_shown(page(**query)) == "256,779"


def test_controls_and_line_are_the_same_design(page: Open) -> None:
    app = page(mode="design")
    app.number_input(key="edit_width").set_value(48).run()
    app.selectbox(key="edit_down").set_value("stride").run()
    app.number_input(key="edit_stem_width").set_value(24).run()
    app.selectbox(key="edit_stem_halving").set_value((2, 3)).run()
    assert line_shown(app).startswith("px128-relu6-stem24dp3-sep48d-sep64p")
    app.text_input(key="design").set_value("px96-relu-stem8-inv16t6").run()
    assert app.selectbox(key="edit_block").value == "inverted"
    assert app.number_input(key="edit_expansion").value == 6
    assert params_shown(app) == params_of("px96-relu-stem8-inv16t6")


def test_stages_are_added_moved_and_removed(page: Open) -> None:
    app = page(mode="design", design="px64-relu6-stem8p-sep16p-plain32")
    app.pills(key="design_stage").set_value(2).run()
    app.button(key="stage_add").click().run()
    assert line_shown(app).endswith("sep16p-plain32-plain32")
    assert app.pills(key="design_stage").value == 3
    app.number_input(key="edit_width").set_value(40).run()
    app.button(key="stage_arrow_back").click().run()
    assert line_shown(app).endswith("sep16p-plain40-plain32")
    assert app.pills(key="design_stage").value == 2
    app.button(key="stage_delete").click().run()
    assert line_shown(app).endswith("sep16p-plain32")
    assert not app.exception


def test_a_change_that_cannot_be_built_is_explained_and_not_made(page: Open) -> None:
    app = page(mode="design", design="px64-relu6-stem16p-group32g8")
    app.number_input(key="edit_groups").set_value(7).run()
    assert "7 groups do not divide 16 channels; these do: 1, 2, 4, 8" in app.warning[0].value
    assert app.number_input(key="edit_groups").value == 8
    app.run()
    assert not app.warning


def test_the_designer_starts_from_a_homeworks_network(page: Open) -> None:
    assert int(params_of(architecture.FIRST).replace(",", "")) <= 60_000
    app = page(model="group8_277k")
    app.button[0].click().run()
    assert params_shown(app) == "277,195" and app.session_state["mode"] == "design"
    app.selectbox(key="design_start").set_value("hw13_residual").run()
    assert params_shown(app) == "96,587"
    assert "100,000 parameters: 96,587, 97\u202f%: fits" in alts(app)
    assert "60,000 parameters: 96,587, 161\u202f%: over, scores 0" in alts(app)


SAVED = Design(name="mine", input_px=64)


@pytest.mark.parametrize(
    "data",
    [SAVED.to_json().encode(), b"", b"\x00\xff", b"[" * 30_000, b'{"stages": "x"}', b"{}" * 9999],
)
def test_a_saved_design_opens_again_and_a_hostile_file_is_explained(
    page: Open, data: bytes
) -> None:
    app = page(mode="design")
    app.file_uploader(key="design_file").set_value(("mine.json", data, "application/json")).run()
    assert not app.exception
    if data.startswith(b'{\n "name"'):
        assert line_shown(app) == SAVED.line and not app.warning
    else:
        assert app.warning and params_shown(app) == "50,315"


def test_a_design_is_downloaded_and_handed_to_training(
    page: Open, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is followed: what training then asks for is this design at its own side."""
    given: dict[str, object] = {}
    monkeypatch.setattr(
        "pages.architecture.st.download_button",
        lambda label, data, **more: given.update({label: data}),
    )
    line = "px64-relu6-stem8p-sep16p"
    app = page(mode="design", design=line, tab="take")
    assert json.loads(str(given["Design (JSON)"]))["stages"][0]["width"] == 16
    assert "class Student(nn.Module)" in str(given["PyTorch source"])
    (door,) = (link.proto for link in app.get("page_link")
               if link.proto.label == "Train this student")  # fmt: skip
    assert door.page == "training"
    query = dict(parse_qsl(door.query_string))
    assert query == {"model": f"design:{line}", "px": "64"}
    monkeypatch.undo()
    training = open_page("training", **query)
    assert not training.exception and not training.error
    assert training.text_input(key="design").value == line
    assert training.selectbox(key="px").value == 64


@pytest.mark.parametrize("mode", ["look", "compare", "design"])
def test_a_warm_rerun_is_quick(page: Open, mode: str) -> None:
    """Median of 5 reruns in processor time: what else the machine does shall not decide."""
    app, times = page(mode=mode), []
    for _rerun in range(5):
        began = time.process_time()
        app.run()
        times.append((time.process_time() - began) * 1000)
    assert sorted(times)[2] < BUDGET_MS, times


def test_each_layer_shows_its_maps_and_the_sum_behind_a_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SMALL_PLATES_PRETRAINED", "FOOD11_ROOT"):
        monkeypatch.delenv(name, raising=False)
    app = AppTest.from_file(str(REPO / "pages" / "architecture.py"), default_timeout=60)
    app.query_params["tab"] = "sees"
    app.run()
    for layer in (1, 2, 3, 15):
        app.select_slider(key="layer_dwpw_256k").set_value(layer).run()
        data = json.loads(app.get("bidi_component")[0].proto.json)
        numbers, behind = data["numbers"], data["sum"]
        assert len(numbers) == len(set(numbers)) == 16 and behind["map"] == numbers[0]
        assert behind["rows"][-1][1] == pytest.approx(behind["value"], abs=1e-4)
        sums = [
            sum(a * b for a, b in zip(term["inputs"], term["weights"], strict=True))
            for term in behind["terms"]
        ]
        assert sums == pytest.approx([term["sum"] for term in behind["terms"]], abs=1e-4)
        if layer < 3:  # all inputs are among those shown
            assert sum(sums) == pytest.approx(behind["rows"][0][1], abs=1e-4)
        assert len(base64.b64decode(data["maps"]["data"])) == (
            16 * data["thumb"] ** 2 + data["side"] ** 2
        )
    assert "**Layer 15 of 15**: pointwise 1 × 1, 256 → 256 channels, 8 × 8." in texts(app)


@pytest.mark.parametrize(
    ("pick", "expected"),
    [
        (["v", 2], (2, 1, 0)),
        (["v", 2, 0, 1], (2, 0, 1)),
        (["other", 2, 0, 1], (0, 0, 1)),
        (["v", 3], (0, 0, 1)),
        (["v", -1, 0, 0], (0, 0, 1)),
        (["v", 1, 2, 0], (0, 0, 1)),
        (["v", "1", {}, None], (0, 0, 1)),
        ({"v": 1}, (0, 0, 1)),
        (None, (0, 0, 1)),
    ],
)
def test_whatever_a_browser_says_some_value_is_picked(
    pick: object, expected: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    after = np.array([[[1, 9], [0, 0]], [[0, 0], [0, 0]], [[0, 1], [-5, 2]]], np.float32)
    sight = architecture.Sight(0, cast(Layer, None), np.zeros((3, 1, 1), np.uint8), after, after,
                               [0, 2, 1])  # fmt: skip
    monkeypatch.setattr(st, "session_state", {"layer_maps": {"pick": pick}})
    assert architecture.picked(sight, "v") == expected


def test_without_a_trained_network_no_layer_is_shown(page: Open) -> None:
    assert "No trained" in page(tab="sees").info[0].value
