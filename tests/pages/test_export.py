"""The export page without a browser: with figures, without, with damaged ones; its live runs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import i18n
from core.charts import numbers
from core.errors import ClassroomError
from core.export import browser
from core.export import files as shipping_live
from core.export.browser import ENGINE
from core.export.files import Shipping
from core.export.stack import FORMATS, Stack
from pages import export
from tests.pages import export_shelf, shelf
from tests.pages.export_shelf import SCRATCH, TEACHER
from tests.pages.live import Line, LivePage, only_job
from tests.pages.test_app import HOSTILE, Marking, data_buttons, outside, tables
from tests.pages.test_app import said as said_on

Open = Callable[..., AppTest]
PAGE = "export"
SHELF = export_shelf


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were made for another test are made anew."""
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))


def said(app: AppTest) -> str:
    """All plain text on the page, its narrow spaces left out."""
    return said_on(app).replace(numbers.THIN, "")


def alts(app: AppTest) -> list[str]:
    return [c.proto.alt.replace(numbers.THIN, "") for c in app.get("vega_lite_chart")]


def test_bytes_stay_hidden_until_there_is_a_guess(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE)
    assert not app.exception and not app.error
    assert alts(app) == ["Bytes of each file as bars. ONNX, float32: 1.1MB."]
    spec = app.get("vega_lite_chart")[0].proto.spec
    for figure in ("265", "320", "530", "540"):  # the others' bytes are nowhere on the page
        assert f"{figure}KB" not in said(app) and f"{figure}000" not in spec
    app = app.button_group(key="guess_smallest").set_value("onnx-int8").run()
    assert "HW7's 8-bit file: 265KB" in alts(app)[0]
    assert "**Not quite.** You guessed ONNX, int8: 320KB. The smallest is HW7's 8-bit" in said(app)
    app = app.button_group(key="guess_smallest").set_value("hw7-8bit").run()
    assert "**Right.** The smallest is HW7's 8-bit file: 265KB." in said(app)
    assert "4.0× smaller than float32" in said(app) and "Under HW7's 300KB" in said(app)


def test_times_have_a_guess_of_their_own(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, measure="time")
    assert alts(app) == [
        "Median time of one photo by each file, with quartiles. ONNX, float32: 1.00ms."
    ]
    assert "2.00ms" not in said(app)
    app = app.button_group(key="guess_fastest").set_value("onnx").run()
    assert "ONNX, int8: 2.00ms" in alts(app)[0] and "8-bit file" not in alts(app)[0]
    text = said(app)
    assert "**Right.** The fastest is ONNX, float32: 1.00ms." in text
    assert "ONNX, float32 and ONNX, float16 weights are not distinguishable" in text
    assert "slower: 2.00ms instead of 1.00ms" in text
    assert "not distinguishable: 1.01ms and 1.00ms" in text and "an abacus" in text


def test_an_older_link_reveals_and_every_figure_is_in_a_tab(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, reveal="true", tab="figures")
    assert "HW7's 8-bit file: 265KB" in alts(app)[0]
    (table,) = tables(app)
    assert table["Bytes"] == ["530,000", "1,050,000", "540,000", "320,000", "265,000"]
    assert table["One photo"][-1] == "n/a"
    assert table["Same class"][3] == "97.0%"
    app = open_page(PAGE, reveal="true", tab="homework")
    assert "1,050,000 B, over both limits" in said(app)
    assert "265,000 B, under both limits" in said(app)
    for tab in ("figures", "homework", "trap"):  # none of them gives the answer away
        hidden = open_page(PAGE, tab=tab)
        assert not tables(hidden) and "265" not in said(hidden)
        assert "2.00ms" not in said(hidden)


def test_the_way_is_drawn_and_told(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, tab="way")
    assert "1 teacher: 51.2MB, 70.0%" in alts(app)[-1] and data_buttons(app) == {"whole-way"}
    assert "12 epochs" in said(app)
    (way,) = tables(app)
    assert way["Step"][0] == "1 teacher" and len(way["Step"]) == 7
    assert "All steps" in said(app)


def test_without_figures_it_says_how_to_get_them(open_page: Open, bare: Path) -> None:
    app = open_page(PAGE, reveal="true")
    assert not app.exception and not app.error
    assert "python -m core reproduce --steps shipping" in [one.value for one in app.code]
    app = open_page(PAGE, file="onnx-int8")
    assert "nobody has measured" in said(app)  # int8 waits for its ranges
    app = open_page(PAGE, tab="way")
    assert "python -m core reproduce --steps stack" in [one.value for one in app.code]


