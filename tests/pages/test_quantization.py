"""The quantisation page without a browser: with rows, without, with damaged ones, with uploads."""

import inspect
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import checkpoints, i18n
from core.charts import numbers
from core.checkpoints import Checkpoint
from core.errors import CheckpointError
from core.quantization import hw7, method, upload
from core.quantization import rows as measured
from core.quantization.graph import quantized_file, source
from core.quantization.hw7 import encode8
from core.quantization.method import SCHEMES, quantisable
from core.quantization.number_line import LayerRows, layer_row
from core.quantization.rows import QuantizationGrid, QuantRow
from core.quantization.upload import HOSTILE
from pages.kit import guess
from tests import homework
from tests.charts import rows_of
from tests.core.quantization.test_read_file import text_bomb
from tests.pages import quantization_shelf
from tests.pages.live import Line, LivePage, only_job
from tests.pages.test_app import HOSTILE as HOSTILE_LINKS
from tests.pages.test_app import Marking, data_buttons, outside, tables
from tests.pages.test_app import said as said_on

Open = Callable[..., AppTest]
PAGE = "quantization"
SHELF = quantization_shelf
TEACHER, SCRATCH = quantization_shelf.TEACHER, quantization_shelf.SCRATCH


def said(app: AppTest) -> str:
    """All plain text on the page, its narrow spaces left out."""
    return said_on(app).replace(numbers.THIN, "")


def chart(app: AppTest, begins: str) -> Any:
    (proto,) = (c.proto for c in app.get("vega_lite_chart") if c.proto.alt.startswith(begins))
    return proto


def drawn(app: AppTest, begins: str, name: str) -> list[dict[str, Any]]:
    """The rows that a chart draws: in its layers, or beside them as Arrow."""
    proto = chart(app, begins)
    for data in proto.datasets:
        if data.name == name:
            found: list[dict[str, Any]] = pa.ipc.open_stream(data.data.data).read_all().to_pylist()
            return found
    return rows_of(json.loads(proto.spec), name)


