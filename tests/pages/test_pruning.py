"""The pruning page without a browser: what it says with curves, without, and with damaged ones."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import i18n
from core.charts import numbers
from core.pruning import method as prune_select
from core.pruning import network
from core.pruning import rows as pruning_live
from core.pruning.method import METHODS
from core.pruning.rows import Point, PruningGrid, PruningRow
from tests.food import make_food11
from tests.pages import pruning_shelf, shelf
from tests.pages.conftest import REPO
from tests.pages.live import Line, LiveChecks
from tests.pages.test_app import HOSTILE, Marking, outside
from tests.pages.test_app import said as said_on

Open = Callable[..., AppTest]
PAGE = "pruning"


@pytest.fixture(scope="session")
def pruning_food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"training": 1, "validation": 2, "testing": 2}
    return make_food11(tmp_path_factory.mktemp("food"), per_class=counts)


@pytest.fixture(scope="session")
def two_networks(tmp_path_factory: pytest.TempPathFactory, pruning_food: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("two networks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        pruning_shelf.publish(pruning_food)
        pruning_shelf.fill()
    yield folder


@pytest.fixture
def shipped(two_networks: Path, pretrained: Path) -> Path:
    """Both networks with their curves, in this test's own folder."""
    shutil.copytree(two_networks, pretrained, dirs_exist_ok=True)
    return pretrained


@pytest.fixture
def bare(shipped: Path) -> Path:
    """The networks without curves."""
    shutil.rmtree(shipped / "results")
    return shipped


def said(app: AppTest) -> str:
    """All plain text on the page, its narrow spaces left out."""
    return said_on(app).replace(numbers.THIN, "")


def curve_rows(app: AppTest) -> int:
    """How many points the accuracy chart's curves have."""
    (proto,) = (c.proto for c in app.get("vega_lite_chart") if c.proto.alt.startswith("Accuracy"))
    (data,) = (d for d in proto.datasets if d.name == "curves")
    import pyarrow as pa

    table = pa.ipc.open_stream(data.data.data).read_all()
    rows: int = table.num_rows
    return rows


