"""The quantisation page without a browser: with rows, without, with damaged ones, with uploads."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from core import i18n
from core.charts import numbers
from core.checkpoints import Checkpoint
from core.errors import CheckpointError
from core.quantization import hw7, method, rows, upload
from core.quantization.graph import quantized_file, source
from core.quantization.hw7 import encode8
from core.quantization.method import SCHEMES
from core.quantization.rows import QuantizationGrid, QuantRow
from core.quantization.upload import HOSTILE
from tests import homework
from tests.core.quantization.test_read_file import text_bomb
from tests.food import make_food11
from tests.pages import quantization_shelf, shelf
from tests.pages.conftest import REPO
from tests.pages.live import Line, LiveChecks
from tests.pages.test_app import HOSTILE as HOSTILE_LINKS
from tests.pages.test_app import Marking, data_buttons, outside
from tests.pages.test_app import said as said_on

Open = Callable[..., AppTest]
PAGE = "quantization"
TEACHER, SCRATCH = quantization_shelf.TEACHER, quantization_shelf.SCRATCH


@pytest.fixture(scope="session")
def quantization_food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"training": 1, "validation": 2, "testing": 2}
    return make_food11(tmp_path_factory.mktemp("food"), per_class=counts)


@pytest.fixture(scope="session")
def two_networks(
    tmp_path_factory: pytest.TempPathFactory, quantization_food: Path
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("two networks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        quantization_shelf.publish(quantization_food)
        quantization_shelf.fill()
    yield folder


@pytest.fixture
def shipped(two_networks: Path, pretrained: Path) -> Path:
    """Both networks with their rows, in this test's own folder."""
    shutil.copytree(two_networks, pretrained, dirs_exist_ok=True)
    return pretrained


@pytest.fixture
def bare(shipped: Path) -> Path:
    """The networks without rows."""
    shutil.rmtree(shipped / "results")
    return shipped


def said(app: AppTest) -> str:
    """All plain text on the page, its narrow spaces left out."""
    return said_on(app).replace(numbers.THIN, "")


def chart(app: AppTest, begins: str) -> Any:
    (proto,) = (c.proto for c in app.get("vega_lite_chart") if c.proto.alt.startswith(begins))
    return proto


def rows_of(proto: Any, name: str) -> list[dict[str, Any]]:
    (data,) = (d for d in proto.datasets if d.name == name)
    found: list[dict[str, Any]] = pa.ipc.open_stream(data.data.data).read_all().to_pylist()
    return found


def test_curves_stay_hidden_until_they_are_asked_for(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE)
    assert not app.exception
    proto = chart(app, "Accuracy")
    assert "until you ask" in proto.alt
    assert [row["bits"] for row in rows_of(proto, "curves")] == [32, 32]
    assert "stays within" not in said(app) and "265,000" not in said(app)
    app = app.toggle(key="reveal").set_value(True).run()
    curves = rows_of(chart(app, "Accuracy"), "curves")
    assert sorted(row["bits"] for row in curves) == sorted(2 * [2, 3, 4, 5, 6, 8, 16, 32])
    text = said(app)
    assert "**Teacher** is right on 83.0% as trained" in text
    assert "down to 5 bits" in text and "400 to" not in text


