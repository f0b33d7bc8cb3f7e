"""In a real browser: a page that was left is found again whole, and its link opens it elsewhere."""

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from pages.kit.frame import entries
from tests.browser.waiting import until_still
from tests.food import make_food11
from tests.pages.every_setting import IN_BROWSER, SCENES, Link
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

NAMES = {one.key: one.name for one in entries()}
MOST = [(page, 0) for page in ("compare", "pruning", "temperature", "quantization")]
"""Every kind of control; tests/pages/test_url_state.py sets all of them on all pages."""
CONTROLS = """() => {
  const main = document.querySelector('[data-testid="stMain"]');
  const said = (e) => ['aria-checked', 'aria-pressed', 'aria-selected', 'aria-valuenow']
    .map((name) => e.getAttribute(name)).find((value) => value !== null);
  const shown = [];
  for (const e of main.querySelectorAll('*')) {
    if (e.closest('[data-testid="stFileUploader"], [data-testid="stDataFrame"]')) continue;
    const field = e.matches('input, select, textarea');
    const name = e.closest('.vega-bindings') ? e.name : '';
    if (field) shown.push([name, e.type, e.checked ?? '', e.value]);
    else if (said(e) !== undefined) shown.push([e.innerText, said(e)]);
    else if (e.matches('[data-testid="stSelectbox"], [data-testid="stMultiSelect"]'))
      shown.push([e.innerText]);
  }
  return shown;
}"""
"""What every control on the page shows."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over the networks that it ships with, and a few made-up photographs."""
    folder = tmp_path_factory.mktemp("whole")
    food = make_food11(folder / "food", per_class={"training": 1, "validation": 1, "testing": 2})
    environment = os.environ | {"FOOD11_ROOT": str(food)}
    environment.pop("SMALL_PLATES_PRETRAINED", None)
    with run_server(folder, environment=environment) as running:
        yield running.address


def settle(page: "Page") -> None:
    """Until the run has ended, its last element is there, and the controls stand still."""
    page.wait_for_selector("h1")
    page.wait_for_selector("text=Link to this setting")
    for name in IN_BROWSER.get(urlsplit(page.url).path.strip("/"), set()) & query(page).keys():
        page.wait_for_selector(f'.vega-bindings [name="{name}"]')
    until_still(page)  # widgets come one after the other when the browser is busy


def go(page: "Page", name: str) -> None:
    """To a page by the menu."""
    title = page.inner_text("h1")
    page.click(f'[data-testid="stSidebarNavLink"]:has-text("{NAMES[name]}")')
    page.wait_for_function("title => document.querySelector('h1')?.innerText !== title", arg=title)
    settle(page)


def lists(link: Link) -> dict[str, list[str]]:
    return {name: said if isinstance(said, list) else [said] for name, said in link.items()}


def query(page: "Page") -> dict[str, list[str]]:
    return parse_qs(page.evaluate("location.search").lstrip("?"), keep_blank_values=True)


def link_of(page: "Page") -> str:
    """What the foot of the page offers to copy."""
    page.get_by_role("button", name="Link to this setting").click()
    page.wait_for_selector('[data-testid="stPopoverBody"] code')
    page.wait_for_timeout(1000)  # what the browser moved is heard a moment later
    code = page.query_selector('[data-testid="stPopoverBody"] code')
    assert code is not None
    link = code.inner_text().replace("\n", "")
    page.keyboard.press("Escape")
    return link


@pytest.mark.parametrize(("name", "number"), MOST)
def test_every_setting_survives_leaving_and_a_link(
    page: "Page", server: str, name: str, number: int
) -> None:
    wanted = lists(SCENES[name][number])
    address = f"{server}/{'' if name == 'home' else name}"
    page.goto(address)
    settle(page)
    plain = page.evaluate(CONTROLS)
    page.goto(f"{address}?{urlencode(wanted, doseq=True)}")
    settle(page)
    there = page.evaluate(CONTROLS)
    assert there != plain and query(page) == wanted
    for key in IN_BROWSER.get(name, set()) & wanted.keys():
        values = [one[3] for one in there if one[0] == key and (one[1] != "radio" or one[2])]
        assert wanted[key][0] in values, key

    go(page, "home" if name != "home" else "convolutions")
    assert query(page) == {}
    go(page, name)
    assert query(page) == wanted
    assert page.evaluate(CONTROLS) == there

    link = link_of(page)
    assert parse_qs(urlsplit(link).query) == wanted
    assert page.context.browser is not None
    other = page.context.browser.new_context(viewport={"width": 1280, "height": 900})
    tab = other.new_page()
    tab.goto(link)
    settle(tab)
    assert tab.evaluate(CONTROLS) == there
    assert not tab.query_selector('[data-testid="stException"]')
    other.close()