def test_curves_stay_hidden_until_they_are_asked_for(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert "until you ask" in app.get("vega_lite_chart")[0].proto.alt
    assert curve_rows(app) == 2  # where each network starts, and no more
    assert "stays within" not in said(app) and "torch_1" not in said(app)
    app = app.toggle(key="reveal").set_value(True).run()
    assert curve_rows(app) == 2 * 20
    assert "83.0" in said(app) and "54.0" in said(app)


def test_a_guess_is_told_about(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true")
    app.button_group(key="guess_speed").set_value("faster").run()
    assert "Not quite. You guessed “faster”" in said(app)
    app.button_group(key="guess_speed").set_value("slower").run()
    assert "Well seen." in said(app)


def test_what_you_see_is_what_was_measured(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true", finetuned="true")
    text = said(app)
    assert "up to 50% pruned" in text  # the made-up curve is flat so far
    assert "**Teacher** at 90%: 17.3" in text and "82.3" in text  # fine-tuned: 7 fewer than whole
    assert "**masked**: slower: 125% of the whole network's time" in text
    assert "**masks removed**: no difference" in text
    assert "**really narrower**: faster: 60% of the whole network's time" in text


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ratio", ["0", "50", "100"])
def test_every_method_draws_at_any_ratio(
    open_page: Open, shipped: Path, method: str, ratio: str
) -> None:
    app = open_page(PAGE, method=method, ratio=ratio, reveal="true")
    assert not app.exception and not app.error
    assert len(app.get("vega_lite_chart")) == 6
    assert all(len(chart.proto.alt) > 20 for chart in app.get("vega_lite_chart"))


def test_all_methods_of_one_network(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true", all_methods="true")
    assert curve_rows(app) == len(METHODS) * 20
    assert "**Random weights**" in said(app)


def test_without_curves_it_says_how_to_get_them(open_page: Open, bare: Path) -> None:
    app = open_page(PAGE, reveal="true")
    assert not app.exception
    command = f"python -m core prune-grid {pruning_shelf.TEACHER} {pruning_shelf.SCRATCH}"
    assert app.code[0].value == command
    assert len(app.get("vega_lite_chart")) == 2  # the weights need no curves
    app = open_page(PAGE, method="channel_l2")
    assert not app.exception and "prune-grid" in app.code[-1].value + app.code[1].value


def test_curves_of_other_weights_are_not_shown(open_page: Open, shipped: Path) -> None:
    path = PruningGrid.path(pruning_shelf.TEACHER)
    of_others = json.loads(path.read_text()) | {"weights_sha256": "0" * 64}
    path.write_text(json.dumps(of_others))
    app = open_page(PAGE, reveal="true")
    assert "**Teacher** is right" not in said(app) and "**Student from scratch** is" in said(app)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 3}', '{"checkpoint": "x"}'])
def test_a_damaged_file_of_curves_is_said(open_page: Open, shipped: Path, content: str) -> None:
    PruningGrid.path(pruning_shelf.TEACHER).write_text(content)
    app = open_page(PAGE)
    assert not app.exception
    assert "prune-grid" in app.error[0].value


def test_a_damaged_network_is_said_and_the_rest_goes_on(open_page: Open, shipped: Path) -> None:
    path = shipped / pruning_shelf.TEACHER / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    app = open_page(PAGE, reveal="true")
    assert not app.exception
    assert pruning_shelf.TEACHER in app.error[0].value
    assert app.expander and app.get("vega_lite_chart")


@pytest.mark.parametrize("ids", [(), (shelf.TEACHER,), (shelf.TEACHER, shelf.DISTILLED)])
def test_it_draws_with_any_number_of_networks(
    open_page: Open, pretrained: Path, ids: tuple[str, ...]
) -> None:
    """Networks that have no convolution at all, too."""
    shelf.fill(*ids)
    app = open_page(PAGE)
    assert not app.exception
    if not ids:
        assert "python -m core reproduce" in app.code[0].value


@pytest.mark.parametrize("value", HOSTILE)
def test_a_mangled_link_still_opens(open_page: Open, shipped: Path, value: str) -> None:
    names = ("network", "method", "ratio", "reveal", "all_methods", "finetuned", "layer",
             "time_with", "group")  # fmt: skip
    assert not open_page(PAGE, **dict.fromkeys(names, value)).exception


def test_a_link_sets_the_page(open_page: Open, shipped: Path) -> None:
    link = {"network": pruning_shelf.SCRATCH, "method": "bn_gamma", "ratio": "30",
            "time_with": "onnx_32", "layer": "features.0.weight", "reveal": "true"}  # fmt: skip
    app = open_page(PAGE, **link)
    assert app.selectbox(key="network").value == pruning_shelf.SCRATCH
    assert app.button_group(key="method").value == "bn_gamma"
    assert app.slider(key="ratio").value == 30
    assert app.button_group(key="time_with").value == "onnx_32"
    assert app.selectbox(key="layer").value == "features.0.weight"
    assert "BN gamma at 30%" in said(app)


def test_the_shown_source_is_the_function_that_pruned(open_page: Open, shipped: Path) -> None:
    import inspect

    shown = [code.value for code in open_page(PAGE).code if code.value]
    assert inspect.getsource(prune_select.kept_weights).strip() in shown
    assert inspect.getsource(network.masked).strip() in shown


def test_the_homework_is_answered(open_page: Open, shipped: Path) -> None:
    text = said(open_page(PAGE))
    assert "HW13 Q3.1" in text and "HW13 Q3.2" in text and "network slimming" in text
    assert "54.0" in text and "Student from scratch, 90 %, **masked**: slower" in text


def test_what_only_cutting_saves_is_told_of_every_network(open_page: Open, shipped: Path) -> None:
    """The made-up times: 10 ms whole, 6 ms with half of the channels gone."""
    text = said(open_page(PAGE))
    for name in ("Teacher", "Student from scratch"):
        assert f"**{name}**, 50% of its channels cut out: 25% of the parameters" in text
    assert text.count("10.0ms to 6.00ms for a picture: 1.7× as fast") == 2


@pytest.mark.parametrize(
    ("column", "says"),
    [("size_bytes", "**masked**: larger: 200%"), ("macs", "**masked**: as much"),
     ("gzip_bytes", "**really narrower**: smaller: 25%")],
)  # fmt: skip
def test_sizes_are_shown_like_times(open_page: Open, shipped: Path, column: str, says: str) -> None:
    app = open_page(PAGE, reveal="true", time_with=column)
    assert app.button_group(key="time_with").value == column
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
    assert app.button_group(key="time_with").value == "size_bytes"


def test_nothing_on_the_page_escapes_translation(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    app = open_page(PAGE, reveal="true", finetuned="true")
    assert not app.exception
    texts = [str(one.value) for kind in ("title", "subheader", "markdown", "caption", "info",
             "success", "warning") for one in getattr(app, kind)]  # fmt: skip
    widgets = [*app.selectbox, *app.slider, *app.button, *app.toggle, *app.button_group]
    texts += [str(one.label) for one in [*widgets, *app.expander]]
    texts += [chart.proto.alt for chart in app.get("vega_lite_chart")]
    assert len(texts) > 30
    names = re.compile(r"classifier|features\S*|abacus|hw13_sample\S*|PyTorch|ONNX")
    left = [text for text in texts if re.search(r"[^\W\d_]{3}", names.sub("", outside(text)))]
    assert not left, "\n".join(left)


def test_a_photo_goes_through_three_ratios(
    open_page: Open, shipped: Path, pruning_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(pruning_food))
    app = open_page(PAGE)
    names = ["**whole**", "**30% pruned**", "**60% pruned**", "**90% pruned**"]
    assert [line for line in said(app).splitlines() if line in names] == names
    assert not app.exception and not app.error


# -- live ------------------------------------------------------------------------------------------


class TestLive(LiveChecks):
    page = PAGE
    runs = pruning_live.RUNS
    module = "core.pruning.rows"

    def other(self, number: int) -> Point:
        return Point("other", "0" * 64, "l1", number / 100)

    def test_it_shows_its_progress_and_then_its_point(
        self, open_page: Open, shipped: Path, line: Line
    ) -> None:
        app = self.started(open_page, reveal="true")
        job = self.the_job(line)
        assert (job.point.method, job.point.ratio, job.state) == ("l1", 0.5, "running")
        job.step, job.done, job.of = "accuracy", 96, 1492
        app.run()
        assert "96 of 1492" in app.get("progress")[0].proto.text
        self.finish(app, job, PruningRow(method="l1", ratio=0.5, form="masked", params=9, nonzero=5,
                                         macs=7, size_bytes=36, n=100, correct=41))  # fmt: skip
        assert "41" in app.success[0].value and "100" not in app.success[0].value


# -- weight ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_imports_no_torch(shipped: Path, pruning_food: Path) -> None:
    program = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(REPO / "app.py")!r}, default_timeout=60).run()
app = app.switch_page("pages/pruning.py").run()
assert not app.exception and len(app.get("vega_lite_chart")) > 5, app.exception
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO), "FOOD11_ROOT": str(pruning_food)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_file_of_curves_is_a_line_a_row(shipped: Path) -> None:
    content = PruningGrid.path(pruning_shelf.TEACHER).read_text()
    told = json.loads(content)
    assert len(content.splitlines()) > len(told["rows"]) + len(told["scan"])
