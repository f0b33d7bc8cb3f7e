"""The results page: from whatever is shipped, with what is missing said, and every figure right."""

import json
import re
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.checkpoints import load_manifest
from core.collection.homework import FIGURES, FigureKey
from core.collection.latency import LatencyTable
from core.course import REPORTED
from core.quantization.rows import QuantizationGrid, QuantRow
from core.report import QUESTIONS, question_text
from pages.kit import guess
from tests import results_shelf as results
from tests.charts import rows_of
from tests.pages import shelf
from tests.pages.test_app import tables

Open = Callable[..., AppTest]


def said(app: AppTest) -> str:
    kinds = ("title", "header", "markdown", "caption", "info", "error", "code")
    text = "\n".join(str(one.value) for kind in kinds for one in getattr(app, kind))
    return re.sub(r"[\u202f\s]+", " ", text)


def test_nothing_gives_the_answer_away_before_the_guess(open_page: Open) -> None:
    results.fill()
    app = open_page("results")
    assert not app.exception
    (claims,) = app.get("vega_lite_chart")
    assert claims.proto.alt.count("hidden until you guess") == 9
    assert {row["mean"] for row in rows_of(json.loads(claims.proto.spec))} == {None}
    assert "ours +" not in said(app) and "ours −" not in said(app)
    assert "guess first" in said(app)
    for tab in ("table", "trap"):
        assert "guess first" in said(open_page("results", tab=tab))
    curves = open_page("results", tab="curves")
    assert len(curves.get("vega_lite_chart")) == 1  # figure 9 shows the student of the guess
    other = curves.button_group(key="figure").set_value("16").run()
    assert len(other.get("vega_lite_chart")) == 3
    picker = next(each for each in app.selectbox if "provenance" in str(each.key))
    assert len(picker.options) == sum(map(len, results.WHOLE.values()))
    assert any(name.endswith("from scratch, seed 2") for name in picker.options)


def test_a_guess_gets_a_verdict_and_opens_everything(open_page: Open) -> None:
    results.fill()
    app = open_page("results")
    app.button_group(key="guess_results").set_value("differs").run()
    text = said(app)
    assert "Not quite.** Agrees: ours +5.8 points" in text
    assert (
        "agree with 5; disagree with 1; not distinguishable: 1; left open by the reports: 2."
        in text
    )
    assert "not trained yet" not in text
    assert "theirs +12.8 points; ours +15.8 points (" in text and "mean of 3 seeds" in text
    assert "python -m core reproduce --only dwpw" not in text
    app.selectbox(key="finding").set_value("kd_helps")
    app.button_group(key="guess_results").set_value("agrees").run()
    assert "**The report:** +12.8 points" in said(app) and "Right.** Agrees: ours" in said(app)
    rows = rows_of(json.loads(app.get("vega_lite_chart")[0].proto.spec))
    assert [row["key"] for row in rows if row["on"]] == ["kd_helps"]


def opened(open_page: Open, page: str = "results", **query: str) -> AppTest:
    """The page as it is after the guess."""
    app = open_page(page, **query)
    if page == "results":
        app.button_group(key="guess_results").set_value(guess.SHOW).run()
    return app


