"""A lecturer and pupils, each in a session of their own, over one folder of rooms."""

import re
from pathlib import Path

import pytest
from starlette.requests import Request
from streamlit.testing.v1 import AppTest

from core.charts.numbers import THIN
from core.classroom import Attempts, Place, Rooms
from pages.kit import frame, room
from tests.pages.conftest import REPO, address, go_to

GUESS = "guess_share"
PLACE = Place("convolutions", GUESS, "64 → 128, 3 × 3 + bias")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMALL_PLATES_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(room, "TRIES", Attempts(3, 100, 300))
    monkeypatch.setattr(room, "MADE", Attempts(2, 100, 100))
    return tmp_path / "data"


def visit(page: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    if page != "home":
        go_to(app, page)
    app.query_params.update(query)
    return drawn(app.run())


def drawn(app: AppTest) -> AppTest:
    assert not app.exception and not app.error
    return app


def go(app: AppTest, page: str) -> AppTest:
    app.query_params.clear()  # as the menu does
    go_to(app, page)
    return drawn(app.run())


def press(app: AppTest, key: str) -> AppTest:
    """Press a button; then once more, as a browser in a room does when there is news."""
    drawn(app.button(key=key).click().run())
    return drawn(app.run())


def guess(app: AppTest, share: float | None) -> AppTest:
    return drawn(app.button_group(key=GUESS).set_value(share).run())


def histogram(app: AppTest) -> list[str]:
    """What the class's bars say, for those who cannot see them."""
    return [
        text
        for element in app.get("html")
        for text in re.findall(r"aria-label='(Guesses of the class[^']*)'", element.proto.body)
    ]


def said(app: AppTest, parameter: str) -> str:
    """What the address says of a parameter that it has once."""
    return address(app)[parameter][0]


def page_of(app: AppTest) -> str:
    return str(app.title[0].value)


def text(app: AppTest) -> str:
    return "\n".join(str(each.value) for each in [*app.markdown, *app.caption, *app.warning])


@pytest.fixture
def lecturer() -> AppTest:
    return press(visit("class"), "room_make")


@pytest.fixture
def code(lecturer: AppTest) -> str:
    return said(lecturer, "room")


def pupil(code: str, page: str = "convolutions") -> AppTest:
    return drawn(visit(page, room=code).run())  # the second run: now it has joined


def test_a_class_guesses_and_sees_the_answer_when_the_lecturer_shows_it(
    lecturer: AppTest, code: str
) -> None:
    ann, bob, cy = (pupil(code) for _pupil in range(3))
    assert "Just show me" not in ann.button_group(key=GUESS).options
    guess(ann, 1 / 8)
    guess(ann, 1 / 4)
    guess(bob, 1 / 8)
    assert histogram(ann) == [] and "Right" not in text(ann) and "Not quite" not in text(ann)
    assert "Your guess counts" in text(ann) and "the lecturer shows the answer" in text(cy)
    go(lecturer, "convolutions")
    (seen,) = histogram(lecturer)
    assert "class: 2;" in seen and "1/4: 1" in seen and "1/8: 1" in seen
    press(lecturer, f"room_open_{PLACE.page}_{PLACE.key}_{PLACE.about}")
    for app, own in ((ann, "1/4 (you): 1"), (bob, "1/8 (you): 1"), (cy, "1/4: 1")):
        drawn(app.run())
        assert own in histogram(app)[0] and "class: 2;" in histogram(app)[0]
    assert "Not quite" in text(ann) and "Right." in text(bob)
    guess(bob, 1 / 4)
    guess(cy, 1 / 4)
    assert "1/4: 1" in histogram(drawn(lecturer.run()))[0]  # too late
    assert "class: 2;" in histogram(go(ann, "class"))[0]


def test_without_holding_a_guess_opens_the_answer_at_once(lecturer: AppTest, code: str) -> None:
    drawn(lecturer.toggle(key="room_holds").set_value(False).run())
    ann = pupil(code)
    assert "Just show me" in ann.button_group(key=GUESS).options
    guess(ann, 1 / 8)
    assert "1/8 (you): 1" in histogram(ann)[0] and "Right." in text(ann)
    guess(ann, 1 / 4)
    assert "1/8 (you): 1" in histogram(ann)[0]
    bob = pupil(code)
    drawn(bob.button_group(key=GUESS).set_value("show").run())
    guess(bob, 1 / 8)
    assert "class: 1;" in histogram(bob)[0]


@pytest.mark.parametrize("link", [{"reveal": "true"}, {"room_holds": "false", "lead": "x"}])
def test_no_link_opens_an_answer_that_is_held_back(code: str, link: dict[str, str]) -> None:
    ann = visit("convolutions", room=code, **link)
    assert not histogram(ann) and "Not quite" not in text(ann)
    assert not [button for button in ann.button if str(button.key).startswith("room_open")]
    assert "lead" not in ann.query_params
    share = next(each for each in ann.get("vega_lite_chart"))
    assert '"separable"' not in share.proto.spec or "?" in share.proto.spec


@pytest.mark.slow
def test_pupils_follow_the_lecturer_to_a_page_with_its_settings(
    lecturer: AppTest, code: str
) -> None:
    ann, bob = pupil(code, "class"), pupil(code, "home")
    drawn(bob.toggle(key="room_follows").set_value(False).run())
    go(lecturer, "convolutions")
    drawn(lecturer.slider(key="rank_percent").set_value(40.0).run())
    press(lecturer, "room_send")
    drawn(ann.run())
    assert page_of(ann) == frame.entry("convolutions").question
    assert ann.slider(key="rank_percent").value == 40
    assert said(ann, "room") == code and said(ann, "rank_percent") == "40"
    assert page_of(drawn(bob.run())) == frame.entry("home").question
    go(ann, "class")  # she may look elsewhere, until everybody is called again
    drawn(lecturer.slider(key="rank_percent").set_value(45.0).run())
    press(lecturer, "room_send")
    assert drawn(ann.run()).slider(key="rank_percent").value == 45
    drawn(
        lecturer.slider(key="rank_percent").set_value(50.0).run()
    )  # to the page where she is already
    press(lecturer, "room_send")
    assert drawn(ann.run()).slider(key="rank_percent").value == 50
    late = pupil(code, "class")
    assert page_of(late) == frame.entry("convolutions").question
    assert page_of(pupil(code, "home")) != page_of(pupil(code, "architecture"))


def test_a_private_link_leads_and_a_pupil_does_not(
    lecturer: AppTest, code: str, folder: Path
) -> None:
    ann = pupil(code, "class")
    for key in ("room_holds", "room_end", "room_send", "room_private"):
        assert key not in [*(each.key for each in ann.toggle), *(each.key for each in ann.button)]
    rooms = Rooms(folder)
    secret = lecturer.session_state["visitor_id"]
    token = rooms.new_link(code, secret)
    other = drawn(visit("class", room=code, lead=token).run())
    assert other.toggle(key="room_holds").value is True and "lead" not in other.query_params
    assert rooms.pupils(code) == 1
    press(other, "room_end")
    assert "has ended" in text(lecturer.run()) and "has ended" in text(ann.run())
    assert "room" not in ann.query_params
    assert not drawn(ann.run()).warning and rooms.room(code) is None


def test_the_browser_of_a_lecturer_leads_when_it_says_its_name(
    lecturer: AppTest, code: str
) -> None:
    lecturer.session_state["visitor_id"] = "e" * 32
    drawn(lecturer.run())
    assert drawn(lecturer.run()).toggle(key="room_holds").value is True
    reloaded = visit("class", room=code)
    reloaded.session_state["visitor_id"] = "e" * 32
    assert drawn(reloaded.run()).toggle(key="room_holds").value is True


def test_codes_cannot_be_tried_for_long(code: str) -> None:
    app = visit("class")
    for wrong in ("BBBBBB", "BBBBBC", "BBBBBD"):
        app.text_input(key="room_code").set_value(wrong)
        press(app, "FormSubmitter:room_join-Join")
        assert "room" not in app.query_params
    app.text_input(key="room_code").set_value(code)
    drawn(app.button(key="FormSubmitter:room_join-Join").click().run())
    assert "Too many codes" in text(app)


def test_a_code_may_be_typed_in_small_letters_with_spaces(code: str) -> None:
    app = visit("class")
    app.text_input(key="room_code").set_value(f" {code[:3].lower()} {code[3:].lower()}")
    press(app, "FormSubmitter:room_join-Join")
    assert said(app, "room") == code and "You are in." in text(app)


def test_rooms_cannot_be_opened_without_end() -> None:
    app = visit("class")
    for _room in range(2):
        press(app, "room_make")
        app.query_params.clear()
        press(app, "room_end")
    app.button(key="room_make").click().run()
    assert "Too many rooms" in app.error[0].value and not app.exception


@pytest.mark.parametrize("named", ["", "x", "'; DROP TABLE rooms --", "B" * 5000])
def test_a_code_that_is_none_says_so_and_the_page_stands(named: str) -> None:
    app = visit("convolutions", room=named)
    assert app.title[0].value and "room_send" not in [each.key for each in app.button]
    assert bool(named) == bool(app.warning)
    assert not Rooms(Path("nowhere")).room(named)


def test_outside_a_room_nothing_is_asked_of_its_file(folder: Path) -> None:
    guess(visit("convolutions"), 1 / 8)
    assert not folder.exists()


def test_a_link_to_a_setting_does_not_lead_into_the_room(code: str) -> None:
    from pages.kit import url_state

    app = pupil(code)
    state = app.session_state["url_state"]
    assert state.shared == {"room": [code]} and "room" in url_state.OWN


def test_browsers_ask_for_news_at_an_address_that_tells_no_codes(folder: Path) -> None:
    rooms = Rooms(folder)
    code = rooms.create("a" * 32)
    made = rooms.room(code)
    assert made is not None
    news = room.route().endpoint

    def ask(door: str) -> tuple[int, bytes]:
        reply = news(Request({"type": "http", "path_params": {"door": door}}))
        return reply.status_code, bytes(reply.body)

    assert ask(made.door) == (200, b"1 0")
    rooms.join(code, "ann")
    assert ask(made.door) == (200, b"1 1")
    for wrong in (code, "", "' OR 1=1 --", "x" * 10_000):
        assert ask(wrong) == (404, b"")
    for file in folder.iterdir():
        file.write_bytes(b"no database at all " * 300)
    assert ask(made.door)[0] == 503


def test_the_qr_code_is_that_of_the_address() -> None:
    segno = pytest.importorskip("segno")
    picture = room.qr("http://kitchen.example/class?room=BCDFGH")
    expected = segno.make("http://kitchen.example/class?room=BCDFGH", error="m")
    assert expected.svg_data_uri(border=3, light="#fff") in picture


def test_all_see_the_devices_of_the_class(lecturer: AppTest, code: str, folder: Path) -> None:
    ann = pupil(code, "class")
    assert not ann.get("vega_lite_chart") and not lecturer.get("vega_lite_chart")
    secrets = [str(app.session_state["visitor_id"]) for app in (ann, lecturer)]
    for secret, device, ms in zip(secrets, ("phone", "computer"), (12.0, 3.0), strict=True):
        Rooms(folder).report(code, secret, "net hw7-8bit", device, ms)
    Rooms(folder).report(code, secrets[0], "net safetensors", "phone", 20.0)
    for app in (ann, lecturer):
        drawn(app.run())
        (chart,) = app.get("vega_lite_chart")
        words = chart.proto.alt.replace(THIN, " ")
        assert words == "1 phone: median 12.0 ms; 1 computer: median 3.00 ms."
        (menu,) = [each for each in app.selectbox if each.label == "Network"]
        assert menu.options == ["net, 8 bits", "net, As trained: 16 or 32 bits"]
        drawn(menu.set_value("net safetensors").run())
        assert "1 phone: median 20.0 ms" in text(app).replace(THIN, " ")
