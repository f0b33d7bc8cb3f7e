"""Each page's quiz: three questions, one right answer each, worked out here in another way."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.charts import numbers
from core.collection.homework import CLAIMS
from core.paths import REPO
from pages.kit import quiz
from tests.pages.conftest import go_to

RESULTS = REPO / "pretrained" / "results"
MANIFEST = json.loads((REPO / "pretrained" / "manifest.json").read_text(encoding="utf-8"))
Truth = Callable[[str, Mapping[str, Any]], str]


def rows_of(kind: str, id: str, **wanted: Any) -> dict[str, Any]:
    """The first row in a file of results that has these fields."""
    file = json.loads((RESULTS / f"{kind}-{id}.json").read_text(encoding="utf-8"))
    return next(
        row
        for row in file["rows"]
        if all(row.get(name, 0) == value for name, value in wanted.items())
    )


def pruned(id: str, method: str, ratio: float, form: str) -> dict[str, Any]:
    wanted = {"method": method, "ratio": ratio, "form": form, "finetune_epochs": 0}
    return rows_of("pruning", id, **wanted)


def shipped(id: str, format: str) -> int:
    return int(rows_of("shipping", id, format=format)["size_bytes"])


def percent(row: Mapping[str, Any]) -> str:
    return numbers.percent(row["correct"] / row["n"], row["n"])


def pruning(key: str, about: str) -> str:
    id = about
    if key == "masks":
        return numbers.size(pruned(id, "l1", 0.5, "masked")["size_bytes"])
    if key == "sparse":
        return percent(pruned(id, "l1", 0.9, "removed"))
    narrow, whole = pruned(id, "channel_l2", 0.5, "narrow"), pruned(id, "l1", 0.0, "removed")
    return numbers.share(narrow["macs"] / whole["macs"])


def quantization(key: str, about: str) -> str:
    id, scheme, bits = about.replace(",", "").split()
    if key == "levels":
        return numbers.count(len({f"{n:b}" for n in range(1 << int(bits))}))
    if key == "bytes":
        return numbers.size(
            rows_of("quantization", id, scheme=scheme, bits=int(bits))["size_bytes"]
        )
    return percent(rows_of("quantization", id, scheme=scheme, bits=2))


def low_rank(key: str, about: str) -> str:
    id, layer, form = about.split()
    file = json.loads((RESULTS / f"lowrank-{id}.json").read_text(encoding="utf-8"))
    shape = next(each for each in file["shapes"] if each[0] == layer)
    _name, n_in, n_out, (high, wide), _stride, _groups, has_bias, *_sizes = shape
    bias = n_out * has_bias
    full = {"spatial": min(high * n_in, wide * n_out), "svd": min(n_in * high * wide, n_out)}[form]

    def factors(rank: int) -> int:
        if form == "spatial":
            return rank * (high * n_in + wide * n_out) + bias
        return rank * (n_in * high * wide + n_out) + bias

    if key == "saves":
        whole = n_in * n_out * high * wide + bias
        return numbers.count(sum(factors(rank) < whole for rank in range(1, full + 1)))
    if key == "full":
        return numbers.count(factors(full))
    spectrum = next(each for each in file["spectra"] if each[:2] == [layer, form])
    squares = np.asarray(spectrum[2][0], float) ** 2
    return numbers.share(float(squares[: full // 4].sum() / squares.sum()))


def export(key: str, about: str) -> str:
    if key == "limit":
        formats = ("safetensors", "onnx", "onnx-fp16", "onnx-int8", "hw7-8bit")
        return str(sum(shipped(about, format) <= 300_000 for format in formats))
    format = {"half": "onnx-fp16", "int8": "onnx-int8"}[key]
    return numbers.share(shipped(about, format) / shipped(about, "onnx"))


def convolutions(key: str, about: str) -> str:
    assert about == "64 → 128, 3 × 3 + bias, 16 px / 1"
    if key == "groups":  # eight groups
        return numbers.count(8 * (64 // 8) * (128 // 8) * 9 + 128)
    if key == "map":
        return numbers.count(64 * 128 * 9 + 128)
    share = 64 * 128 / (64 * 128 + 64 * 9)
    return f"{100 * share:.1f}{numbers.THIN}%"


def architecture(key: str, about: str) -> str:
    assert about == "dwpw_256k, 128 px"
    if key == "half":
        return numbers.size(2 * 256_779)
    if key == "memory":
        return "13.13 MB"  # torchsummary's, in the homework
    macs = 0
    side, layers = 256, [(16, 32), (32, 64), (64, 128), (128, 256), *[(256, 256)] * 3]
    macs += 9 * 3 * 16 * side**2
    for place, (n_in, n_out) in enumerate(layers):
        side = (256 // 2) >> min(place, 3)
        macs += (9 * n_in + n_in * n_out) * side**2
    return numbers.short_count(macs + 256 * 11)


def temperature(key: str, about: str) -> str:
    if key == "even":
        return f"{math.log(11):.2f}"
    food = about.split(", ")[1].rsplit(" ", 1)[0]
    food = food.rsplit(" ", 1)[0] if food.endswith("%") else food
    return food if key == "order" else ""


def distillation(key: str, about: str) -> str:
    return {"factor": "8", "mean": "11", "helps": ""}[key]


def results(key: str, about: str) -> str:
    """How many of all pairs of trainings have the rarer sign, in the finding with most such."""
    if key != "luck":
        return ""
    every = {id: one for id, one in MANIFEST["checkpoints"].items() if one.get("test")}
    usual = Counter(entry["data"]["fingerprint"] for entry in every.values()).most_common(1)[0][0]
    right: dict[str, list[float]] = {}
    for id, entry in every.items():
        if entry["data"]["fingerprint"] == usual and not entry.get("derived_from"):
            right.setdefault(id.rsplit("-s", 1)[0], []).append(
                entry["test"]["correct"] / entry["test"]["n"]
            )
    rarer = []
    for claim in CLAIMS:
        signs = [a < b for a in right.get(claim.a, ()) for b in right.get(claim.b, ())]
        rarer.append(min(signs.count(True), signs.count(False)))
    return str(max(rarer))


TRUTHS = {
    "convolutions": convolutions, "architecture": architecture, "temperature": temperature,
    "distillation": distillation, "pruning": pruning, "quantization": quantization,
    "low_rank": low_rank, "export": export, "results": results,
}  # fmt: skip
"""Page -> the right answer to a question; "" where it is looked at in another test."""


@pytest.fixture
def quiz_of(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[list[quiz.Question], str, AppTest]]:
    """A page's questions and what they depend on, on the shipped networks."""
    taken: list[tuple[list[quiz.Question], str]] = []
    ask = quiz.draw

    def draw(make: Any, about: str, guessed: Any) -> None:
        taken.append((list(make()), about))
        ask(make, about, guessed)

    monkeypatch.setattr(quiz, "draw", draw)

    def open_it(page: str, **query: str) -> tuple[list[quiz.Question], str, AppTest]:
        app = AppTest.from_file(str(REPO / "app.py"), default_timeout=120)
        go_to(app, page)
        app.query_params.update({"tab": "quiz", "reveal": "true", **query})
        app.run()
        assert not app.exception and not app.error
        return *taken[-1], app

    return open_it