def test_the_table_and_the_trap_hold_every_seed(open_page: Open) -> None:
    results.fill()
    assert "9 pairs of trainings" in said(opened(open_page, tab="trap"))
    (table,) = tables(opened(open_page, tab="table"))
    rows = [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    assert len(rows) == len(results.WHOLE)
    (row,) = [row for row in rows if "taught by ResNet-18" in row["Network"]]
    assert row["Right (95 % interval)"].startswith("58.4") and row["Seeds"] == "0, 1, 2"
    assert row["Parameters"] == "256,779" and "29.6" in row["MACs"]
    assert row["Time"].startswith("0.99")
    scratch = next(row for row in rows if "pointwise CNN, from scratch" in row["Network"])
    assert scratch["Theirs"].startswith(f"{100 * REPORTED['dwpw_256k-scratch'].accuracy:.1f}")


def test_one_big_network_is_brought_to_the_same_size_by_several_methods(open_page: Open) -> None:
    results.fill()
    results.publish("dwpw_256k-distilled_narrow_bn_gamma22p6_ft1x5", 0, 740, size_bytes=342_000)
    one = load_manifest()["dwpw_256k-distilled-s0"]
    row = QuantRow(scheme="kmeans", bits=8, params=256_779, size_bytes=300_000, n=1200, correct=820)
    QuantizationGrid(
        checkpoint=one.id, weights_sha256=one.weights_sha256, data="d",
        fingerprint="f", device="x", versions={}, commit="c", date="2026-11-22", rows=(row,),
    ).save()  # fmt: skip
    app = open_page("results", tab="size")
    text = said(app)
    assert "compress one big model by two methods to the same size" in text
    assert "**About 1.0 MB**: nothing was measured yet." in text
    taught, mine = tables(app)  # the more accurate big network first
    assert mine["Method"] == ["channels cut, 30 epochs after", "8 bits, no training after"]
    assert [size[:3] for size in mine["File"]] == ["342", "300"]
    assert "8 bits, no training after, 68.3 %; then 61.7 %" in text
    assert taught["Method"] == ["distilled: Best student under 100,000, distilled"]
    assert text.count(f", from *{one.title}*") == 1
    (box,) = [each for each in app.expander if "train every method" in each.label]
    assert not box.code  # lazy


@pytest.mark.slow
@pytest.mark.parametrize("figure", list(FIGURES))
def test_each_figure_opens_by_its_link(open_page: Open, figure: FigureKey) -> None:
    results.fill()
    app = open_page("results", figure=figure)
    assert not app.exception
    curves = app.get("vega_lite_chart")[1].proto
    shown = [stem for stem in FIGURES[figure].stems if stem in results.WHOLE]
    wanted = 2 if FIGURES[figure].both_splits else len(shown)
    assert curves.alt.count("after 30 epochs") == wanted
    assert app.button_group(key="figure").value == figure


def test_what_is_missing_is_said_with_the_command_that_makes_it(open_page: Open) -> None:
    results.fill({"dwpw_256k-scratch": (640,)}, times=False)
    app = opened(open_page, tab="curves")
    assert not app.exception
    commands = [str(each.value) for each in app.code]
    made = next(line for line in commands if line.startswith("python -m core reproduce --only"))
    assert "dwpw_256k-distilled-s0" in made and "dwpw_256k-distilled_weak-s0" in made
    assert "dwpw_256k-scratch-s0" not in made
    assert "theirs" in app.get("vega_lite_chart")[-1].proto.alt  # their figures stand all the same
    table = opened(open_page, tab="table")
    assert "python -m core reproduce --steps latency" in [str(each.value) for each in table.code]
    assert "missing: `plain_2m-scratch`" in said(opened(open_page))
    home = open_page("home", cost="latency_ms")
    assert not home.exception and not home.get("vega_lite_chart")
    assert home.code[0].value == "python -m core reproduce --steps latency"
    results.publish("plain_2m-scratch", 0, 760, epochs=0)
    app = open_page("results", figure="4")
    assert "The curves of `plain_2m-scratch-s0` did not ship" in said(app)
    assert any("--steps training --only plain_2m-scratch-s0" in str(one.value) for one in app.code)


def test_home_counts_in_what_is_asked_and_says_what_is_not_comparable(open_page: Open) -> None:
    results.fill()
    short = sum("_10ep" in stem for stem in results.WHOLE)
    app = open_page("home", cost="macs", baselines="HW13 2023")
    assert not app.exception
    chart = app.get("vega_lite_chart")[0].proto
    assert "Multiply-accumulates" in chart.spec and "on Food-11" in said(app)
    assert "says nothing" in said(app) and "On the frontier" in chart.alt
    assert f"of {len(results.WHOLE) - short} networks. No other is smaller" in said(app)
    (switch,) = app.toggle
    assert switch.label == "Short trainings too"
    switch.set_value(True).run()
    assert f"of {len(results.WHOLE)} networks. No other is smaller" in said(app)
    plain = open_page("home", baselines="none", trials="true")
    assert "says nothing" not in said(plain) and plain.toggle[0].value is True


@pytest.mark.parametrize("page", ["home", "results"])
def test_other_photographs_uncommitted_code_and_damaged_times_are_said(
    open_page: Open, page: str
) -> None:
    results.fill({"dwpw_256k-scratch": (640,)})
    tab = {"home": "sources", "results": "table"}[page]
    assert "uncommitted" not in said(opened(open_page, page, tab=tab))
    times = LatencyTable.load()
    assert times is not None
    times.model_copy(update={"commit": "fedcba987654+"}).save()
    results.publish("plain_2m-scratch", 0, 760, commit="0123456789ab+")
    data = {"name": "Another set", "fingerprint": "f" * 16}
    other = shelf.DATA.model_copy(update=data)
    results.publish("best_100k-scratch", 0, 1199, data=other, title="Learned elsewhere")
    app = opened(open_page, page, tab=tab)
    assert not app.exception
    for name in ("fedcba9876+", "0123456789+"):
        assert f"commit `{name}` with uncommitted changes" in said(app)
    (line,) = [each.value for each in app.caption if "Not shown" in str(each.value)]
    assert "Learned elsewhere" in line and "Another set (not Food-11)" in line and "99.9" in line
    charts = [chart.proto for chart in app.get("vega_lite_chart")]
    assert not any("Learned elsewhere" in chart.alt + chart.spec for chart in charts)
    if page == "results":
        assert len(tables(app)[0]["Network"]) == 2
    assert not any("Another set" in str(each.value) for each in app.caption if each.value != line)
    LatencyTable.path().write_text("{}")
    app.run()
    assert not app.exception and "latency.json" in app.error[0].value


def test_the_homework_tab_lists_every_question_of_the_report(open_page: Open) -> None:
    results.fill()
    text = said(open_page("results", tab="homework"))
    for key in QUESTIONS:
        assert f"**{key}** {question_text(key)}" in text