def test_figures_of_other_weights_are_not_shown(open_page: Open, shipped: Path) -> None:
    export_shelf.save_rows(TEACHER, weights_sha256="0" * 64)
    export_shelf.save_way(weights_sha256="0" * 64)
    app = open_page(PAGE, reveal="true", network=TEACHER, tab="way")
    assert "not measured yet" in said(app) and not alts(app)


@pytest.mark.parametrize("damage", ["", '{"checkpoint": 1}'])
def test_damaged_figures_are_said(open_page: Open, shipped: Path, damage: str) -> None:
    Shipping.path(TEACHER).write_text(damage)
    Stack.path(SCRATCH).write_text(damage)
    app = open_page(PAGE, reveal="true", network=TEACHER, tab="way")
    assert not app.exception
    files = " ".join(str(one.value) for one in app.error)
    assert f"shipping-{TEACHER}.json" in files and f"stack-{SCRATCH}.json" in files


def test_a_way_without_photographs_is_a_table(open_page: Open, shipped: Path) -> None:
    content = Stack.path(SCRATCH).read_text()
    Stack.path(SCRATCH).write_text(re.sub(r',"n":\d+,"correct":\d+', "", content))
    app = open_page(PAGE, tab="way")
    assert not app.exception and len(alts(app)) == 1  # of the files
    assert "without photographs" in " ".join(str(one.value) for one in app.info)
    assert tables(app)[-1]["Right (95 % interval)"] == [""] * 7


def test_rows_made_without_photographs_say_so(open_page: Open, shipped: Path) -> None:
    content = json.loads(Shipping.path(TEACHER).read_text())
    for row in content["rows"]:
        row["parity"] |= {"pictures": "made", "n": 64, "correct": None, "original_correct": None}
    Shipping.path(TEACHER).write_text(json.dumps(content))
    app = open_page(PAGE, reveal="true", network=TEACHER, tab="figures")
    assert not app.exception and "64 made-up pictures" in said(app)
    assert tables(app)[0]["Right (95 % interval)"] == [""] * 5


