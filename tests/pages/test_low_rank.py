"""The low-rank page without a browser: what it says with curves, without, and with damaged ones."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import i18n
from core.charts import numbers
from core.low_rank import method as lowrank_factors
from core.low_rank import network as lowrank
from core.low_rank import rows as lowrank_live
from core.low_rank.rows import LowRankGrid, LowRankRow
from core.timing import Spread
from tests.pages import low_rank_shelf
from tests.pages.live import Line, LivePage, only_job, rows_named, texts_of
from tests.pages.test_app import HOSTILE, Marking, data_buttons, outside
from tests.pages.test_app import said as said_on

Open = Callable[..., AppTest]
PAGE = "low_rank"
SHELF = low_rank_shelf


def said(app: AppTest) -> str:
    """All plain text on the page, its narrow spaces left out."""
    return said_on(app).replace(numbers.THIN, "")


def drawn_rows(app: AppTest, name: str, chart: str) -> list[dict[str, Any]]:
    """The rows of a chart's named data; `chart`: how its alt text begins."""
    (proto,) = (c.proto for c in app.get("vega_lite_chart") if c.proto.alt.startswith(chart))
    for data in proto.datasets:
        if data.name == name:
            import pyarrow as pa

            table: list[dict[str, Any]] = pa.ipc.open_stream(data.data.data).read_all().to_pylist()
            return table
    return next(rows_named(json.loads(proto.spec), name))


