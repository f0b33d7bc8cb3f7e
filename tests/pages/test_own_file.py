"""A visitor's own network on the architecture page: read, judged, used, removed."""

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from core import checkpoints
from core.models import registry
from core.own import network
from core.own.network import RUNS, Added, Point
from core.quantization.upload import HOSTILE
from pages.kit import frame, networks
from tests.core.own.test_file import SMALL, saved, state_of, trained
from tests.pages import shelf
from tests.pages.conftest import go_to

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
Page = Callable[[bytes], AppTest]


@pytest.fixture
def page(
    open_page: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Page:
    """The page with a file dropped on it."""
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    for name in ("RUNS", "DATA"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / name))
    monkeypatch.setattr(RUNS, "_jobs", type(RUNS._jobs)())

    def opened(data: bytes) -> AppTest:
        app = open_page("architecture", mode="own")
        file = ("my <b>student</b>.pth", data, "application/octet-stream")
        return drawn(app.file_uploader(key="own_file").set_value(file).run())

    return opened


def drawn(app: AppTest) -> AppTest:
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    return "\n".join(each.value for each in [*app.markdown, *app.caption, *app.error, *app.info])


def student() -> bytes:
    return saved(state_of(trained(registry.get("dwpw_256k").build())))


def test_it_says_what_can_be_brought(open_page: Callable[..., AppTest]) -> None:
    app = drawn(open_page("architecture", mode="own"))
    assert "Nothing is unpickled" in words(app)


def test_the_verdict_of_each_year_and_what_is_assumed(page: Page) -> None:
    app = page(student())
    told = words(app)
    assert "**256,779** parameters" in told
    assert "**HW13 2021**: at most 100,000. It is over: 0 points" in told
    assert "px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x4" in told
    assert "ImageNet mean and std" in told and "128 px" in told
    assert "Total params: 256,779" in app.code[0].value
    app.selectbox(key="own_scaling_imagenet").set_value("unit")
    told = words(drawn(app.selectbox(key="own_px_128").set_value(256).run()))
    assert "0 to 1: ToTensor" in told and "256 px" in told


def test_a_design_line_for_a_network_of_ones_own(page: Page) -> None:
    app = page(saved(state_of(trained(registry.get(f"design:{SMALL}").build()))))
    assert "design in one line" in app.error[0].value
    drawn(app.text_input(key="own_design").set_value("nonsense").run())
    assert app.error
    app = drawn(app.text_input(key="own_design").set_value(SMALL).run())
    assert not app.error and "**HW13 2023**: at most 60,000. It fits." in words(app)


def test_a_file_that_would_run_a_program(page: Page) -> None:
    app = page(HOSTILE)
    assert "refused" in app.error[0].value and not app.get("button")


def published(point: Point, data: bytes) -> None:
    """What the process of a live run does, here: nobody waits for torch to be imported."""
    network.let_wait(point, data)
    network.add_live(point._asdict(), lambda news: None)


@pytest.mark.slow
def test_it_joins_the_session_and_leaves_with_it(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RUNS, "_worker", RUNS._worker)
    app = page(student())
    app.button(key="own_add").click()
    drawn(app.run())
    deadline = time.monotonic() + 300
    (id,) = app.session_state["session_networks"].ids
    while id not in networks_here() and time.monotonic() < deadline:
        time.sleep(0.5)
    while "not measured" not in words(app) and time.monotonic() < deadline:
        drawn(app.run())
    assert "**Your my bstudentb**" in words(app) and "<b>" not in words(app)
    entry = checkpoints.get(id)
    assert entry.model == "dwpw_256k@imagenet" and entry.params == 256_779
    for key in ("compare", "pruning", "quantization", "export"):
        app.query_params.clear()
        go_to(app, key)
        drawn(app.run())
        offered = [option for box in [*app.selectbox, *app.multiselect] for option in box.options]
        assert any("bstudentb" in option for option in offered), key
    assert Added(checkpoint=id).checkpoint == id
    del app
    st.session_state.clear()
    gc.collect()


def networks_here() -> dict[str, checkpoints.Checkpoint]:
    return checkpoints.listing(checkpoints.own_dir()).checkpoints


def test_what_a_session_brought_ends_with_it() -> None:
    ended: list[str] = []
    kept = networks._OfSession(ended.append)
    kept.ids += ["a", "b"]
    del kept
    gc.collect()
    assert ended == ["a", "b"]
    still_open = networks._OfSession(ended.append)
    still_open.ids.append("c")
    networks.end_sessions()  # a server that is stopped
    networks.end_sessions()
    assert ended == ["a", "b", "c"]


def test_no_more_than_two_in_a_session(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_PER_VISITOR", 0)
    app = page(student())
    assert "the most there may be" in words(app)
    assert not [each for each in app.button if each.key == "own_add"]
    torch.manual_seed(0)


@pytest.mark.slow
@pytest.mark.parametrize("with_photographs", [False, True])
def test_every_page_draws_with_a_visitors_network(
    with_photographs: bool, page: Page, page_food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_photographs:
        monkeypatch.setenv("FOOD11_ROOT", str(page_food))
    app = page(HOSTILE)
    point = network.point(f"design:{SMALL}", "unit", 32, "Your small net")
    network.let_wait(point, saved(state_of(trained(registry.get(f"design:{SMALL}").build()))))
    network.add_live(point._asdict(), lambda news: None)
    app.session_state["own_checkpoints"] = [point.id]
    for entry in frame.entries():
        app.query_params.clear()
        if entry.key in ("pruning", "quantization", "low_rank", "export"):
            app.query_params["network"] = point.id
        if entry.key == "compare":
            app.query_params["networks"] = [point.id, shelf.TEACHER]
        go_to(app, entry.key)
        app.run()
        assert not app.exception, entry.key
        assert not app.error, (entry.key, app.error[0].value)
