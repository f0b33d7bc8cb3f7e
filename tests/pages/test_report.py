"""What the kit puts into the lab report, and the page that shows it, takes words, opens files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from streamlit.testing.v1 import AppTest

from core.classroom import Room
from core.errors import ClassroomError
from core.report import QUESTIONS, Report, read
from pages.kit import lab, room
from pages.kit.room import Seat
from tests.pages import shelf
from tests.pages.conftest import go_to
from tests.pages.live import texts_of

Open = Callable[..., AppTest]
GUESS = "guess_share"
"""Of Convolutions, which needs no network: the standard layer 64 -> 128, 3 x 3."""


def report_of(app: AppTest) -> Report:
    assert not app.exception
    report: Report = app.session_state["lab_report"]
    assert read(report.to_json()) == report
    return report


def go(app: AppTest, page: str) -> AppTest:
    app.query_params.clear()
    go_to(app, page)
    return drawn(app.run())


def drawn(app: AppTest) -> AppTest:
    assert not app.exception and not app.error
    return app


def text(app: AppTest) -> str:
    return "\n".join([*texts_of(app), *(area.value or "" for area in app.text_area)])


def test_an_empty_report_says_what_to_do(open_page: Open) -> None:
    app = drawn(open_page("report"))
    assert "Nothing is in it yet" in text(app)
    assert [button.proto.disabled for button in app.get("download_button")] == [True] * 3
    assert len(text(app).split()) <= 250
    assert list(app.button_group(key="question").options) == list(QUESTIONS)


def test_the_first_guess_and_its_answer_stand_in_it(open_page: Open) -> None:
    app = drawn(open_page("convolutions", out_channels="256"))
    assert not report_of(go(app, "report")).answers
    go(app, "convolutions")
    app.button_group(key=GUESS).set_value(1 / 4).run()
    app.button_group(key=GUESS).set_value(1 / 8).run()  # he has seen the answer
    (answer,) = report_of(app).guesses()
    assert (answer.said, answer.right, answer.page) == ("1/4", False, "convolutions")
    assert "64 → 256" in answer.about and answer.link == "convolutions?out_channels=256"
    assert answer.truth and "**" not in answer.truth
    go(app, "report")
    app.button_group(key="question").set_value("HW7 Q4").run()
    assert "1/4" in text(app) and "Guesses right: 0 of 1" in text(app)


def test_other_settings_after_the_answer_are_no_guess(open_page: Open) -> None:
    app = drawn(open_page("convolutions"))
    app.button_group(key=GUESS).set_value(1 / 8).run()
    app.number_input(key="out_channels").set_value(256).run()  # the answer stays open
    app.button_group(key=GUESS).set_value(1 / 4).run()
    assert len(report_of(app).answers) == 1


def test_who_only_looks_has_guessed_nothing(open_page: Open) -> None:
    app = drawn(open_page("convolutions"))
    app.button_group(key=GUESS).set_value("show").run()
    app.button_group(key=GUESS).set_value(1 / 8).run()
    report = report_of(app)
    assert [answer.said for answer in report.answers] == [""] and not report.guesses()
    app.button_group(key=GUESS).set_value(None).run()
    assert report_of(app) == report


def test_a_link_that_shows_the_answer_lets_nobody_guess(open_page: Open) -> None:
    app = drawn(open_page("convolutions", reveal="true"))
    app.button_group(key=GUESS).set_value(1 / 8).run()
    assert "lab_report" not in app.session_state or not report_of(app).answers


def test_in_a_room_the_guess_counts_that_stands_when_the_answer_is_shown(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_DATA", str(tmp_path / "data"))
    lecturer = drawn(open_page("class"))
    drawn(lecturer.button(key="room_make").click().run())
    code = lecturer.query_params["room"]
    code = code if isinstance(code, str) else code[0]
    pupil = drawn(drawn(open_page("convolutions", room=code)).run())
    pupil.button_group(key=GUESS).set_value(1 / 4).run()
    pupil.button_group(key=GUESS).set_value(1 / 8).run()
    assert not report_of(pupil).guesses() and report_of(pupil).answers[0].said == "1/8"
    lecturer.query_params["room"] = code
    go_to(lecturer, "convolutions")
    drawn(drawn(lecturer.run()).run())
    (button,) = [each for each in lecturer.button if str(each.key).startswith("room_open_")]
    drawn(button.click().run())
    drawn(pupil.run())
    assert [(each.said, each.right) for each in report_of(pupil).guesses()] == [("1/8", True)]


def test_a_class_answers_a_quiz(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_DATA", str(tmp_path / "data"))
    lecturer = drawn(open_page("class"))
    drawn(lecturer.button(key="room_make").click().run())
    drawn(lecturer.toggle(key="room_holds").set_value(False).run())
    code = lecturer.query_params["room"]
    code = code if isinstance(code, str) else code[0]
    for place in (0, 1, 1):
        pupil = drawn(drawn(open_page("convolutions", room=code, tab="quiz")).run())
        pupil.button_group(key=GUESS).set_value(1 / 8).run()
        radio = pupil.radio(key="quiz_groups")
        drawn(radio.set_value(options_of(radio)[place]).run())
        assert len(report_of(pupil).quizzes()) == 1
    drawn(lecturer.run())
    shown = [element.proto.body for element in lecturer.get("html")]
    quiz = next(body for body in shown if "1,154" in body)
    assert "Guesses of the class: 3" in quiz and "1,154: 1" in quiz and "9,344: 2" in quiz


def options_of(radio: Any) -> list[str]:
    """The values of its options."""
    return [f"{crc32(words.encode()):08x}" for words in radio.options]


def test_words_are_kept_and_the_file_opens_in_another_visit(open_page: Open) -> None:
    app = drawn(open_page("report"))
    app.text_area[0].set_value("Both <b>ways</b>.").run()
    app.button_group(key="question").set_value("HW13 Q2.2").run()
    app.text_area[0].set_value("Softer.").run()
    app.text_input(key="report_author").set_value("Ann").run()
    go(app, "temperature")
    go(app, "report")
    assert "Softer." in text(app)
    assert app.button_group(key="question").options[0] == "HW7 Q1 ✓"
    report = report_of(app)
    assert report.words == {"HW7 Q1": "Both <b>ways</b>.", "HW13 Q2.2": "Softer."}

    other = drawn(open_page("report"))
    other.text_area[0].set_value("").run()
    name = ("../../report.json", report.to_json(), "application/json")
    drawn(other.file_uploader[0].set_value(name).run())
    assert report_of(other) == report and "Both <b>ways</b>." in text(other)
    assert other.text_input(key="report_author").value == "Ann"


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b'{"kind": "x"}', b"[" * 50_000], ids=["none", "zip", "x", "deep"]
)
def test_a_file_that_is_no_report_leaves_this_one_as_it_is(open_page: Open, data: bytes) -> None:
    app = drawn(open_page("report"))
    app.text_area[0].set_value("Mine.").run()
    app.file_uploader[0].set_value(("a.json", data, "application/json")).run()
    assert not app.exception and "no lab report" in app.error[0].value
    assert report_of(app).words == {"HW7 Q1": "Mine."}
    assert not app.run().error


def test_what_a_strangers_file_says_is_plain_text(open_page: Open) -> None:
    evil = "<script>x</script> | **b** [x](javascript:y) $z$ :red[w]"
    where = {"page": "temperature", "key": "guess_grows", "link": "temperature"}
    said = {"when": "2026-11-30T12:00:00Z", "right": True, "question": evil, "said": evil}
    entry = where | said | {"truth": evil}
    data = json.dumps({"answers": [entry]}).encode()
    app = drawn(open_page("report", question="HW13 Q2.2"))
    drawn(app.file_uploader[0].set_value(("a.json", data, "application/json")).run())
    (table,) = [each.value for each in app.markdown if each.value.startswith("|")]
    row = table.split("\n")[2]
    assert row.replace("\\|", "").count("|") == 4
    for mark in ("<script", "**b", "[x]", "$z", ":red["):
        assert mark not in row.replace(f"\\{mark}", "") or f"\\{mark[0]}" in row


def test_the_homeworks_question_on_temperature_is_answered(
    pretrained: Path, open_page: Open
) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = drawn(open_page("temperature", tab="homework"))
    app.button_group(key="guess_grows").set_value("small").run()
    app.radio[0].set_value("harder").run()
    answers = {each.key: each.right for each in report_of(app).guesses()}
    assert answers == {"guess_grows": True, "homework_t": False}


def test_a_devices_time_that_the_room_takes_stands_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Any, ...]] = []

    class Taking:
        def report(self, *sent: Any) -> None:
            if sent[-1] == "fast":
                raise ClassroomError("No time.")

    place = Seat("BCDFGH", "secret", Room("BCDFGH", "door", 1, True, 0, "", {}), leads=True)
    monkeypatch.setattr(room, "seat", lambda: place)
    monkeypatch.setattr(room, "rooms", Taking)
    monkeypatch.setattr(lab, "measured", lambda *all: told.append(all))
    with pytest.raises(ClassroomError):
        room.report("net", "phone", "fast")
    assert not told
    room.report("net", "phone", 12.5)
    ((key, about, words, _when, _settings, values),) = told
    assert (key, about, values) == ("device", "net", {"ms": 12.5}) and "12.5" in words
    assert "1 phone" in words
