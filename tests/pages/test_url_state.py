"""The settings of a page are whole: left and found again, in a link, at their defaults.

Over the networks that ship with the app, so that every widget of every page has something to show.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies
from streamlit.runtime import scriptrunner
from streamlit.testing.v1 import AppTest

from pages.kit import url_state
from pages.kit.frame import entries
from tests.food import make_food11
from tests.pages.conftest import REPO, address, go_to, to_be_written
from tests.pages.every_setting import GUESSED_IN, GUESSES, IN_BROWSER, NOT_SETTINGS, SCENES, Link

KINDS = ("selectbox", "multiselect", "slider", "select_slider", "toggle", "checkbox", "radio",
         "number_input", "text_input", "text_area", "button_group")  # fmt: skip
QUICK = {"home", "temperature"}
"""Pages whose settings the default tests try; the slow ones try those of all."""


def slow(page: str, *more: int) -> Any:
    """A page as a parameter, `slow` unless it is one of QUICK."""
    return pytest.param(page, *more, marks=() if page in QUICK else pytest.mark.slow)


EVERY = [slow(page, number) for page, links in SCENES.items() for number in range(len(links))]


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    per_class = {"training": 1, "validation": 1, "testing": 2}
    return make_food11(tmp_path_factory.mktemp("food"), per_class=per_class)


@pytest.fixture(autouse=True)
def shipped(food: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's own `pretrained` folder, and photographs to take an example from."""
    monkeypatch.delenv("SMALL_PLATES_PRETRAINED", raising=False)
    monkeypatch.setenv("FOOD11_ROOT", str(food))


def visit(app: AppTest, page: str, link: Link | None = None) -> AppTest:
    """By the menu, as a browser does it: the address bar bears no settings then; or by a link."""
    app.query_params.clear()
    app.query_params.update(link or {})
    go_to(app, page)
    app.run()
    assert not app.exception, [exception.message for exception in app.exception]
    return app


def new_session() -> AppTest:
    return AppTest.from_file(str(REPO / "app.py"), default_timeout=120)


def lists(link: Link) -> dict[str, list[str]]:
    return {name: value if isinstance(value, list) else [value] for name, value in link.items()}


def widgets(app: AppTest) -> dict[str, Any]:
    """Key of each widget on the page -> its value; one without a key is a fault."""
    values = {widget.key: widget.value for kind in KINDS for widget in getattr(app, kind)}
    assert None not in values
    return values


def parameters(app: AppTest) -> dict[str, Any]:
    """The Vega parameters that inputs of their own move -> where they begin."""
    return {
        parameter["name"]: parameter["value"]
        for chart in app.get("vega_lite_chart")
        for parameter in json.loads(chart.proto.spec).get("params", ())
        if "bind" in parameter
    }


def shown(app: AppTest) -> dict[str, Any]:
    return {**widgets(app), **parameters(app)}


def settings_in(app: AppTest) -> set[str]:
    return {name for name in widgets(app) if not NOT_SETTINGS.fullmatch(name)} | set(
        parameters(app)
    )