def test_what_is_touched_is_kept(page: "Page", server: str) -> None:
    """By hand: a menu, a slider, a switch; then back and forth in the browser."""
    page.goto(f"{server}/pruning?method=channel_l2&ratio=90")
    settle(page)
    page.get_by_role("combobox", name="Method").click()
    page.get_by_role("option", name="Random weights").click()
    settle(page)
    slider = page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("location.search.includes('ratio=85')")
    go(page, "home")
    go(page, "pruning")
    assert query(page) == {"method": ["random"], "ratio": ["85"]}
    assert page.get_by_role("combobox", name="Method").input_value() == "Random weights"
    assert page.get_by_role("slider").first.input_value() == "85"
    page.go_back()
    page.wait_for_function("location.pathname === '/'")
    settle(page)
    page.go_forward()
    page.wait_for_function("location.search.includes('ratio=85')")
    settle(page)
    assert page.get_by_role("slider").first.input_value() == "85"


def test_a_page_that_answers_late_is_drawn_whole(page: "Page", server: str) -> None:
    """What a slider was moved to is told only when the page that the visitor goes to is there."""
    sent_on: list[Any] = []
    held: list[tuple[Any, Any]] = []
    is_held = False

    def between(socket: Any) -> None:
        server_side = socket.connect_to_server()

        def from_server(message: Any) -> None:
            (held.append((socket, message)) if is_held else socket.send(message))

        def from_page(message: Any) -> None:
            sent_on.append(message)
            server_side.send(message)

        server_side.on_message(from_server)
        socket.on_message(from_page)

    page.route_web_socket(re.compile("_stcore/stream"), between)
    page.goto(f"{server}/temperature?T=5")
    settle(page)
    page.focus('.vega-bindings input[name="T"]')
    page.keyboard.press("ArrowRight")
    sent, is_held = len(sent_on), True
    page.click(f'[data-testid="stSidebarNavLink"]:has-text("{NAMES["home"]}")')
    page.wait_for_timeout(1000)
    assert len(sent_on) == sent + 1  # the page was asked for, and nothing else was said
    is_held = False
    for socket, message in held:
        socket.send(message)
    page.wait_for_function("location.pathname === '/'")
    for _wait in range(40):  # until the slider is told
        if len(sent_on) > sent + 1:
            break
        page.wait_for_timeout(500)
    assert len(sent_on) > sent + 1
    settle(page)
    go(page, "temperature")
    assert query(page) == {"T": ["5.1"]}


@pytest.mark.parametrize(
    ("name", "key", "press"),
    [
        ("distillation", "alpha", "ArrowLeft"),
        ("low_rank", "R", "ArrowRight"),
    ],
)
def test_a_slider_that_sends_nothing_is_in_the_link(
    page: "Page", server: str, name: str, key: str, press: str
) -> None:
    frames: list[Any] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    page.goto(f"{server}/{name}")
    settle(page)
    slider = f'.vega-bindings input[name="{key}"]'
    if page.query_selector(slider) is None:  # it waits for a guess
        page.click('text="Just show me"')
        page.wait_for_selector(slider)
        settle(page)
    start = page.input_value(slider)
    page.focus(slider)
    until_still(page)
    sent = len(frames)
    for _time in range(3):
        page.keyboard.press(press)
    page.wait_for_timeout(500)
    value = page.input_value(slider)
    assert value != start and len(frames) == sent
    assert query(page) == {key: [value]}  # the address bar has it before the server knows
    assert parse_qs(urlsplit(link_of(page)).query) == {key: [value]}
    page.focus(slider)
    page.keyboard.press(press)
    last = page.input_value(slider)
    assert last != value
    go(page, "home")  # at once, from the slider
    assert query(page) == {}
    go(page, name)
    assert page.input_value(slider) == last
    page.wait_for_function(f"location.search === '?{key}={last}'")