def test_nothing_says_what_a_rank_keeps_before_the_guess(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert app.selectbox(key="layer").value == "features.4.0"
    (chart,) = app.get("vega_lite_chart")
    assert "energy" not in chart.proto.alt and "90" not in chart.proto.alt
    ranks = drawn_rows(app, "ranks", "Singular values")
    assert len(ranks) == 64 * 3 and {row["kept"] for row in ranks} == {None}
    assert [row["name"] for row in drawn_rows(app, "ends", "Singular values")] == ["parameters"]
    for given_away in ("half of the energy", "original is right", "of the MACs, took"):
        assert given_away not in said(app)
    app = app.button_group(key="guess_ranks").set_value("tenth").run()
    assert "Not quite." in said(app)  # white noise needs most ranks
    assert "keep half of the energy" in said(app)
    ranks = drawn_rows(app, "ranks", "Singular values")
    assert ranks[-1]["kept"] == pytest.approx(1) and ranks[0]["kept"] < 0.1
    app.button_group(key="guess_ranks").set_value("most").run()
    assert "Right." in said(app)
    assert len(app.get("vega_lite_chart")) == 1  # the second guess has its own answer


def test_the_network_has_a_guess_of_its_own(open_page: Open, shipped: Path) -> None:
    """The made-up curve: 682 of 830 right answers are left at 70 % of the energy."""
    app = open_page(PAGE, method="auto")
    app = app.button_group(key="guess_whole").set_value("few").run()
    assert "Not quite." in said(app) and "It keeps 82% of them" in said(app)
    assert len(drawn_rows(app, "curves", "Accuracy")) == 10
    assert len(drawn_rows(app, "tuned", "Accuracy")) == 1
    assert not drawn_rows(app, "ends", "Accuracy")  # no name looks like a network
    assert "original is right on 83.0%" in said(app) and "77.7% (75.0 to 80.2%" in said(app)
    app = app.button_group(key="guess_whole").set_value("most").run()
    assert "Right." in said(app)


def test_the_guess_about_time_gets_its_verdict(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, tab="time")
    assert len(app.get("vega_lite_chart")) == 1
    app = app.button_group(key="guess_speed").set_value("slower").run()
    assert "half, 50% of the MACs, took" in said(app)
    assert "Not quite." in said(app) and len(app.get("vega_lite_chart")) == 2


def test_what_you_see_is_what_was_measured(seen: Callable[..., AppTest]) -> None:
    app = seen(reveal="true")
    assert data_buttons(app) == {"low-rank-layer", "low-rank-accuracy"}
    assert "(80% of the energy)" in said(app)  # the made-up curve is flat so far
    assert "| 50% |" in said(app) and "| 38.7% (" in said(app)
    app = seen(reveal="true", all_methods="true")
    assert len(drawn_rows(app, "curves", "Accuracy")) == 2 * 10  # SVD alone finds nothing in it
    assert len(drawn_rows(app, "others", "Accuracy")) == 1
    assert "Designed small: " in said(app)
    app = seen(reveal="true", tab="time")
    assert data_buttons(app) == {"low-rank-layer", "low-rank-times"}
    text = said(app)
    assert "| k × 1, then 1 × k | 50% | 50% | faster: 70% |" in text
    assert "| Tucker-2 | 90% | 90% | slower: 141% |" in text


def test_no_weight_is_taken_apart_for_the_instrument(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Singular values come from the measured file; the networks' own files are not read."""
    monkeypatch.setattr(lowrank_factors, "leading", lambda matrix: pytest.fail("factored"))
    for file in (shipped / low_rank_shelf.PLAIN).glob("*.safetensors"):
        file.unlink()
    for form in ("spatial", "tucker2"):
        app = open_page(PAGE, reveal="true", form=form)
        assert not app.exception and not app.error
        assert len(app.get("vega_lite_chart")) == 2
    app = open_page(PAGE, tab="extreme")
    assert "such a network is *trained* in that form" in said(app)


def test_what_is_stored_draws_what_the_weights_would(open_page: Open, shipped: Path) -> None:
    stored = open_page(PAGE, reveal="true")
    path = LowRankGrid.path(low_rank_shelf.PLAIN)
    grid = LowRankGrid.load(low_rank_shelf.PLAIN)
    assert grid is not None and grid.spectra
    grid.model_copy(update={"spectra": ()}).save()
    os.utime(path, ns=(1, 1))
    st.cache_resource.clear()
    worked_out = open_page(PAGE, reveal="true")
    for name, column in (("ranks", "kept"), ("values", "value")):
        one, other = (drawn_rows(app, name, "Singular values") for app in (stored, worked_out))
        assert [row[column] for row in one] == pytest.approx([row[column] for row in other], 1e-4)


@pytest.mark.parametrize(
    ("method", "form"), [("spatial", "tucker2"), ("tucker2", "spatial"), ("svd", "tucker2")]
)
def test_every_method_draws(seen: Callable[..., AppTest], method: str, form: str) -> None:
    app = seen(method=method, form=form, energy="45", reveal="true")
    assert len(app.get("vega_lite_chart")) == 2
    assert all(len(chart.proto.alt) > 20 for chart in app.get("vega_lite_chart"))


def test_the_trap_is_really_run(seen: Callable[..., AppTest]) -> None:
    """Three quarters of 192 ranks: 144 filters of 64 x 3 x 1, 64 of 144 x 1 x 3, and 64 biases."""
    text = said(seen(tab="trap"))
    made, layer = 144 * 64 * 3 + 64 * 144 * 3 + 64, 64 * 64 * 9 + 64
    assert f"together **{made:,}** parameters; the layer had **{layer:,}**" in text
    assert "144 × 64 × 3 × 1, 64 × 144 × 1 × 3" in text and made > layer


def test_without_curves_it_says_how_to_get_them(open_page: Open, bare: Path) -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert app.code[0].value == f"python -m core lowrank-grid {low_rank_shelf.PLAIN}"
    assert len(app.get("vega_lite_chart")) == 1  # singular values need no curves
    app = open_page(PAGE, tab="extreme")
    assert "such a network is *trained* in that form" in said(app)


def test_curves_of_other_weights_are_not_shown(open_page: Open, shipped: Path) -> None:
    path = LowRankGrid.path(low_rank_shelf.PLAIN)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0" * 64}))
    app = open_page(PAGE, reveal="true")
    assert "original is right" not in said(app) and "lowrank-grid" in app.code[0].value


@pytest.mark.parametrize("content", ["", '{"rows": 3}'])
def test_a_damaged_file_of_curves_is_said(open_page: Open, shipped: Path, content: str) -> None:
    LowRankGrid.path(low_rank_shelf.PLAIN).write_text(content)
    app = open_page(PAGE)
    assert not app.exception
    assert "lowrank-grid" in app.error[0].value


@pytest.mark.parametrize("file", ["weights.safetensors", "model.onnx"])
def test_a_damaged_network_is_said_and_the_rest_goes_on(
    open_page: Open, shipped: Path, file: str
) -> None:
    """What was measured needs no weights; without it, and where they are run, it is said."""
    path = shipped / low_rank_shelf.PLAIN / file
    path.write_bytes(path.read_bytes()[:-1])
    app = open_page(PAGE, reveal="true")
    assert not app.exception and not app.error and len(app.get("vega_lite_chart")) == 2
    app = open_page(PAGE, reveal="true", tab="trap")
    assert not app.exception and low_rank_shelf.PLAIN in app.error[0].value
    shutil.rmtree(shipped / "results")
    app = open_page(PAGE, reveal="true")
    assert not app.exception
    assert low_rank_shelf.PLAIN in app.error[0].value
    assert "no layer to factor" in said(app)


def test_a_factored_network_is_not_offered_again(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, network=low_rank_shelf.TUNED, more_network="true")
    assert not app.exception
    assert app.selectbox(key="network").value != low_rank_shelf.TUNED
    assert len(app.selectbox(key="network").options) == 2


@pytest.mark.parametrize("value", HOSTILE)
def test_a_mangled_link_still_opens(open_page: Open, shipped: Path, value: str) -> None:
    names = ("network", "layer", "form", "method", "energy", "reveal", "all_methods", "finetuned",
             "time_with", "more_network", "tab")  # fmt: skip
    assert not open_page(PAGE, **dict.fromkeys(names, value)).exception


def test_a_link_sets_the_page(open_page: Open, shipped: Path) -> None:
    link = {
        "network": low_rank_shelf.PLAIN,
        "layer": "features.2.0",
        "form": "tucker2",
        "method": "spatial",
        "energy": "50",
        "reveal": "true",
    }
    app = open_page(PAGE, **link)
    assert app.selectbox(key="layer").value == "features.2.0"
    assert app.selectbox(key="form").value == "tucker2"
    assert app.button_group(key="method").value == "spatial"
    assert app.slider(key="energy").value == 50
    app = open_page(PAGE, **link, time_with="onnx_32")  # opens the tab it belongs to
    assert app.selectbox(key="time_with").value == "onnx_32"


def test_the_shown_source_is_the_code_that_factored(seen: Callable[..., AppTest]) -> None:
    import inspect

    shown = [code.value.strip() for code in seen(tab="why").code if code.value]
    assert inspect.getsource(lowrank.factor).strip() in shown
    assert any(inspect.getsource(lowrank_factors.leading).strip() in code for code in shown)


def test_a_photo_goes_through_whole_factored_and_fine_tuned(
    open_page: Open, shipped: Path, page_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(page_food))
    app = open_page(PAGE, tab="photo")
    names = ["**original**", "**80% of the energy**", "**50% of the energy**",
             "**50% and fine-tuned**"]  # fmt: skip
    assert [line for line in said(app).splitlines() if line in names] == names
    assert not app.exception and not app.error


def test_nothing_on_the_page_escapes_translation(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    texts, charts = [], 0
    for tab in ("network", "time", "photo", "run", "why", "trap", "homework"):
        app = open_page(PAGE, reveal="true", tab=tab)
        assert not app.exception
        texts += texts_of(app)
        charts += len(app.get("vega_lite_chart"))
    assert len(texts) > 100 and charts > 7
    names = re.compile(
        r":material/\w+:|classifier|features\S*|abacus|plain_\S*|dwpw_\S*|hw13_sample\S*|PyTorch|ONNX"
    )
    left = [text for text in texts if re.search(r"[^\W\d_]{3}", names.sub("", outside(text)))]
    assert not left, "\n".join(left)


class TestLive(LivePage):
    page = PAGE
    link = {"tab": "run"}
    runs = lowrank_live.RUNS
    module = "core.low_rank.rows"

    def test_it_shows_its_progress_and_then_its_point(
        self, open_page: Open, shipped: Path, line: Line
    ) -> None:
        app = self.started(open_page, reveal="true", energy="55")
        job = only_job(line)
        assert (job.point.method, job.point.energy, job.state) == ("auto", 0.55, "running")
        job.step, job.done, job.of = "accuracy", 96, 1492
        app.run()
        assert "96 of 1492" in app.get("progress")[0].proto.text
        time = Spread(median=7.0, p25=6.9, p75=7.1, n=20)
        self.finish(app, job, LowRankRow(
            method="auto", energy=0.55, ranks={}, kept=0.55, params=90_000, macs=7, size_bytes=36,
            n=100, correct=41, latency={"torch_1": time, "whole_torch_1": time},
        ))  # fmt: skip
        assert "41" in app.success[0].value and "not distinguishable" in said(app)
        app = open_page(PAGE, reveal="true")
        assert len(drawn_rows(app, "live", "Accuracy")) == 1
