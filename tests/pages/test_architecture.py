"""The architecture page: opens, compares, designs; its link is the whole setting."""

import json
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from core.models.design.cost import layer_rows, totals
from core.models.design.plans import known
from core.models.design.spec import Design, read
from pages import architecture

Open = Callable[..., AppTest]
BUDGET_MS = 100


@pytest.fixture
def page(open_page: Open) -> Callable[..., AppTest]:
    def opened(**query: str) -> AppTest:
        app = open_page("architecture", **query)
        assert not app.exception
        return app

    return opened


def texts(app: AppTest) -> str:
    found = [*app.markdown, *app.caption, *app.warning, *app.code]
    return "\n".join(element.value for element in found)


def line_shown(app: AppTest) -> str:
    return app.text_input(key="design").value or ""


def params_shown(app: AppTest) -> str:
    (line,) = (found for one in app.markdown
               if (found := re.match(r"\*\*([\d,]+)\*\* parameters", one.value)))  # fmt: skip
    return line[1]


def alts(app: AppTest) -> str:
    return "\n".join(chart.proto.alt for chart in app.get("vega_lite_chart"))


def test_opens_with_a_network_and_keeps_the_answer_back(page: Open) -> None:
    app = page()
    assert app.title[0].value == "Where do a network's parameters sit?"
    assert params_shown(app) == "256,779"
    (chart,) = app.get("vega_lite_chart")
    shown = texts(app) + chart.proto.alt + chart.proto.spec
    assert "27\u202f%" not in shown and "94\u202f%" not in shown  # 24 % of the MACs are there
    assert "most in stem  16 × 64² (24\u202f%)" in chart.proto.alt
    app.pills(key="guess_half").set_value("first").run()
    assert "**Not quite.** First half 5\u202f%, second half 94\u202f%" in texts(app)
    app.pills(key="guess_half").set_value("second").run()
    assert "**Right.** First half 5\u202f%" in texts(app)
    assert "Parameters 256,779, most in 4.2  256 × 8² (27\u202f%)" in alts(app)


def test_the_layer_tables_wait_for_the_guess(page: Open) -> None:
    app = page()
    table = app.dataframe[0].value
    assert table["layer"].iloc[0] == "Conv2d-1" and len(table) == 37
    assert "macs" in table and "params" not in table
    app.pills(key="guess_half").set_value("show").run()
    assert app.dataframe[0].value["params"].sum() == 256_779
    app = page(tab="torchsummary")
    assert not app.code and "guess first" in app.info[0].value
    app.pills(key="guess_half").set_value("show").run()
    assert "Total params: 256,779" in app.code[0].value
    app = page(mode="compare", tab="layers")
    assert not app.dataframe
    app.pills(key="guess_memory").set_value("show").run()
    assert len(app.dataframe) == 2 and not app.exception


def test_why_trap_and_homework_have_their_numbers(page: Open) -> None:
    assert "def count_conv" in page(tab="why").code[0].value
    assert "882 MB" in texts(page(tab="trap"))  # torchsummary's own figure, in HW13's report
    assert "2,168,203 against 256,779" in texts(page(tab="homework", mode="compare"))


@pytest.mark.parametrize("key", known())
def test_every_registered_network_opens(page: Open, key: str) -> None:
    app = page(model=key)
    assert not app.error
    assert app.selectbox(key="model").value == key


def test_two_networks_side_by_side(page: Open) -> None:
    app = page(mode="compare", tab="parts")
    assert "parameters 8.4× smaller" in texts(app)
    assert "Memory ?" in alts(app) and "1.04×" not in texts(app) + alts(app)
    app.pills(key="guess_memory").set_value("not").run()
    assert "**Right.** Parameters 8.4× smaller, memory 1.04× smaller." in texts(app)
    assert len(app.get("vega_lite_chart")) == 3
    app.selectbox(key="model_a").set_value("resnet18").run()
    assert "44× smaller" in texts(app) and not app.exception


def test_a_link_is_a_design(page: Open) -> None:
    line = "px64-silu-nobias-stem8d-inv16t2x2k5d-group32g4p"
    app = page(mode="design", design=line, tab="take")
    expected = totals(layer_rows(read(line)))
    assert params_shown(app) == f"{expected.params:,}"
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
    assert line_shown(app).startswith("px128-relu6-stem24p-sep48d-sep64p")
    app.text_input(key="design").set_value("px96-relu-stem8-inv16t6").run()
    assert app.selectbox(key="edit_block").value == "inverted"
    assert app.number_input(key="edit_expansion").value == 6
    assert params_shown(app) == f"{totals(layer_rows(read('px96-relu-stem8-inv16t6'))).params:,}"