def spelt(value: Any) -> list[str]:
    """A widget's value as a link has it."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return [f"{value:.12g}" if isinstance(value, float) else str(value)]


def test_every_page_has_its_settings_listed() -> None:
    assert set(SCENES) == {page.key for page in entries()}


@pytest.mark.parametrize(("page", "number"), EVERY)
def test_a_link_sets_all_and_a_page_is_found_again_as_it_was_left(page: str, number: int) -> None:
    link = SCENES[page][number]
    app = visit(new_session(), page, link)
    if page == "training" and "seeds" in link:
        assert widgets(app)["seeds"] == [1, 3]
        link = {**link, "seeds": "1.3"}
    there = shown(app)
    for name, said in lists(link).items():
        if name in there and name != "seeds":
            assert spelt(there[name]) == said, name
    assert address(app) == lists(link)
    elsewhere = "convolutions" if page == "home" else "home"
    assert address(visit(app, elsewhere)) == {}
    assert settings_in(app).isdisjoint({"method", "network"})
    again = visit(app, page)
    assert shown(again) == there
    assert address(again) == lists(link)


@pytest.mark.parametrize("page", [*map(slow, SCENES)])
def test_every_widget_is_a_setting_with_a_test_or_says_why_not(page: str) -> None:
    """Nothing on any scene of the page stands outside the tables of `every_setting`, and no listed
    value is the default: else the tests here would prove nothing."""
    listed = {name for link in SCENES[page] for name in link}
    assert IN_BROWSER.get(page, set()) <= listed
    app, seen = new_session(), set[str]()
    assert address(visit(app, page)) == {}
    for name, value in shown(app).items():
        assert all(spelt(value) != lists(link).get(name) for link in SCENES[page]), name
    for link in [{}, *SCENES[page]]:
        visit(app, page, link)
        unknown = settings_in(app) - listed
        assert not {name for name in unknown if not name.startswith(("px_", "number_"))}
        seen |= settings_in(app)
        guesses = {name for name in widgets(app) if name.startswith(("guess_", "homework_"))}
        assert page == "architecture" or guesses <= set(GUESSES.get(page, {}))
    no_widget = {"dream", "example", "dish", "number_sure"}  # buttons
    no_widget |= {"tab"}  # AppTest has no tabs by their key
    no_widget |= {"reveal"}  # an older link's; now a guess shows the answer
    no_widget |= {"trap"} if page == "compare" else set()  # an older link's, too
    assert listed - no_widget <= seen, listed - seen


@pytest.mark.parametrize("page", [slow(page) for page, links in SCENES.items() if links])
def test_a_link_with_one_parameter_leaves_the_rest_at_its_default(page: str) -> None:
    """In a session in which everything was set otherwise."""
    first = visit(new_session(), page)
    plain = shown(first)
    app = visit(new_session(), page, SCENES[page][0])
    visit(app, "home" if page != "home" else "convolutions")
    name = next(iter(SCENES[page][0]))
    visit(app, page, {name: SCENES[page][0][name]})
    assert address(app) == {name: lists(SCENES[page][0])[name]}
    other = {key: value for key, value in shown(app).items() if key in plain and key != name}
    if name in (
        "network",
        "teacher",
        "model",
        "preset",
    ):  # what else has such a network: its layers
        other = {key: value for key, value in other.items() if key in ("ratio", "T", "bits")}
    assert other == {key: plain[key] for key in other}


IMPLIED = {"answers_to", "moves"}
"""What a link sets that names a setting of one half of a page: as one of a tab's opens that tab."""
BAD = ["", "nan", "1e999", "-1e9", "\x00", "<script>", "九", "../../etc", "0" * 3000, "true\n"]


@pytest.mark.slow
@pytest.mark.parametrize("page", SCENES)
def test_a_value_that_no_control_shows_counts_as_the_default(page: str) -> None:
    app = new_session()
    plain = shown(visit(app, page))
    names = {name for link in SCENES[page] for name in link} - {"networks", "design", "seeds"}
    several = {name for link in SCENES[page] for name, said in link.items() if type(said) is list}
    for bad in BAD:
        visit(app, page, dict.fromkeys(names if bad else names - several, bad))
        values = {key: value for key, value in shown(app).items() if key in plain.keys() - IMPLIED}
        # a number outside its range is brought inside
        assert values == {key: plain[key] for key in values} or bad == "-1e9"
    for two in (["x", "y"], ["1", "<b>"]):
        visit(app, page, dict.fromkeys(names, two))