def test_nothing_gives_the_answer_away_before_the_guess(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert "until you guess" in chart(app, "Accuracy").alt
    assert [row["bits"] for row in drawn(app, "Accuracy", "curves")] == [32]
    assert "The mark: " in said(app) and "Stars" not in said(app)  # what is drawn, no more
    assert not drawn(app, "Accuracy", "guess")
    for tab in ("time", "run", "aware", "trap", "homework"):
        linked = open_page(PAGE, tab=tab)
        text = said(linked)
        assert not linked.exception and [tab.label for tab in linked.tabs][0] == "Number line"
        assert (
            "stays within" not in text and "83.0% in float32" not in text and "better: " not in text
        )
        assert "guess first" in text and "265,000" not in text and "zeroed" not in text


def test_a_guess_opens_the_curves_and_the_words_follow_the_controls(
    open_page: Open, shipped: Path
) -> None:
    app = open_page(PAGE, network=TEACHER)
    app.button_group(key="guess_bits").set_value(4).run()
    assert "Right.** **Teacher** first leaves the 95 % interval of float32 at 4 bits" in said(app)
    curves = drawn(app, "Accuracy", "curves")
    assert sorted(row["bits"] for row in curves) == sorted(2 * [2, 3, 4, 5, 6, 8, 16, 32])
    assert [row["x"] for row in drawn(app, "Accuracy", "guess")] == [4]
    assert {row["checkpoint"] for row in curves if row["banded"]} == {TEACHER}
    app.button_group(key="guess_bits").set_value(2).run()
    assert "Not quite.** **Teacher** first leaves the 95 % interval of float32 at 4 bits" in said(
        app
    )
    app.button_group(key="guess_bits").set_value(guess.SHOW).run()
    text = said(app)
    assert "**Teacher** is right on 83.0% in float32" in text and "down to 5 bits" in text
    assert "Right." not in text and "Not quite." not in text
    assert said(open_page(PAGE, network=TEACHER, reveal="true")) == text  # an older link
    app.selectbox(key="network").set_value(SCRATCH).run()
    assert "At 4 bits, the file of" in said(app) and "is right on 44.0%" in said(app)
    assert [row["x"] for row in drawn(app, "Accuracy", "now")] == [4]
    app.select_slider(key="bits").set_value(3).run()
    text = said(app)
    assert "At 3 bits" in text and "24.0%" in text and "−30.0 points" in text and "worse" in text
    app.select_slider(key="bits").set_value(7).run()
    assert "at 7 bits, Min–max, per tensor, was not measured" in said(app)


def test_the_homework_is_answered_and_its_traps_are_shown(open_page: Open, shipped: Path) -> None:
    text = said(open_page(PAGE, reveal="true", tab="homework"))
    assert "| 176KB; 54.0%" in text
    assert "| 265,000 bytes, under 300KB; 53.8%: −0.2 points (−2.2 to +1.8) |" in text
    app = open_page(PAGE, reveal="true", tab="trap")
    text = said(app)
    assert "**Teacher**: 82.8%" in text
    assert "running variances" in text and "30 of 40 variances" in text
    assert "the file is −0.3 points from float32" in text
    (parts,) = tables(app)
    assert sum("variances" in part for part in parts["Only these in 8 bits"]) == 2
    assert parts["Become 0"] == ["0", "30", "0", "0", "0"]
    assert "- **dynamic int8**: 4 `Conv`, 1 `MatMulInteger`" in text
    assert "4 `Conv`, 9 `QuantizeLinear`" in text


def test_int8_is_guessed_and_told(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, tab="time", network=TEACHER)
    assert len(app.get("vega_lite_chart")) == 1
    app.button_group(key="guess_speed").set_value("slower").run()
    text = said(app)
    assert "Not quite.** Static int8 measured faster" in text
    assert "**static int8** takes 40% of float32's time" in text
    assert "stays within" not in text  # it was another guess
    forms = drawn(app, "Bytes and time", "forms")
    assert [row["scheme"] for row in forms] == [
        "float32", "ort_int8", "ort_dynamic", "ort_dynamic_conv",
    ]  # fmt: skip
    assert [round(row["time"], 2) for row in forms] == [1.0, 0.4, 1.01, 2.0]
    assert data_buttons(app) == {"int8"}


def test_the_verdict_on_training_for_bits_is_paired(open_page: Open, shipped: Path) -> None:
    text = said(open_page(PAGE, reveal="true", tab="aware"))
    assert "| quantisation-aware (5 epochs) | rounded | better: +8.0 (+5.0 to" in text
    assert "then rounded | rounded | not distinguishable: " in text


def test_every_method_draws(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true", network=SCRATCH)
    for scheme in SCHEMES:
        app.selectbox(key="scheme").set_value(scheme).run()
        assert not app.exception and not app.error
        charts = app.get("vega_lite_chart")
        assert len(charts) == 2 and all(len(one.proto.alt) > 20 for one in charts)
        levels = drawn(app, "The weights", "levels")
        most = 256 if scheme in ("tensor_minmax", "channel_minmax") else 255
        first = 0 if scheme.startswith("channel") else -1
        count = sum(1 for row in levels if row["bits"] == 8 and row["strip"] == first)
        assert count == most or (scheme == "kmeans" and 200 < count <= 256)
        assert any(row["strip"] < 0 for row in levels) != scheme.startswith("channel")
        # not measured of a teacher
        lacks = scheme in ("tensor_symmetric", "channel_minmax")
        assert ("Not measured: Teacher" in said(app)) == lacks


def test_layers_that_ship_are_not_worked_out_again(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_page(PAGE, network=SCRATCH, scheme="kmeans")
    live = drawn(made, "The weights", "levels")
    weights = checkpoints.checkpoint_tensors(SCRATCH)
    layers = [layer_row(name, weights[name]) for name in quantisable(weights)]
    facts = {"device": "a test", "versions": {}, "commit": "none", "date": "2026-11-22"}
    LayerRows.begin(checkpoints.get(SCRATCH), None, lambda: facts).keep(layers)

    def never(*_arguments: object) -> None:
        raise AssertionError("it was worked out again")

    monkeypatch.setattr("core.quantization.number_line.layer_row", never)
    monkeypatch.setattr("core.checkpoints.checkpoint_tensors", never)
    st.cache_resource.clear()
    app = open_page(PAGE, network=SCRATCH, scheme="kmeans")
    assert not app.exception and drawn(app, "The weights", "levels") == live


def test_without_rows_it_says_how_to_get_them(open_page: Open, bare: Path) -> None:
    commands, texts = [], []
    for tab in ("line", "time", "aware", "homework"):
        app = open_page(PAGE, reveal="true", network=TEACHER, tab=tab)
        assert not app.exception and not app.error
        commands += [code.value for code in app.code]
        texts.append(said(app))
        assert len(app.get("vega_lite_chart")) == (tab == "line")  # the number line needs none
    assert f"python -m core quantize-grid {TEACHER} {SCRATCH}" in commands
    assert f"python -m core quantize-grid {TEACHER} --stages int8" in commands
    assert any("--stages aware" in command for command in commands)
    assert "python -m core quantize-grid" in texts[-1]


def test_rows_of_other_weights_are_not_shown(open_page: Open, shipped: Path) -> None:
    path = QuantizationGrid.path(TEACHER)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0" * 64}))
    text = said(open_page(PAGE, reveal="true"))
    assert "**Teacher**" not in text and "**Student from scratch** is" in text


@pytest.mark.parametrize("content", ["", '{"rows": 3}'])
def test_a_damaged_file_of_rows_is_said(open_page: Open, shipped: Path, content: str) -> None:
    QuantizationGrid.path(TEACHER).write_text(content)
    app = open_page(PAGE)
    assert not app.exception
    assert "quantize-grid" in app.error[0].value


def test_a_damaged_network_is_said_and_the_rest_goes_on(open_page: Open, shipped: Path) -> None:
    path = shipped / TEACHER / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    app = open_page(PAGE, reveal="true", network=TEACHER)
    assert not app.exception
    assert TEACHER in app.error[0].value
    assert chart(app, "Accuracy") and len(app.tabs) > 5


@pytest.mark.parametrize("value", HOSTILE_LINKS)
def test_a_mangled_link_still_opens(open_page: Open, shipped: Path, value: str) -> None:
    names = ("network", "scheme", "layer", "line_bits", "bits", "against", "reveal", "all_schemes",
             "more_network", "options", "tab", "time_with", "hw7_sample")  # fmt: skip
    assert not open_page(PAGE, **dict.fromkeys(names, value)).exception


def test_a_link_sets_the_page(open_page: Open, shipped: Path) -> None:
    link = {"network": SCRATCH, "scheme": "kmeans", "layer": "features.0.weight", "bits": "3",
            "line_bits": "2", "against": "bytes", "reveal": "true"}  # fmt: skip
    app = open_page(PAGE, **link)
    assert app.selectbox(key="network").value == SCRATCH
    assert app.selectbox(key="scheme").value == "kmeans"
    assert app.selectbox(key="layer").value == "features.0.weight"
    assert app.select_slider(key="bits").value == 3
    spec = json.loads(chart(app, "The weights").spec)
    assert [one["value"] for one in spec["params"] if one["name"] == "line_bits"] == [2]


def test_older_links_open_what_they_opened(open_page: Open, shipped: Path) -> None:
    """Their tabs are parts of others now, and their switches are options."""
    app = open_page(PAGE, network=SCRATCH, time_with="onnx_32", reveal="true")
    assert app.button_group(key="time_with").value == "onnx_32"
    assert open_page(PAGE, hw7_sample="own").success
    for former, shows in (
        ("figures", "One run at a time"),
        ("error", "about 6 dB"),
        ("trap", "variances cost the accuracy"),
    ):
        assert shows in said(open_page(PAGE, network=SCRATCH, reveal="true", tab=former)), former
    app = open_page(PAGE, network=SCRATCH, scheme="kmeans", all_schemes="true", against="bytes")
    assert app.button_group(key="options").value == ["bytes", "methods"]
    assert app.selectbox(key="scheme").value == "kmeans"
    assert "bytes of the file" in chart(app, "Accuracy").alt
    assert dict(app.query_params) == {
        "network": SCRATCH, "scheme": "kmeans", "options": ["bytes", "methods"],
    }  # fmt: skip
    app.button_group(key="guess_bits").set_value(guess.SHOW).run()
    curves = drawn(app, "Accuracy", "curves")
    assert {row["scheme"] for row in curves} == set(SCHEMES)
    assert {row["series"] for row in curves if row["banded"]} == {"k-means codebook"}
    app.button_group(key="options").set_value([]).run()
    assert len({row["checkpoint"] for row in drawn(app, "Accuracy", "curves")}) == 2


def test_other_networks_are_an_option(open_page: Open, shipped: Path) -> None:
    QuantizationGrid.path(TEACHER).unlink()
    app = open_page(PAGE)
    assert len(app.selectbox(key="network").options) == 1
    app.button_group(key="options").set_value(["networks"]).run()
    assert len(app.selectbox(key="network").options) == 2
    linked = open_page(PAGE, network=TEACHER)  # a link that names one of them needs no option
    assert linked.selectbox(key="network").value == TEACHER


def test_nothing_on_the_page_escapes_translation(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    names = re.compile(r"classifier|features\S*|abacus|hw13_sample\S*|PyTorch|ONNX|`\w+`")
    for tab in ("line", "time", "run", "aware", "file", "why", "trap", "homework"):
        app = open_page(PAGE, reveal="true", hw7_sample="own", tab=tab)
        assert not app.exception
        texts = [str(one.value) for kind in ("title", "header", "markdown", "caption", "info",
                 "success", "warning") for one in getattr(app, kind)]  # fmt: skip
        widgets = [*app.selectbox, *app.button, *app.toggle, *app.button_group, *app.select_slider]
        texts += [str(one.label) for one in [*widgets, *app.expander, *app.tabs]]
        texts += [one.proto.alt for one in app.get("vega_lite_chart")]
        assert len(texts) > 15
        left = [text for text in texts if re.search(r"[^\W\d_]{3}", names.sub("", outside(text)))]
        assert not left, "\n".join(left)
        if tab == "why":  # the functions that quantise, not copies
            shown = [code.value for code in app.code]
            assert inspect.getsource(method.quantise).strip() in shown
            assert inspect.getsource(hw7.encode8).strip() in shown


def test_a_photo_goes_through_three_widths(
    open_page: Open, shipped: Path, page_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(page_food))
    app = open_page(PAGE, network=SCRATCH, tab="photo")
    names = ["**float32**", "**8 bits**", "**4 bits**", "**2 bits**"]
    assert [line for line in said(app).splitlines() if line in names] == names
    assert not app.exception and not app.error


def test_the_apps_own_8_bit_file_is_read_and_asked(
    open_page: Open, shipped: Path, page_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(page_food))
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


def dropped(app: AppTest, data: bytes, name: str = "net.pkl") -> AppTest:
    app.file_uploader(key="hw7_file").set_value((name, data, "application/octet-stream"))
    return app.run()


@pytest.mark.slow
def test_homework_files_under_the_homeworks_names_are_asked(
    open_page: Open,
    shipped: Path,
    page_food: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(page_food))
    homework.write(tmp_path, SCRATCH, renamed=True)
    opened: list[bytes] = []
    whole = upload.open_upload

    def open_once(data: bytes, found: Iterable[Checkpoint]) -> upload.Upload:
        opened.append(data)
        return whole(data, found)

    monkeypatch.setattr("core.quantization.upload.open_upload", open_once)
    app = open_page(PAGE, network=SCRATCH, tab="file")
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
        "cut off": (HOSTILE[:9], "cut off"),
        "nothing": (b"\x80\x02}.", "there is no array"),
    }


def test_a_file_that_is_not_read_says_why(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, tab="file")
    for name, (data, why) in refused_files().items():
        dropped(app, data)
        assert not app.exception and not app.success, name
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
        app = dropped(
            open_page(PAGE, network=SCRATCH, tab="file"), quantized_file(SCRATCH, "hw7_8bit")
        )
    assert "Many files" in app.error[0].value
    assert "Many files" in app.run().error[0].value
    kept = app.session_state["hw7_read"]
    app.session_state["hw7_read"] = kept._replace(since=kept.since - 61)
    app.run()
    assert not app.error and "87,907" in app.success[0].value


def test_what_fits_is_decided_once(
    open_page: Open, shipped: Path, page_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(page_food))
    state = source(SCRATCH)[2]
    app = dropped(open_page(PAGE, tab="file"), encode8({**state, "epoch": np.asarray(3)}))
    assert "It has the tensors of" in said(app)
    app.button(key="hw7_ask").click().run()
    assert not app.exception and not app.error and "of 22 test photographs" in said(app)
    big = {name: tensor * 1e18 if tensor.ndim > 1 else tensor for name, tensor in state.items()}
    dropped(app, encode8(big))
    assert "not numbers" in app.error[0].value
    assert not [button for button in app.button if button.key == "hw7_ask"]
    dropped(app, encode8({**state, "more": np.ones(3, np.float32)}))
    assert "None of the networks here has these shapes" in said(app)
    assert not app.error and not [button for button in app.button if button.key == "hw7_ask"]


class TestLive(LivePage):
    page = PAGE
    link: ClassVar = {"tab": "run", "network": SCRATCH}
    runs = measured.RUNS
    module = "core.quantization.rows"

    def test_it_shows_its_progress_and_then_its_point(
        self, open_page: Open, shipped: Path, line: Line
    ) -> None:
        app = self.started(open_page, reveal="true", bits="3")
        job = only_job(line)
        assert (job.point.scheme, job.point.bits, job.state) == ("tensor_minmax", 3, "running")
        job.step, job.done, job.of = "accuracy", 96, 1492
        app.run()
        assert "96 of 1492" in app.get("progress")[0].proto.text
        self.finish(app, job, QuantRow(scheme="tensor_minmax", bits=3, params=9, size_bytes=36,
                                       n=100, correct=41))  # fmt: skip
        assert "41" in app.success[0].value and "100" not in app.success[0].value
        (star,) = drawn(app, "Accuracy", "live")
        assert (star["bits"], star["accuracy"]) == (3, 0.41)