def test_stages_are_added_moved_and_removed(page: Open) -> None:
    app = page(mode="design", design="px64-relu6-stem8p-sep16p-plain32")
    app.pills(key="design_stage").set_value(2).run()
    app.button(key="stage_add").click().run()
    assert line_shown(app).endswith("sep16p-plain32-plain32")
    assert app.pills(key="design_stage").value == 3
    app.number_input(key="edit_width").set_value(40).run()
    app.button(key="stage_arrow_back").click().run()
    assert line_shown(app).endswith("sep16p-plain40-plain32")
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


def test_starting_from_a_homeworks_network(page: Open) -> None:
    app = page(mode="design")
    app.selectbox(key="design_start").set_value("hw13_residual").run()
    assert params_shown(app) == "96,587"
    assert "100,000 parameters: 96,587, 97\u202f%: fits" in alts(app)
    assert "60,000 parameters: 96,587, 161\u202f%: over" in alts(app)
    assert "**scores 0**: 96,587, 36,587 over the limit of 60,000" in texts(app)


def test_from_looking_to_designing(page: Open) -> None:
    app = page(model="group8_277k")
    app.button[0].click().run()
    assert params_shown(app) == "277,195" and app.session_state["mode"] == "design"


def test_twice_as_wide_is_four_times_the_parameters(page: Open) -> None:
    app = page(mode="design", tab="wider")
    assert "become" not in texts(app).replace("answer", "")
    app.pills(key="guess_wider").set_value(2).run()
    assert "**Not quite.** 50,315 become" in texts(app)


def uploaded(app: AppTest, data: bytes) -> AppTest:
    return (
        app.file_uploader(key="design_file")
        .set_value(("mine.json", data, "application/json"))
        .run()
    )


def test_a_saved_design_opens_again(page: Open) -> None:
    saved = Design(name="mine", input_px=64).to_json().encode()
    app = uploaded(page(mode="design"), saved)
    assert app.text_input(key="design").value == Design(input_px=64).line


@pytest.mark.parametrize(
    "data", [b"", b"\x00\xff", b"[" * 30_000, b'{"stages": "x"}', b"{}" * 9999]
)
def test_a_hostile_file_is_explained(page: Open, data: bytes) -> None:
    app = uploaded(page(mode="design"), data)
    assert app.warning and not app.exception
    assert params_shown(app) == "50,315"


def test_what_is_downloaded_is_what_is_shown(page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(
        "pages.architecture.st.download_button",
        lambda label, data, **more: given.update({label: data}),
    )
    line = "px64-relu6-stem8p-sep16p"
    page(mode="design", design=line, tab="take")
    assert json.loads(str(given["Design (JSON)"]))["stages"][0]["width"] == 16
    assert "class Student(nn.Module)" in str(given["PyTorch source"])


def test_a_design_is_handed_to_training(page: Open, open_page: Open) -> None:
    """The link is followed: what training then asks for is this design at its own side."""
    line = "px64-relu6-stem8p-sep16p"
    app = page(mode="design", design=line, tab="take")
    (door,) = (one.proto for one in app.get("page_link") if one.proto.label == "Train this student")
    assert door.page == "training"
    query = dict(parse_qsl(door.query_string))
    assert query == {"model": f"design:{line}", "px": "64"}
    training = open_page("training", **query)
    assert not training.exception and not training.error
    assert training.text_input(key="design").value == line
    assert training.selectbox(key="px").value == 64


@pytest.mark.parametrize("mode", ["look", "compare", "design"])
def test_a_warm_rerun_takes_less_than_100_ms(page: Open, mode: str) -> None:
    """Median of 5 reruns in processor time: what else the machine does shall not decide."""
    app, times = page(mode=mode), []
    for _rerun in range(5):
        began = time.process_time()
        app.run()
        times.append((time.process_time() - began) * 1000)
    assert sorted(times)[2] < BUDGET_MS, times


def test_the_designer_opens_within_every_limit() -> None:
    assert totals(layer_rows(read(architecture.FIRST))).params <= 60_000
