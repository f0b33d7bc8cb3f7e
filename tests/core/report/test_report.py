"""Reports grow, come back whole or not at all, and are written so that nothing typed can act."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli.main import main
from core.errors import UserError
from core.report import MOST_BYTES, QUESTIONS, Answer, Measurement, Report, question_text, read
from core.report.record import LONGEST_WORDS, MOST
from core.report.write import to_html, to_markdown
from tests.conftest import REPO, run_python

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
EVIL = (
    "</div></td><script>alert(1)</script><img src=x onerror=alert(2)>\"'`[x](javascript:alert(3))"
)
PLACE = ("temperature", "guess_grows", "net")


def an_answer(said: str = "the short bars", minutes: int = 0, **more: Any) -> Answer:
    fields = {"page": PLACE[0], "key": PLACE[1], "about": PLACE[2], "question": "Which bars grow?"}
    when = NOON + timedelta(minutes=minutes)
    return Answer(**{**fields, "link": "temperature?T=4", "when": when, "said": said, **more})


def a_point(about: str = "0.5", **values: float) -> Measurement:
    return Measurement(
        page="pruning", key="run_live", about=about, link="pruning", when=NOON,
        result="75 % right", settings={"checkpoint": "net", "method": "l1"}, values=values,
    )  # fmt: skip


PHOTO = "/9j/4AAQSkZJRg=="


def a_photo(picture: str = PHOTO) -> Measurement:
    return Measurement(
        page="compare", key="photo", about=EVIL, link="compare", when=NOON, result=EVIL,
        settings={"photo": EVIL}, picture=picture,
    )  # fmt: skip


def full() -> Report:
    report = Report().with_answer(an_answer()).revealed(PLACE, True, "The short bars.")
    report = report.with_answer(an_answer("2", key="quiz_levels")).revealed(
        (PLACE[0], "quiz_levels", PLACE[2]), False, "It is 16."
    )
    report = report.with_measurement(a_point(n=100, correct=75, ratio=0.5))
    return report.with_words({"HW13 Q2.2": "Softer.\nMuch."}, "Ann")


def test_the_guess_before_the_answer_counts() -> None:
    report = Report().with_answer(an_answer("the longest bar")).with_answer(an_answer("none"))
    assert [each.said for each in report.answers] == ["none"] and not report.guesses()
    seen = report.revealed(PLACE, False, "The short bars.")
    assert seen.with_answer(an_answer()) == seen == seen.revealed(PLACE, True, "Other words.")
    assert seen.without_answer(PLACE) == seen and not report.without_answer(PLACE).answers
    assert [each.right for each in seen.guesses()] == [False]


def test_who_only_looks_has_not_guessed() -> None:
    looked = Report().with_answer(an_answer(""))
    assert looked.revealed(PLACE, True, "x").with_answer(an_answer()) == looked
    assert not looked.guesses()


def test_other_settings_are_another_guess() -> None:
    report = Report().with_answer(an_answer()).with_answer(an_answer(about="another"))
    assert len(report.answers) == 2


def test_a_report_is_bounded() -> None:
    report = Report()
    for number in range(MOST + 5):
        report = report.with_answer(an_answer(about=str(number)))
        report = report.with_measurement(a_point(str(number)))
    assert len(report.answers) == len(report.measured) == MOST
    assert report.answers[-1].about == report.measured[-1].about == str(MOST + 4)
    cut = report.with_words({"HW7 Q1": "x" * (LONGEST_WORDS + 1)}, "n" * 200)
    assert len(cut.words["HW7 Q1"]) == LONGEST_WORDS and len(cut.author) == 100
    assert read(cut.to_json()) == cut


def test_a_file_comes_back_as_it_was() -> None:
    report = full()
    assert read(report.to_json()) == report
    assert read(b"\xef\xbb\xbf" + report.to_json()) == report
    assert read(Report().to_json()) == Report()


@given(st.text(max_size=300), st.text(max_size=100))
def test_any_words_come_back(words: str, name: str) -> None:
    report = Report().with_words({"HW7 Q2": words}, name)
    assert read(report.to_json()) == report
    to_html(report).encode(), to_markdown(report).encode()


def changed(**parts: Any) -> bytes:
    return json.dumps(json.loads(full().to_json()) | parts).encode()


def first_answer(**parts: Any) -> bytes:
    answers = json.loads(full().to_json())["answers"]
    return changed(answers=[answers[0] | parts])


BAD = {
    "empty": b"",
    "no json": b"PK\x03\x04",
    "cut short": full().to_json()[:-20],
    "no utf-8": b'{"author": "\xff"}',
    "half a surrogate": b'{"author": "\\ud800"}',
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "too large": b" " * (MOST_BYTES + 1),
    "another kind": changed(kind="small-plates-report-2"),
    "unknown field": changed(photos=["x"]),
    "a number for words": changed(words={"HW7 Q1": 5}),
    "an unknown question": changed(words={"HW7 Q9": "x"}),
    "long words": changed(words={"HW7 Q1": "x" * (LONGEST_WORDS + 1)}),
    "too many": changed(answers=[json.loads(full().to_json())["answers"][0]] * (MOST + 1)),
    "twice": changed(answers=json.loads(full().to_json())["answers"] * 2),
    "a path for a page": first_answer(page="../../etc/passwd"),
    "a script for a link": first_answer(link="javascript:alert(1)"),
    "another server for a link": first_answer(link="//elsewhere/x"),
    "a line after the link": first_answer(link="pruning?a=1\n<script>"),
    "a text for a truth": first_answer(right="yes"),
    "a number for a truth": first_answer(right=1),
    "no time": first_answer(when="yesterday"),
    "a time without a zone": first_answer(when="2026-11-30T12:00:00"),
    "no base64 for a photo": changed(
        measured=[json.loads(a_photo().model_dump_json()) | {"picture": 'x" onerror="alert(1)'}]
    ),
    "not finite": full().to_json().replace(b"75.0", b"NaN"),
    "too large a number": full().to_json().replace(b"75.0", b"1e999"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_report_is_refused_in_a_sentence(data: bytes) -> None:
    assert data != full().to_json()
    with pytest.raises(UserError) as refused:
        read(data)
    words = str(refused.value)
    assert len(words) < 600 and words.endswith(".") and "\n" not in words


@given(st.binary(max_size=300))
def test_any_bytes_are_a_report_or_refused(data: bytes) -> None:
    with suppress(UserError):
        read(data)


def test_two_reports_become_one() -> None:
    early = Report().with_answer(an_answer("none", -60)).revealed(PLACE, False, "The short bars.")
    early = early.with_words({"HW7 Q1": "First."}, "Ann")
    late = full().with_words({"HW7 Q1": "Second."})
    both = late.merged(early)
    assert [each.said for each in both.guesses()] == ["none"]
    assert len(both.quizzes()) == 1 and len(both.measured) == 1 and both.author == "Ann"
    assert both.words["HW7 Q1"] == "First.\n\nSecond." and both.words["HW13 Q2.2"]
    assert both.merged(both) == both and Report().merged(late) == late
    many = [Report(answers=tuple(an_answer(about=f"{x}{n}") for n in range(MOST))) for x in "ab"]
    with pytest.raises(UserError):
        many[0].merged(many[1])


class Seen(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def evil() -> Report:
    report = Report().with_answer(an_answer(EVIL, question=EVIL)).revealed(PLACE, True, EVIL)
    report = report.with_measurement(
        Measurement(page="pruning", key="run_live", link="pruning", when=NOON, result=EVIL,
                    settings={"checkpoint": EVIL[:200], "method": EVIL[:200]}, about=EVIL,
                    values={"n": 5.0, "correct": 4.0})
    ).with_measurement(a_photo())  # fmt: skip
    return report.with_words(dict.fromkeys(QUESTIONS, EVIL), EVIL)


def test_what_was_typed_stays_text_in_the_page() -> None:
    page = to_html(evil(), "https://plates.example/app")
    seen = Seen(page)
    assert {tag for tag, _attributes in seen.tags} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "strong", "div", "span",
        "section", "table", "thead", "tr", "th", "td", "a", "figure", "img", "figcaption",
    }  # fmt: skip
    (photo,) = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert photo == {"src": f"data:image/jpeg;base64,{PHOTO}", "alt": EVIL}
    assert seen.text.count(EVIL) >= len(QUESTIONS) + 4  # words, question, guess, truth, title
    links = [attributes["href"] for tag, attributes in seen.tags if tag == "a"]
    assert links and set(links) <= {
        "https://plates.example/app/temperature?T=4", "https://plates.example/app/pruning",
        "https://plates.example/app/compare",
    }  # fmt: skip
    for _tag, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("base", ["", "javascript:alert(1)//", 'https://x"onclick="y', "file:///x"])
def test_only_a_web_address_becomes_links(base: str) -> None:
    assert "<a " not in to_html(full(), base)


def test_what_was_typed_stays_text_in_markdown() -> None:
    text = to_markdown(evil())
    assert not re.search(r"(?<!\\)[<`\[]", text)
    for line in to_markdown(full().with_words({"HW7 Q1": "# Title\n- a\n> b\n| c |"})).split("\n"):
        assert not line.startswith(("# Title", "- a", "| c"))


@pytest.mark.parametrize("written", [to_html(full()), to_markdown(full())], ids=["html", "md"])
def test_a_report_is_laid_out_under_the_questions(written: str) -> None:
    text = Seen(written).text.replace("\\", "")
    places = [text.index(question_text(key)) for key in QUESTIONS]
    assert places == sorted(places)
    under = dict(zip(QUESTIONS, zip(places, [*places[1:], len(text)], strict=True), strict=True))

    def stands(words: str, key: Any) -> bool:
        begin, end = under[key]
        return words in text[begin:end]

    assert stands("The short bars.", "HW13 Q2.2") and stands("Much.", "HW13 Q2.2")
    assert stands("75 % right", "HW13 Q3.1")
    assert "It is 16." in text[text.index("Quizzes") :]
    left = text[text.index("Not answered yet") :].split(".\n")[0]
    assert "HW7 Q1" in left and "HW13 Q2.2" not in left.split("\n")[0]


WAYS = {"l1", "tensor_minmax", "auto"}


def measured_of(kind: Any, page: str, way: str, x: str) -> Measurement:
    id = sorted(kind.names())[0]
    row = next(row for row in kind.load(id).rows if row.n and row.key[0] in WAYS)
    return Measurement(
        page=page, key="run_live", about="a", link=page, when=NOON, result="x",
        settings={"checkpoint": id, way: str(getattr(row, way))},
        values={"n": 1000, "correct": 432, "size_bytes": 1e5, x: float(getattr(row, x))},
    )  # fmt: skip


@pytest.mark.slow
def test_measured_points_stand_as_stars_over_the_shipped_curves() -> None:
    pytest.importorskip("vl_convert")
    from core.low_rank.rows import LowRankGrid
    from core.pruning.rows import PruningGrid
    from core.quantization.rows import QuantizationGrid

    points = [
        measured_of(PruningGrid, "pruning", "method", "ratio"),
        measured_of(QuantizationGrid, "quantization", "scheme", "bits"),
        measured_of(LowRankGrid, "low_rank", "method", "params"),
    ]
    page = to_html(Report(measured=tuple(points)))
    pictures = page.split("<svg")[1:]
    assert len(pictures) == 3
    for picture in pictures:
        assert "test photographs: 43%; slot: text" in picture  # the star's description
    assert not [tag for tag, _a in Seen(page).tags if tag in ("script", "image", "foreignObject")]
    for values in ({"ratio": 1e300}, {"ratio": -1.0}, {"n": 0.0}, {"correct": 1001.0}):
        off = points[0].model_copy(update={"values": points[0].values | values})
        assert "<svg" not in to_html(Report(measured=(off,)))
    unnamed = points[0].model_copy(update={"values": {"n": 1000.0, "correct": 1.0}})
    assert "<svg" not in to_html(Report(measured=(unnamed,)))
    elsewhere = points[0].model_copy(update={"settings": {"checkpoint": "../x", "method": "l1"}})
    assert "<svg" not in to_html(Report(measured=(elsewhere,)))


def test_a_class_is_counted_and_a_bad_file_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ann.json").write_bytes(full().to_json())
    (tmp_path / "none.json").write_bytes(Report().with_words({}, "B\x1b[31mob").to_json())
    (tmp_path / "bad.json").write_bytes(b"{")
    names = ["ann.json", "bad.json", "absent.json", "none.json"]
    files = [str(tmp_path / name) for name in names]
    assert main(["report", *files, "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    ann, none = document["reports"]
    assert (ann["file"], ann["author"], ann["answered"], ann["questions"]) == (
        "ann.json", "Ann", 1, len(QUESTIONS),
    )  # fmt: skip
    assert [ann[name] for name in ("guesses_right", "guesses", "quiz_right", "quiz", "measured")] \
        == [1, 1, 0, 1, 1]  # fmt: skip
    assert none["answered"] == 0 and [Path(e["file"]).name for e in document["errors"]] == [
        "bad.json", "absent.json",
    ]  # fmt: skip
    assert len(said.err.strip().split("\n")) == 2
    assert main(["report", *files]) == 0
    assert "\x1b" not in (text := capsys.readouterr().out) and "ann.json" in text and "1/8" in text
    assert main(["report", files[1]]) == 2


def test_the_example_for_grading_runs(tmp_path: Path) -> None:
    guide = (REPO / "docs" / "teaching.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "ann.json").write_bytes(full().to_json())
    assert run_python(f"import os; os.chdir({str(tmp_path)!r})\n{example}") == "Ann 1.0 of 10\n"