@pytest.mark.slow
@pytest.mark.parametrize("page", TRUTHS)
def test_each_page_asks_three_questions_with_one_right_answer(page: str, quiz_of: Any) -> None:
    questions, about, app = quiz_of(page)
    assert len(questions) == 3 == len({question.key for question in questions})
    quizzes = [radio for radio in app.radio if str(radio.key).startswith("quiz_")]
    assert [radio.value for radio in quizzes] == [None] * 3  # a link that shows answers is no help
    shown = "\n".join(str(each.value) for each in app.markdown)
    assert not [question for question in questions if question.why in shown]
    for question in questions:
        options = list(dict.fromkeys(question.options))
        assert 2 <= len(options) <= 6 and options.count(question.right) == 1
        assert question.why.endswith(".") and len(question.why.split()) <= 30
        truth = TRUTHS[page](question.key, about)
        assert truth in ("", question.right), question.key
        if question.key == "interval":  # "... −7.0 to −0.2 points"
            low, high = re.findall(r"[+−]\d", question.text)
            expected = {"++": 0, "−−": 1, "−+": 2}[low[0] + high[0]]
            assert question.right == question.options[expected]
        assert sum(option == truth for option in options) == bool(truth)


def softmax(logits: np.ndarray, t: float) -> np.ndarray:
    powers = np.exp((logits - logits.max()) / t)
    return np.asarray(powers / powers.sum())


def test_the_answer_at_a_higher_temperature_is_the_softmaxs() -> None:
    from pages.kit.example import Example
    from pages.temperature import _quiz

    for seed in range(20):
        logits = np.random.default_rng(seed).normal(0, 4, 11).astype(np.float32)
        higher, order, _even = _quiz(Example([logits]))
        assert higher.right == numbers.share(float(softmax(logits, 4).max()))
        assert order.right == order.options[0]


@pytest.mark.parametrize(
    ("right", "wrong", "shown"),
    [(8, (2, 8.5, 0.5, 16), "0.5 2 8 16"), (1, (1, 1), "1"), (0, (0, 1, 2), "0 1 2"),
     (-5, (5, -5.2), "-5 5")],
)  # fmt: skip
def test_a_wrong_number_too_near_to_the_right_one_is_left_out(
    right: float, wrong: tuple[float, ...], shown: str
) -> None:
    assert quiz.among(right, wrong, lambda n: f"{n:g}") == (shown.split(), f"{right:g}")


def asking() -> None:
    import streamlit as st

    from pages.kit import quiz, url_state

    url_state.arrive("export")
    levels = st.session_state.get("levels", 16)
    questions = [
        quiz.Question("levels", "How many?", ["8", str(levels)], str(levels), "Two to the fourth."),
        quiz.Question("alike", "Which?", ["1 KB", "1 KB"], "1 KB", "There is no other."),
    ]
    quiz.draw(lambda: questions, f"{levels}", None)


def test_the_first_answer_counts_and_other_numbers_ask_anew() -> None:
    app = AppTest.from_function(asking).run()
    (radio,) = app.radio
    assert radio.value is None and radio.options == ["8", "16"]
    assert "Two to the fourth" not in str(app.markdown)
    key = str(radio.key)
    app.radio(key=key).set_value(_value("8")).run()
    assert "**Not quite.** **16**. Two to the fourth." in app.markdown[0].value
    app.radio(key=key).set_value(_value("16")).run()
    assert "**Right.**" in app.markdown[0].value
    assert "Right: 0 of 1" in app.caption[0].value
    (answer,) = app.session_state["lab_report"].quizzes()
    assert (answer.said, answer.right, answer.about) == ("8", False, "16")
    app.session_state["levels"] = 32
    app.run()
    assert app.radio[0].value is None and "Right: 0 of 1" in app.caption[0].value


def _value(words: str) -> str:
    from zlib import crc32

    return f"{crc32(words.encode()):08x}"