def test_every_file_has_its_buttons_but_int8_waits(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, network=SCRATCH)
    assert app.selectbox(key="network").value == SCRATCH

    def offered(format: str) -> list[str]:
        app.button_group(key="file").set_value(format).run()
        assert not app.exception
        assert f"--format {format}" in " ".join(one.value for one in app.code)
        return [one.proto.label for one in app.get("download_button")]

    assert [offered(format) for format in FORMATS] == [
        [] if format == "onnx-int8" else ["File", "Model card"] for format in FORMATS
    ]
    export_shelf.save_rows(SCRATCH, calibration={"x": (0.0, 1.0)})
    assert offered("onnx-int8") == ["File", "Model card"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_mangled_link_still_opens(open_page: Open, shipped: Path, value: str) -> None:
    app = open_page(PAGE, network=value, reveal=value, file=value, measure=value)
    assert not app.exception and not app.error


@pytest.mark.parametrize("tab", ["take", "way", "figures", "why", "trap", "homework"])
def test_nothing_on_the_page_escapes_translation(
    open_page: Open, shipped: Path, monkeypatch: pytest.MonkeyPatch, tab: str
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    app = open_page(PAGE, reveal="true", tab=tab, measure="time")
    app.button_group(key="guess_fastest").set_value("onnx").run()
    assert not app.exception
    texts = [str(one.value) for kind in ("title", "header", "markdown", "caption", "info",
             "success", "warning") for one in getattr(app, kind)]  # fmt: skip
    widgets = [*app.selectbox, *app.button, *app.toggle, *app.button_group, *app.expander]
    texts += [str(one.label) for one in widgets] + alts(app)
    texts += [one.proto.label for one in app.get("download_button")]
    assert len(texts) > 10
    names = re.compile(r"hw13_sample\S*|abacus|made up")
    left = [text for text in texts if re.search(r"[^\W\d_]{3}", names.sub("", outside(text)))]
    left = [text for text in left if not text.startswith("$$")]
    assert not left, "\n".join(left)


class TestLive(LivePage):
    page, key, link = PAGE, "make_live", {"network": SCRATCH, "tab": "figures"}
    runs = shipping_live.RUNS
    module = "core.export.files"

    def test_it_shows_its_progress_and_then_its_files(
        self, open_page: Open, bare: Path, line: Line
    ) -> None:
        app = self.started(open_page)
        job = only_job(line)
        assert (job.point.checkpoint, job.state) == (SCRATCH, "running")
        job.step, job.done, job.of = "compare", 2, 5
        app.run()
        assert "file 3 of 5" in app.get("progress")[0].proto.text
        self.finish(app, job, *(export_shelf.file_row(format) for format in FORMATS))
        assert "5 files" in app.success[0].value
        app.run()
        assert "HW7's 8-bit file: 265KB" in alts(app)[0]  # who asked wants to see
        other = open_page(PAGE, network=SCRATCH, reveal="true")  # and it is there for everybody
        assert "HW7's 8-bit file: 265KB" in alts(other)[0]


def test_it_begins_with_the_student_that_was_taught(pretrained: Path, open_page: Open) -> None:
    """Not with a teacher that was taught by another, though it stands before the students."""
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    path = pretrained / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["checkpoints"][shelf.TEACHER]["recipe"] = "distilled"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    (menu,) = [one for one in open_page(PAGE).selectbox if one.label == "Network"]
    assert menu.value == shelf.DISTILLED


def device(app: AppTest) -> dict[str, Any]:
    """What the page hands to the script that runs networks in the browser."""
    places = [each for each in app.get("bidi_component") if "device" in each.proto.component_name]
    data: dict[str, Any] = json.loads(places[0].proto.mixed.json or places[0].proto.json)
    return data


def test_students_are_handed_to_the_browser(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, tab="device", network=SCRATCH)
    assert not app.exception and not app.error
    data = device(app)
    assert SCRATCH in [network["id"] for network in data["networks"]]
    addresses = [data["engine"]] + [
        network[part] for network in data["networks"] for part in ("plan", "weights")
    ]
    assert all("/media/" in address for address in addresses)
    assert len(data["classes"]) == 11 and all(data["text"].values())
    assert len(json.dumps(data)) < 10_000  # files are fetched, not drawn anew at every touch
    first = {network["id"]: network["weights"] for network in data["networks"]}
    app = app.button_group(key="device_weights").set_value("hw7-8bit").run()
    then = {network["id"]: network["weights"] for network in device(app)["networks"]}
    assert set(first) == set(then) and not set(first.values()) & set(then.values())


def test_a_damaged_student_is_named(open_page: Open, shipped: Path) -> None:
    (shipped / SCRATCH / "weights.safetensors").write_bytes(b"no weights")
    browser._browser_file.cache_clear()  # another test may have had it made
    app = open_page(PAGE, tab="device", device_networks=[SCRATCH])
    assert any(SCRATCH in error.value for error in app.error) and not app.exception


def test_the_engine_is_shown_as_the_browser_gets_it(open_page: Open, shipped: Path) -> None:
    app = open_page(PAGE, tab="device", network=SCRATCH)
    assert not any("class Network" in block.value for block in app.code)  # only once it is opened
    app.session_state["engine_source"] = True
    shown = [block.value for block in app.run().code]
    assert ENGINE.read_text(encoding="utf-8").strip() in [text.strip() for text in shown]


@pytest.mark.parametrize(
    "sent",
    [None, "5", [], {}, {"device": "phone"}, {"device": "phone", "times": [5]},
     {"device": "phone", "times": {"another": 5}}],
)  # fmt: skip
def test_nonsense_from_a_browser_reaches_no_room(
    sent: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("streamlit.session_state", {"device": {"measured": sent}})
    monkeypatch.setattr("pages.kit.room.report", lambda *all: told.append(all))
    export.send_to_class("hw7-8bit", ["net"])
    assert told == [] and "device_problem" not in st.session_state


def test_the_times_of_the_networks_on_the_screen_reach_the_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    sent = {"device": "phone", "times": {"net": 5, "other": 6}}
    monkeypatch.setattr("streamlit.session_state", {"device": {"measured": sent}})
    monkeypatch.setattr("pages.kit.room.report", lambda *all: told.append(all))
    export.send_to_class("hw7-8bit", ["net", "third", "other"])
    assert told == [("net hw7-8bit", "phone", 5), ("other hw7-8bit", "phone", 6)]

    def refuse(*_all: object) -> None:
        raise ClassroomError("The room has ended.")

    monkeypatch.setattr("pages.kit.room.report", refuse)
    export.send_to_class("hw7-8bit", ["net"])
    assert st.session_state["device_problem"] == "The room has ended."