def test_a_guess_is_told_about(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true")
    app.button_group(key="guess_bits").set_value(4).run()
    assert "Well seen. You guessed 4 bits" in said(app)
    app.button_group(key="guess_bits").set_value(2).run()
    assert "Not quite. You guessed 2 bits; the first to leave **Teacher**'s interval" in said(app)
    app.button_group(key="guess_speed").set_value("slower").run()
    assert "You guessed “slower”; static int8 measured “faster”" in said(app)


def test_the_files_are_weighed_against_the_homeworks_limit(open_page: Open, shipped: Path) -> None:
    text = said(open_page(PAGE, reveal="true", against="bytes"))
    assert "265,000 bytes, under 300KB" in text
    assert "(−0.2 points against float32, 95 % interval −2.2 to +1.8: not distinguishable)" in text


def test_int8_says_what_it_measured(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true")
    assert data_buttons(app) == {"number-line", "int8"}
    text = said(app)
    assert "**static int8** is faster (40% of float32's time, ONNX Runtime, batch 1)" in text
    assert "- **dynamic int8**: 4 `Conv`, 1 `MatMulInteger`" in text
    assert "4 `Conv`, 9 `QuantizeLinear`" in text
    forms = rows_of(chart(app, "Bytes and time"), "forms")
    assert [row["scheme"] for row in forms] == [
        "float32", "ort_int8", "ort_dynamic", "ort_dynamic_conv",
    ]  # fmt: skip
    assert [round(row["time"], 2) for row in forms] == [1.0, 0.4, 1.01, 2.0]


def test_the_verdict_on_training_for_bits_is_paired(open_page: Open, shipped: Path) -> None:
    hidden = said(open_page(PAGE))
    assert "is better than" not in hidden
    text = said(open_page(PAGE, reveal="true"))
    assert (
        "**quantisation-aware fine-tuning (5 epochs) is better than rounding afterwards** on the "
        "same 1,000 test photographs: +8.0 points (95 % interval +5.0 to +11.0"
    ) in text
    assert "then rounding and rounding afterwards are not distinguishable**" in text


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_draws(open_page: Open, shipped: Path, scheme: str) -> None:
    app = open_page(PAGE, scheme=scheme, reveal="true", network=SCRATCH)
    assert not app.exception and not app.error
    charts = app.get("vega_lite_chart")
    assert len(charts) == 3 and all(len(one.proto.alt) > 20 for one in charts)
    levels = rows_of(chart(app, "The weights"), "levels")
    most = 256 if scheme in ("tensor_minmax", "channel_minmax") else 255
    count = sum(1 for row in levels if row["bits"] == 8 and row["strip"] == 0)
    assert count == most or (scheme == "kmeans" and 200 < count <= 256)
    shared = any(row["strip"] < 0 for row in levels)
    assert shared != scheme.startswith("channel")
    if scheme.startswith("tensor_sym") or scheme == "channel_minmax":  # not measured of a teacher
        assert "Not measured: Teacher" in said(app)


def test_all_schemes_of_one_network(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true", all_schemes="true", network=SCRATCH)
    curves = rows_of(chart(app, "Accuracy"), "curves")
    assert len(curves) == len(SCHEMES) * 8
    assert "**k-means codebook** holds down to 5 bits" in said(app)
    assert {row["series"] for row in curves if row["banded"]} == {"Min–max, per tensor"}


def test_without_rows_it_says_how_to_get_them(open_page: Open, bare: Path) -> None:
    app = open_page(PAGE, reveal="true")
    assert not app.exception and not app.error
    commands = [code.value for code in app.code]
    assert f"python -m core quantize-grid {TEACHER} {SCRATCH}" in commands
    assert f"python -m core quantize-grid {TEACHER} --stages int8" in commands
    assert any("--stages aware" in command for command in commands)
    assert len(app.get("vega_lite_chart")) == 1  # the number line needs none
    assert "python -m core quantize-grid" in said(app)


def test_rows_of_other_weights_are_not_shown(open_page: Open, shipped: Path) -> None:
    path = QuantizationGrid.path(TEACHER)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0" * 64}))
    text = said(open_page(PAGE, reveal="true"))
    assert "**Teacher** is right" not in text and "**Student from scratch** is" in text


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 3}', '{"checkpoint": "x"}'])
def test_a_damaged_file_of_rows_is_said(open_page: Open, shipped: Path, content: str) -> None:
    QuantizationGrid.path(TEACHER).write_text(content)
    app = open_page(PAGE)
    assert not app.exception
    assert "quantize-grid" in app.error[0].value


def test_a_damaged_network_is_said_and_the_rest_goes_on(open_page: Open, shipped: Path) -> None:
    path = shipped / TEACHER / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    app = open_page(PAGE, reveal="true")
    assert not app.exception
    assert TEACHER in app.error[0].value
    assert app.expander and chart(app, "Accuracy")


@pytest.mark.parametrize("ids", [(), (shelf.TEACHER,), (shelf.TEACHER, shelf.DISTILLED)])
def test_it_draws_with_any_number_of_networks(
    open_page: Open, pretrained: Path, ids: tuple[str, ...]
) -> None:
    """Networks that have no layer to quantise, too."""
    shelf.fill(*ids)
    app = open_page(PAGE)
    assert not app.exception
    if not ids:
        assert "python -m core reproduce" in app.code[0].value


@pytest.mark.parametrize("value", HOSTILE_LINKS)
def test_a_mangled_link_still_opens(open_page: Open, shipped: Path, value: str) -> None:
    names = ("network", "scheme", "layer", "line_bits", "bits", "against", "reveal", "all_schemes",
             "time_with", "hw7_sample")  # fmt: skip
    assert not open_page(PAGE, **dict.fromkeys(names, value)).exception


def test_a_link_sets_the_page(open_page: Open, shipped: Path) -> None:
    link = {"network": SCRATCH, "scheme": "kmeans", "layer": "features.0.weight", "bits": "3",
            "line_bits": "2", "against": "bytes", "time_with": "onnx_32",
            "reveal": "true"}  # fmt: skip
    app = open_page(PAGE, **link)
    assert app.selectbox(key="network").value == SCRATCH
    assert app.selectbox(key="scheme").value == "kmeans"
    assert app.selectbox(key="layer").value == "features.0.weight"
    assert app.button_group(key="bits").value == 3
    assert app.button_group(key="against").value == "bytes"
    assert app.button_group(key="time_with").value == "onnx_32"
    spec = json.loads(chart(app, "The weights").spec)
    assert [one["value"] for one in spec["params"] if one["name"] == "line_bits"] == [2]


def test_the_shown_source_is_the_function_that_quantised(open_page: Open, shipped: Path) -> None:
    shown = [code.value for code in open_page(PAGE).code if code.value]
    assert inspect.getsource(method.quantise).strip() in shown
    assert inspect.getsource(hw7.encode8).strip() in shown


def test_the_homework_is_answered(open_page: Open, shipped: Path) -> None:
    text = said(open_page(PAGE))
    assert "HW7: keep the weights in 16 bits, and in 8" in text
    assert "16 bits: 176KB, 54.0%" in text and "8 bits: 265KB, 53.8%" in text


def test_nothing_on_the_page_escapes_translation(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    app = open_page(PAGE, reveal="true", hw7_sample="own")
    assert not app.exception
    texts = [str(one.value) for kind in ("title", "subheader", "markdown", "caption", "info",
             "success", "warning") for one in getattr(app, kind)]  # fmt: skip
    widgets = [*app.selectbox, *app.button, *app.toggle, *app.button_group]
    texts += [str(one.label) for one in [*widgets, *app.expander]]
    texts += [one.proto.alt for one in app.get("vega_lite_chart")]
    assert len(texts) > 30
    names = re.compile(r"classifier|features\S*|abacus|hw13_sample\S*|PyTorch|ONNX|`\w+`")
    left = [text for text in texts if re.search(r"[^\W\d_]{3}", names.sub("", outside(text)))]
    assert not left, "\n".join(left)


def test_a_photo_goes_through_three_widths(
    open_page: Open, shipped: Path, quantization_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(quantization_food))
    app = open_page(PAGE, network=SCRATCH)
    names = ["**float32**", "**8 bits**", "**4 bits**", "**2 bits**"]
    assert [line for line in said(app).splitlines() if line in names] == names
    assert not app.exception and not app.error


# -- a homework's file -----------------------------------------------------------------------------


def test_the_apps_own_8_bit_file_is_read_and_asked(
    open_page: Open, shipped: Path, quantization_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(quantization_food))
    app = open_page(PAGE, network=SCRATCH, hw7_sample="own")
    size = len(quantized_file(SCRATCH, "hw7_8bit"))
    assert f"{size:,} bytes" in app.success[0].value and "87,907" in app.success[0].value
    assert SCRATCH in said(app)
    app.button(key="hw7_ask").click().run()
    assert not app.exception and "of 22 test photographs" in said(app)


def test_a_file_that_would_run_a_program_is_refused(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(os, "system", ran.append)
    app = open_page(PAGE, hw7_sample="hostile")
    assert not app.exception and not ran
    assert "os.system" in app.error[0].value
    assert not app.success


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", HOSTILE[:9], b"\x80\x02}.", bytes(9000)])
def test_other_files_are_refused_or_hold_nothing(
    open_page: Open, shipped: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.quantization.upload.HOSTILE", content)
    app = open_page(PAGE, hw7_sample="hostile")
    assert not app.exception
    assert app.error or "None of the networks here has these shapes" in said(app)


def dropped(app: AppTest, data: bytes, name: str = "net.pkl") -> AppTest:
    app.file_uploader(key="hw7_file").set_value((name, data, "application/octet-stream"))
    return app.run()


def test_homework_files_under_the_homeworks_names_are_asked(
    open_page: Open,
    shipped: Path,
    quantization_food: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(quantization_food))
    homework.write(tmp_path, SCRATCH, renamed=True)
    opened: list[bytes] = []
    whole = upload.open_upload

    def open_once(data: bytes, found: Iterable[Checkpoint]) -> upload.Upload:
        opened.append(data)
        return whole(data, found)

    monkeypatch.setattr("core.quantization.upload.open_upload", open_once)
    app = open_page(PAGE, network=SCRATCH)
    for form in ("8bit.pkl", "8bit-numpy1-3.pkl", "module.pkl", "state_dict.pth", "16bit.npz"):
        data = (tmp_path / f"{SCRATCH}-{form}").read_bytes()
        dropped(app, data, form)
        assert not app.exception and not app.error, form
        assert f"{len(data):,} bytes" in app.success[0].value and "87,907" in app.success[0].value
        assert "`cnn.0.weight` is taken for `features.0.weight`" in said(app).replace("module.", "")
        assert SCRATCH in said(app)
        app.button(key="hw7_ask").click().run()
        assert not app.exception and "of 22 test photographs" in said(app), form
    assert len(opened) == 5  # each was opened once, and drawn twice


def refused_files() -> dict[str, tuple[bytes, str]]:
    surrogate = b"X\x03\x00\x00\x00\xed\xa0\x80"
    table = encode8({"w": np.ones((2, 2), np.float32)})
    huge = {"w": np.full((2, 2), 3e38, np.float32)}
    return {
        "bomb": (text_bomb(250), "grow to more than its length"),
        "half a character": (table.replace(b"X\x01\x00\x00\x00w", surrogate), "cannot be printed"),
        "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5 file, as Keras"),
        "huge": (encode8(huge), "too large to compute with"),
        "web page": (b"<!DOCTYPE html>", "a web page"),
    }


@pytest.mark.parametrize("name", sorted(refused_files()))
def test_a_file_that_is_not_read_says_why(open_page: Open, shipped: Path, name: str) -> None:
    data, why = refused_files()[name]
    app = dropped(open_page(PAGE), data)
    assert not app.exception and not app.success
    assert why in app.error[0].value
    app.run()
    assert why in app.error[0].value


def test_a_refusal_is_looked_at_again_after_a_minute(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been for a busy server."""

    def busy(_data: bytes, _found: Iterable[Checkpoint]) -> upload.Upload:
        raise CheckpointError("Many files are being opened here just now.")

    with monkeypatch.context() as patch:
        patch.setattr("core.quantization.upload.open_upload", busy)
        app = dropped(open_page(PAGE, network=SCRATCH), quantized_file(SCRATCH, "hw7_8bit"))
    assert "Many files" in app.error[0].value
    assert "Many files" in app.run().error[0].value
    kept = app.session_state["hw7_read"]
    app.session_state["hw7_read"] = kept._replace(since=kept.since - 61)
    app.run()
    assert not app.error and "87,907" in app.success[0].value


def test_what_fits_is_decided_once(
    open_page: Open, shipped: Path, quantization_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(quantization_food))
    state = source(SCRATCH)[2]
    app = dropped(open_page(PAGE), encode8({**state, "epoch": np.asarray(3)}))
    assert "It has the tensors of" in said(app)
    app.button(key="hw7_ask").click().run()
    assert not app.exception and not app.error and "of 22 test photographs" in said(app)
    big = {name: tensor * 1e18 if tensor.ndim > 1 else tensor for name, tensor in state.items()}
    dropped(app, encode8(big))
    assert "not numbers" in app.error[0].value
    assert not [button for button in app.button if button.key == "hw7_ask"]
    dropped(app, encode8({**state, "more": np.ones(3, np.float32)}))
    assert "None of the networks here has these shapes" in app.info[-1].value
    assert not app.error and not [button for button in app.button if button.key == "hw7_ask"]


# -- live ------------------------------------------------------------------------------------------


class TestLive(LiveChecks):
    page = PAGE
    runs = rows.RUNS
    module = "core.quantization.rows"

    def other(self, number: int) -> rows.QuantPoint:
        return rows.QuantPoint(f"other-{number}", "0" * 64, "tensor_minmax", 4)

    def test_it_shows_its_progress_and_then_its_point(
        self, open_page: Open, shipped: Path, line: Line
    ) -> None:
        app = self.started(open_page, reveal="true", bits="3")
        job = self.the_job(line)
        assert (job.point.scheme, job.point.bits, job.state) == ("tensor_minmax", 3, "running")
        job.step, job.done, job.of = "accuracy", 96, 1492
        app.run()
        assert "96 of 1492" in app.get("progress")[0].proto.text
        self.finish(app, job, QuantRow(scheme="tensor_minmax", bits=3, params=9, size_bytes=36,
                                       n=100, correct=41))  # fmt: skip
        assert "41" in app.success[0].value and "100" not in app.success[0].value
        (star,) = rows_of(chart(app, "Accuracy"), "live")
        assert (star["bits"], star["accuracy"]) == (3, 0.41)


# -- weight ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_imports_no_torch(shipped: Path, quantization_food: Path) -> None:
    program = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(REPO / "app.py")!r}, default_timeout=120).run()
app = app.switch_page("pages/quantization.py").run()
assert not app.exception and len(app.get("vega_lite_chart")) > 4, app.exception
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO), "FOOD11_ROOT": str(quantization_food)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
