"""The pruning page without a browser: what it says with curves, without, and with damaged ones."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import i18n
from core.charts import numbers
from core.classroom import Point, Rooms, Spot
from core.pruning import method as prune_select
from core.pruning import network
from core.pruning import rows as pruning_live
from core.pruning.method import METHODS
from core.pruning.rows import PruningGrid, PruningRow
from core.timing import Spread
from pages import pruning
from pages.kit import networks
from tests.pages import pruning_shelf
from tests.pages.live import Line, LivePage, only_job, rows_named, texts_of
from tests.pages.test_app import HOSTILE, Marking, outside
from tests.pages.test_app import said as said_on

Open = Callable[..., AppTest]
PAGE = "pruning"
SHELF = pruning_shelf


def said(app: AppTest) -> str:
    """All plain text on the page, its narrow spaces left out."""
    return said_on(app).replace(numbers.THIN, "")


def drawn_rows(app: AppTest, name: str, chart: str = "Accuracy") -> list[dict[str, Any]]:
    """The rows of a chart's named data; `chart`: how its alt text begins."""
    (proto,) = (c.proto for c in app.get("vega_lite_chart") if c.proto.alt.startswith(chart))
    return next(rows_named(json.loads(proto.spec), name))


def test_masks_come_back_from_their_bits_as_they_were_chosen(
    pretrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any size: the last byte need not be full."""
    rng = np.random.default_rng(0)
    chosen = {str(shape): rng.random(shape) < 0.5 for shape in [(1,), (3, 1, 3, 3), (8,), (5, 7)]}
    monkeypatch.setattr(networks, "tensors", lambda id, sha256: {})
    monkeypatch.setattr(pruning, "choose", lambda tensors, method, ratio, groups: chosen)
    network = SimpleNamespace(id="network", weights_sha256="0")
    at = pruning.Setting(network, "", None, "l1", 0.5, False, False)  # type: ignore[arg-type]
    for _first_or_kept in range(2):
        masks = at.masks()
        assert list(masks) == list(chosen)
        for name, mask in masks.items():
            assert mask.dtype == np.bool_ and np.array_equal(mask, chosen[name])


def test_the_curves_stay_hidden_until_there_is_a_guess(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE)
    assert not app.exception
    (chart,) = app.get("vega_lite_chart")
    assert "until you guess" in chart.proto.alt
    assert [row["ratio"] for row in drawn_rows(app, "curves")] == [0]  # the chosen network, whole
    assert not drawn_rows(app, "ends") and not drawn_rows(app, "guess")
    assert "The mark: Teacher with nothing pruned, right on 83.0%" in said(app)
    for given_away in ("stays within", "54.0", "torch_1", "suddenly” is nearest", "original's"):
        assert given_away not in said(app)
    app = app.button_group(key="guess_curve").set_value("early").run()
    assert len(drawn_rows(app, "curves")) == 2 * 20
    assert drawn_rows(app, "guess")[0]["accuracy"] == pytest.approx(0.83)  # its own whole accuracy
    assert "Not quite." in said(app) and "is nearest to Teacher" in said(app)
    assert len(app.get("vega_lite_chart")) == 1  # the second guess has its own answer
    assert "up to 50% pruned" in said(app)  # the made-up curve is flat so far
    assert "Student from scratch up to 50%" in said(app)
    assert "At **50%**, Teacher is right on 83.0%" in said(app)
    assert "faster: 60%" not in said(app)
    app.button_group(key="guess_speed").set_value("faster").run()
    assert "It is slower: 125% of the original" in said(app)
    assert len(app.get("vega_lite_chart")) == 2


def test_the_guessed_curve_starts_where_the_chosen_network_does(
    open_page: Open, shipped: Path
) -> None:
    app = open_page(PAGE, network=pruning_shelf.SCRATCH)
    app = app.button_group(key="guess_curve").set_value("late").run()
    assert drawn_rows(app, "guess")[0]["accuracy"] == pytest.approx(0.54)
    assert "nearest to Student from scratch" in said(app)
    app = app.button_group(key="guess_curve").set_value("show").run()
    assert len(drawn_rows(app, "curves")) == 2 * 20 and not drawn_rows(app, "guess")
    assert "Not quite." not in said(app) and "Right." not in said(app)


def test_what_you_see_is_what_was_measured(seen: Callable[..., AppTest]) -> None:
    text = said(seen(reveal="true", finetuned="true"))
    assert "**Teacher** is right on 83.0%" in text and "up to 50% pruned" in text
    assert "**Teacher** at 90%: 17.3" in text and "82.3" in text  # fine-tuned: 7 fewer than whole
    assert "**masks on**: slower: 125% of the original's time" in text
    assert "**masks removed**: not distinguishable" in text
    assert "**channels cut**: faster: 60% of the original's time" in text


def test_equal_work_says_what_a_timing_cannot_tell(open_page: Open, shipped: Path) -> None:
    """Masks removed is 22 % off at one ratio: then 20 % is nothing, at any, for any form."""
    path = PruningGrid.path(pruning_shelf.TEACHER)
    grid = PruningGrid.load(pruning_shelf.TEACHER)
    assert grid is not None
    rows = []
    for row in grid.rows:
        share = {0.25: 0.78, 0.9: 0.94}.get(row.ratio, 1.0) if row.form == "removed" else 1.0
        spent = {
            name: Spread(median=share * t.median, p25=share * t.p25, p75=share * t.p75, n=t.n)
            for name, t in row.latency.items()
        }
        rows.append(row.model_copy(update={"latency": spent}))
    path.unlink()
    grid.model_copy(update={"rows": tuple(rows)}).save()
    text = said(open_page(PAGE, reveal="true", ratio="90"))
    assert "**masks removed**: not distinguishable from the original (94%" in text
    assert "**masks on**: slower: 125%" in text  # more than chance
    assert "up to 22.0% off" in text
    text = said(open_page(PAGE, reveal="true", ratio="25"))
    assert "**channels cut**: not distinguishable from the original (80%" in text


@pytest.mark.parametrize(
    ("method", "tab", "ratio"),
    [("l1", "time", "50"), ("global_l1", "weights", "100"), ("random", "weights", "0"),
     ("channel_l2", "weights", "100"), ("bn_gamma", "weights", "0"),
     ("channel_l2", "channels", "0"), ("bn_gamma", "channels", "100")],
)  # fmt: skip
def test_every_method_draws_at_any_ratio(
    seen: Callable[..., AppTest], method: str, ratio: str, tab: str
) -> None:
    charts = seen(method=method, ratio=ratio, reveal="true", tab=tab).get("vega_lite_chart")
    assert len(charts) == {"time": 2, "weights": 3, "channels": 2}[tab]  # weights and their scan
    assert all(len(chart.proto.alt) > 20 for chart in charts)


def test_all_methods_of_one_network(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true", all_methods="true")
    assert len(drawn_rows(app, "curves")) == len(METHODS) * 20
    assert "Random weights up to 50%" in said(app)
    banded = {row["series"] for row in drawn_rows(app, "curves") if row["banded"]}
    assert banded == {"L1, per layer"}  # five bands over one another would say nothing


def test_the_menu_offers_what_was_measured_and_more_when_asked(
    open_page: Open, shipped: Path
) -> None:
    PruningGrid.path(pruning_shelf.SCRATCH).unlink()
    app = open_page(PAGE)
    assert len(app.selectbox(key="network").options) == 1
    app = app.toggle(key="more_network").set_value(True).run()
    assert len(app.selectbox(key="network").options) == 2
    app = open_page(PAGE, network=pruning_shelf.SCRATCH)  # a link to one of the others
    assert app.selectbox(key="network").value == pruning_shelf.SCRATCH


def test_without_curves_it_says_how_to_get_them(open_page: Open, bare: Path) -> None:
    app = open_page(PAGE, reveal="true", tab="weights")
    assert not app.exception
    assert app.code[0].value == f"python -m core prune-grid {pruning_shelf.TEACHER}"
    assert len(app.get("vega_lite_chart")) == 1  # the weights need no curves
    app = open_page(PAGE, method="channel_l2", tab="weights")
    assert not app.exception and all("prune-grid" in code.value for code in app.code)


def test_curves_of_other_weights_are_not_shown(open_page: Open, shipped: Path) -> None:
    path = PruningGrid.path(pruning_shelf.TEACHER)
    of_others = json.loads(path.read_text()) | {"weights_sha256": "0" * 64}
    path.write_text(json.dumps(of_others))
    app = open_page(PAGE, reveal="true")
    assert "**Teacher** is right" not in said(app)
    assert app.selectbox(key="network").value == pruning_shelf.SCRATCH
    assert "**Student from scratch** is" in said(app)


@pytest.mark.parametrize("content", ["", '{"rows": 3}'])
def test_a_damaged_file_of_curves_is_said(open_page: Open, shipped: Path, content: str) -> None:
    PruningGrid.path(pruning_shelf.TEACHER).write_text(content)
    app = open_page(PAGE)
    assert not app.exception
    (error,) = app.error  # said once
    assert "prune-grid" in error.value


def test_a_damaged_network_is_said_and_the_rest_goes_on(open_page: Open, shipped: Path) -> None:
    path = shipped / pruning_shelf.TEACHER / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    app = open_page(PAGE, reveal="true", tab="weights")
    assert not app.exception
    assert pruning_shelf.TEACHER in app.error[0].value
    assert drawn_rows(app, "curves")


@pytest.mark.parametrize("value", HOSTILE)
def test_a_mangled_link_still_opens(open_page: Open, shipped: Path, value: str) -> None:
    names = ("network", "method", "ratio", "reveal", "all_methods", "finetuned", "layer",
             "time_with", "group", "more_network", "height", "tab")  # fmt: skip
    assert not open_page(PAGE, **dict.fromkeys(names, value)).exception


def test_a_link_sets_the_page(open_page: Open, shipped: Path) -> None:
    link = {"network": pruning_shelf.SCRATCH, "method": "bn_gamma", "ratio": "30",
            "reveal": "true"}  # fmt: skip
    app = open_page(PAGE, **link, time_with="onnx_32")
    assert app.selectbox(key="network").value == pruning_shelf.SCRATCH
    assert app.selectbox(key="method").value == "bn_gamma"
    assert app.slider(key="ratio").value == 30
    assert app.selectbox(key="time_with").value == "onnx_32"
    app = open_page(PAGE, **link, layer="features.0.weight")  # opens the tab it belongs to
    assert app.selectbox(key="layer").value == "features.0.weight"
    app = open_page(PAGE, **link, group="1", height="norm")
    assert app.selectbox(key="group").value == 1
    for former, text in (("layers", "the most sensitive is"), ("trap", "| 50 %, masks on |")):
        assert text in said(open_page(PAGE, tab=former))


def test_the_shown_source_is_the_function_that_pruned(seen: Callable[..., AppTest]) -> None:
    import inspect

    shown = [code.value for code in seen(tab="why").code if code.value]
    assert inspect.getsource(prune_select.kept_weights).strip() in shown
    assert inspect.getsource(network.masked).strip() in shown


def test_the_homework_is_answered(seen: Callable[..., AppTest]) -> None:
    """The made-up times: 10 ms whole, 6 ms with half of the channels gone."""
    text = said(seen(tab="homework"))
    assert "HW13 Q3.1" in text and "HW13 Q3.2" in text and "network slimming" in text
    assert "54.0" in text and "| Student from scratch | slower: 125% |" in text


def test_the_most_and_the_least_sensitive_layer_are_named(seen: Callable[..., AppTest]) -> None:
    """The made-up scan: 10 pictures fewer for every layer."""
    app = seen(tab="weights")
    weakest = re.search(r"the most sensitive is (\S+) \((\S+)% right", said(app))
    assert weakest and weakest[2] == "57"  # 170 of 300, in the last of four
    assert len(drawn_rows(app, "scan", "With 95")) == 12


@pytest.mark.parametrize(
    ("column", "says"),
    [("size_bytes", "**masks on**: larger: 200%"), ("macs", "**masks on**: as much"),
     ("gzip_bytes", "**channels cut**: smaller: 25%")],
)  # fmt: skip
def test_sizes_are_shown_like_times(open_page: Open, shipped: Path, column: str, says: str) -> None:
    app = open_page(PAGE, reveal="true", time_with=column)
    assert app.selectbox(key="time_with").value == column
    assert says in said(app) and "no spread" in said(app)


def test_sizes_are_shown_where_no_times_are(open_page: Open, shipped: Path) -> None:
    path = PruningGrid.path(pruning_shelf.TEACHER)
    told = json.loads(path.read_text())
    for row in told["rows"]:
        row.pop("latency", None)
    path.write_text(json.dumps(told))
    app = open_page(PAGE, reveal="true")
    assert not app.exception
    assert "Times of this network are not measured yet" in said(app)
    assert app.selectbox(key="time_with").value == "size_bytes"


def test_nothing_on_the_page_escapes_translation(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    texts, charts = [], 0
    for tab in ("time", "weights", "channels", "photo", "where", "run", "why", "trap", "homework"):
        app = open_page(PAGE, reveal="true", finetuned="true", tab=tab)
        assert not app.exception
        texts += texts_of(app)
        charts += len(app.get("vega_lite_chart"))
    assert len(texts) > 100 and charts > 9
    names = re.compile(r":material/\w+:|classifier|features\S*|abacus|hw13_sample\S*|PyTorch|ONNX")
    left = [text for text in texts if re.search(r"[^\W\d_]{3}", names.sub("", outside(text)))]
    assert not left, "\n".join(left)


def test_a_photo_goes_through_three_ratios(
    open_page: Open, shipped: Path, page_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(page_food))
    app = open_page(PAGE, tab="photo")
    names = ["**original**", "**30% pruned**", "**60% pruned**", "**90% pruned**"]
    assert [line for line in said(app).splitlines() if line in names] == names
    assert not app.exception and not app.error


def test_the_maps_are_those_of_the_pruned_networks(
    open_page: Open, shipped: Path, page_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(page_food))
    app = open_page(PAGE, tab="where", network=pruning_shelf.SCRATCH)
    assert not app.exception and not app.error
    captions = [image.caption for block in app.get("image") for image in block.proto.imgs]
    assert [caption.split(":")[0].replace(numbers.THIN, "") for caption in captions] == [
        "0%", "30%", "50%", "70%", "90%"
    ]  # fmt: skip
    looks = app.session_state["pruned_looks"]
    for (_label, logit), map, caption in zip(looks.answers, looks.maps, captions, strict=True):
        assert map.mean() == pytest.approx(logit, abs=1e-3)
        assert caption.endswith(f"{logit:.1f}".replace("-", "−"))
    assert pruning_shelf.SCRATCH in looks.key
    r = [np.corrcoef(map.ravel(), looks.maps[0].ravel())[0, 1] for map in looks.maps[1:]]
    assert ", ".join(f"{value:.2f}".replace("-", "−") for value in r) in said(app)
    with monkeypatch.context() as patch:  # a touch that changes nothing opens no network again
        patch.setattr(network, "Explainer", lambda *_: pytest.fail("opened again"))
        assert not app.run().exception


class TestLive(LivePage):
    page = PAGE
    link = {"tab": "run"}
    runs = pruning_live.RUNS
    module = "core.pruning.rows"

    def test_it_shows_its_progress_and_then_its_point(
        self, open_page: Open, shipped: Path, line: Line
    ) -> None:
        app = self.started(open_page, reveal="true")
        job = only_job(line)
        assert (job.point.method, job.point.ratio, job.state) == ("l1", 0.5, "running")
        job.step, job.done, job.of = "accuracy", 96, 1492
        app.run()
        assert "96 of 1492" in app.get("progress")[0].proto.text
        self.finish(app, job, PruningRow(method="l1", ratio=0.5, form="masked", params=9, nonzero=5,
                                         macs=7, size_bytes=36, n=100, correct=41))  # fmt: skip
        assert "41" in app.success[0].value and "100" not in app.success[0].value

    def test_a_class_gathers_its_points_each_counted_once(
        self,
        open_page: Open,
        shipped: Path,
        line: Line,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SMALL_PLATES_DATA", str(tmp_path / "data"))
        lecturer = open_page("class")
        lecturer.button(key="room_make").click().run()
        code = re.findall(r"[A-Z]{6}", str(lecturer.query_params["room"]))[0]
        ann = self.started(open_page, room=code, reveal="true")
        job = only_job(line)
        self.finish(ann, job, PruningRow(method="l1", ratio=0.5, form="masked", params=9, nonzero=5,
                                         macs=7, size_bytes=36, n=100, correct=41))  # fmt: skip
        ann.run()
        bob = open_page(PAGE, room=code, reveal="true", **self.link)
        assert "Measured here at" in said(bob)  # already, by somebody else, ...
        assert bob.button(key=self.key).label == "Add it to my report"
        bob.button(key=self.key).click().run()  # ... and his, too, when he says so
        assert bob.button(key=self.key).disabled
        (mine,) = bob.session_state["lab_report"].measured
        assert mine.result == ann.session_state["lab_report"].measured[0].result
        (point,) = Rooms(tmp_path / "data").points(code)
        assert point == Point(Spot(PAGE, job.point.checkpoint, "l1", 0.5), 100, 41, 2, False)
        lecturer.run()
        alt = "Pruning ratio. 50 %: 41 % right."
        (chart,) = lecturer.get("vega_lite_chart")
        assert chart.proto.alt.replace(numbers.THIN, " ") == alt
        assert drawn_rows(lecturer, "before", "Pruning ratio") == []  # it answers the page's guess
        (star,) = drawn_rows(lecturer, "points", "Pruning ratio")
        assert (star["x"], star["accuracy"], star["by"]) == (0.5, 0.41, "2 of the class")
        lecturer.toggle(key="room_before").set_value(True).run()
        grid = PruningGrid.load(job.point.checkpoint)
        assert grid is not None
        curve = {(row.ratio, row.score.accuracy) for row in grid.of("l1") if row.score}
        drawn = drawn_rows(lecturer, "before", "Pruning ratio")
        assert {(row["x"], row["accuracy"]) for row in drawn} == curve and len(drawn) == len(curve)
        pupil = open_page("class", room=code)
        assert drawn_rows(pupil.run(), "before", "Pruning ratio") == []