@pytest.mark.parametrize("page", [*map(slow, GUESSES)])
def test_a_guess_is_kept_and_stands_in_no_link(page: str) -> None:
    link: Link = {name: said for name, said in SCENES[page][0].items() if name == "tab"}
    app = visit(new_session(), page, link)
    for key, value in GUESSES[page].items():  # one after the other: a tab may wait for the first
        if key in (elsewhere := GUESSED_IN.get(page, {})):
            link = elsewhere[key]
            visit(app, page, link)
        (widget,) = (each for each in [*app.button_group, *app.radio] if each.key == key)
        widget.set_value(value)
        app.run()
    assert not app.exception and address(app) == lists(link)
    visit(app, "home")
    visit(app, page)
    kept = app.session_state["url_state"].guesses
    assert {key: kept[page, key] for key in GUESSES[page]} == GUESSES[page]
    there = GUESSES[page].keys() & widgets(app).keys()
    assert there and all(widgets(app)[key] == GUESSES[page][key] for key in there)


def test_pages_do_not_set_each_other() -> None:
    """Two pages with a setting of the same name, and a guess."""
    app = visit(new_session(), "pruning", {"reveal": "true", "network": "resnet18-distilled-s0"})
    visit(app, "quantization")
    assert address(app) == {}
    assert widgets(app)["network"] != "resnet18-distilled-s0"
    visit(app, "low_rank", {"method": "svd"})
    visit(app, "pruning")
    assert widgets(app)["method"] == "l1"
    assert address(app) == {"reveal": ["true"], "network": ["resnet18-distilled-s0"]}


def test_a_touched_widget_is_kept_and_one_put_back_leaves_the_address() -> None:
    app = visit(new_session(), "pruning", {"method": "random"})
    app.slider(key="ratio").set_value(85).run()
    assert address(app) == {"method": ["random"], "ratio": ["85"]}
    visit(app, "home")
    visit(app, "pruning")
    assert app.slider(key="ratio").value == 85
    app.selectbox(key="method").set_value("l1").run()
    assert address(app) == {"ratio": ["85"]}
    visit(app, "home")
    assert widgets(visit(app, "pruning"))["method"] == "l1"


def test_an_address_is_written_once_the_browser_is_on_the_page() -> None:
    """Sooner, a quick page would give its parameters to the one that the visitor comes from."""
    app = visit(new_session(), "pruning", {"method": "random"})
    app.slider(key="ratio").set_value(85).run()
    assert not to_be_written(app)  # a link says it already, and a touch goes nowhere
    assert not to_be_written(visit(app, "home"))
    (first,) = to_be_written(visit(app, "pruning"))
    assert first["path"] == "pruning"
    assert parse_qs(first["query"]) == {"method": ["random"], "ratio": ["85"]}
    assert not app.query_params
    app.query_params.update({"method": "random", "ratio": "85"})  # as that script does
    assert not to_be_written(app.run())
    visit(app, "home")
    (again,) = to_be_written(visit(app, "pruning"))
    assert again["visit"] != first["visit"]


def test_a_widget_that_comes_back_has_its_value() -> None:
    """Conditional ones: an architecture's mode hides what belongs to another."""
    app = visit(new_session(), "architecture", {"px_dwpw_256k": "96"})
    app.button_group(key="mode").set_value("compare").run()
    app.selectbox(key="px_both").set_value(160).run()
    app.button_group(key="mode").set_value("look").run()
    assert app.selectbox(key="px_dwpw_256k").value == 96
    assert address(app) == {"px_dwpw_256k": ["96"], "px_both": ["160"]}


@pytest.mark.slow
def test_an_emptied_choice_is_a_setting_as_well() -> None:
    app = visit(new_session(), "compare")
    app.multiselect(key="networks").set_value([]).run()
    assert app.session_state["url_state"].whole() == {"networks": [""]}  # AppTest drops it
    visit(app, "home")
    assert visit(app, "compare").multiselect(key="networks").value == []


def test_back_in_the_browser_takes_the_address_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(new_session(), "pruning")
    app.slider(key="ratio").set_value(85).run()
    context = scriptrunner.get_script_run_ctx

    def back() -> Any:
        current = context()
        if current is not None:
            current.is_history_navigation = True
        return current

    monkeypatch.setattr(url_state, "get_script_run_ctx", back)
    app.query_params.clear()
    app.run()
    assert app.slider(key="ratio").value == 50 and address(app) == {}


def test_an_address_that_lags_behind_undoes_nothing() -> None:
    """Two quick touches: the second request still has the address from before the first."""
    app = visit(new_session(), "pruning")
    app.slider(key="ratio").set_value(85).run()
    app.query_params.clear()
    app.selectbox(key="method").set_value("random").run()
    assert app.slider(key="ratio").value == 85
    assert address(app) == {"ratio": ["85"], "method": ["random"]}


def test_the_foot_has_the_whole_link(monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(new_session(), "quantization", SCENES["quantization"][0])
    monkeypatch.setattr(url_state, "_state", lambda: app.session_state["url_state"])
    linked = parse_qs(urlsplit(url_state.link()).query)
    assert len(linked) > 3 and linked == address(app)


def test_what_the_browser_moved_is_kept_and_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(app: AppTest, *reports: tuple[str, str, str, int]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(url_state, "_state", lambda: app.session_state["url_state"])
            for report in reports:
                url_state.report(*report)

    app = visit(new_session(), "distillation", {"alpha": "0.3", "moves": "true"})
    moved(app, ("distillation", "T", "7.5", 1), ("distillation", "pick", "3", 2))
    moved(app, ("distillation", "nothing_of_this_page", "3", 3), ("nowhere", "T", "3", 4))
    app.run()
    moved_to = {"alpha": ["0.3"], "T": ["7.5"], "pick": ["3"]}
    assert address(app) == moved_to
    assert parameters(app)["T"] == 4  # as the browser still has it: it moves the slider by itself
    visit(app, "home")
    assert address(visit(app, "distillation")) == moved_to
    assert parameters(app)["T"] == 7.5
    visit(app, "home")
    visit(app, "distillation", {"T": "9"})
    moved(app, ("distillation", "T", "7.5", 1))  # reported before: the link is newer
    app.run()
    assert parameters(app)["T"] == 9 and address(app) == {"T": ["9"]}


anything = strategies.lists(strategies.text(max_size=30), max_size=4)


def kinds() -> Iterator[tuple[url_state.Spelling[Any], Callable[[Any], bool]]]:
    yield url_state.choice(["a", "b"]), lambda value: value in ("a", "b")
    yield url_state.choice([1, 2, 30]), lambda value: value in (1, 2, 30)
    yield url_state.choices([1, 2, 3], 2), lambda v: len(v) <= 2 and set(v) <= {1, 2, 3}
    yield url_state.number(1, 50), lambda value: type(value) is int and 1 <= value <= 50
    yield url_state.number(-1.5, 2.5), lambda value: type(value) is float and -1.5 <= value <= 2.5
    yield url_state.FLAG, lambda value: isinstance(value, bool)
    yield url_state.line(12), lambda value: isinstance(value, str) and len(value) <= 12


@given(anything)
def test_whatever_a_link_says_is_none_or_a_value_that_a_control_shows(said: list[str]) -> None:
    for spelling, possible in kinds():
        value = spelling.read(said)
        if value is not None:
            assert possible(value)
            assert spelling.read(spelling.write(value)) == value


@given(strategies.floats(1e-5, 0.1))
def test_a_number_is_the_same_after_a_link(value: float) -> None:
    spelling = url_state.number(1e-5, 0.1)
    read = spelling.read(spelling.write(value))
    assert read is not None and abs(read - value) <= 1e-11 * value + 1e-12


@pytest.mark.parametrize("said", ["1e999", "-inf", "nan", "0x10", "1_000", "٣", "", " 3", "1e5"])
def test_what_only_python_reads_as_a_number_is_none(said: str) -> None:
    assert url_state.number(1, 50).read([said]) is None
    assert url_state.number(1, 50, clamp=False).read(["51"]) is None
    assert url_state.number(1, 50).read(["51"]) == 50
