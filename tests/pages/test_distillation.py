"""Distillation: words use the picture's numbers, cells really run, the verdict is modest."""

import inspect
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.checkpoints import TEST_LOGITS
from core.checkpoints import test_logits as stored_logits
from core.course import CLASSES
from core.distillation.temperature import examples
from tests.kd_shelf import publish_answers
from tests.pages import shelf

Open = Callable[..., AppTest]


@pytest.fixture
def app(open_page: Open) -> AppTest:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    return open_page("distillation")


def text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning)
    return "\n".join(str(one.value) for kind in kinds for one in kind)


def softmax(logits: np.ndarray, t: float) -> np.ndarray:
    powers = np.exp((logits - logits.max()).astype(float) / t)
    return np.asarray(powers / powers.sum())


def losses(student: np.ndarray, teacher: np.ndarray, label: int, t: float) -> tuple[float, float]:
    """Hard and soft, by sums."""
    p, q = softmax(teacher, t), softmax(student, t)
    soft = t * t * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return -math.log(softmax(student, 1)[label]), soft


def default_row() -> int:
    teacher, labels = stored_logits(shelf.TEACHER)
    student, _labels = stored_logits(shelf.SCRATCH)
    return int(examples(teacher, student, labels)["hesitates"][0])


def test_the_words_use_the_examples_losses(app: AppTest) -> None:
    row = default_row()
    teacher, labels = stored_logits(shelf.TEACHER)
    student, _labels = stored_logits(shelf.SCRATCH)
    hard, soft = losses(student[row], teacher[row], int(labels[row]), 1.0)
    warm = losses(student[row], teacher[row], int(labels[row]), 4.0)[1]
    said = text(app)
    assert f"the hard loss is {hard:.2f}, the soft loss {soft:.2f}" in said
    assert f"**{(hard + soft) / 2:.2f}**. At T = 4 the soft loss is {warm:.2f}" in said
    assert f"it raises {CLASSES[labels[row]]}" in said


def test_a_student_from_scratch_is_proposed_and_a_blank_one_offered(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    app = open_page("distillation", student="blank")
    assert not app.exception
    row = default_row()
    teacher, labels = stored_logits(shelf.TEACHER)
    hard, soft = losses(np.zeros(11), teacher[row], int(labels[row]), 1.0)
    assert hard == pytest.approx(math.log(11))
    assert f"the hard loss is {hard:.2f}, the soft loss {soft:.2f}" in text(app)
    proposed = open_page("distillation")
    chosen = {one.label: one.value for one in proposed.selectbox}
    assert chosen["Teacher"] == shelf.TEACHER and chosen["Student"] == shelf.SCRATCH


def test_with_a_teacher_alone_the_student_knows_nothing(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    app = open_page("distillation")
    assert not app.exception
    assert "the hard loss is 2.40" in text(app)
    assert "None is shipped yet" in text(app)


def test_a_guess_is_answered(app: AppTest) -> None:
    guess = next(one for one in app.button_group if "leave T²" in one.label)
    assert "Make a guess" in text(app)
    guess.set_value("same").run()
    assert "Not so:" in text(app) and "Make a guess" not in text(app)


@pytest.mark.parametrize(
    ("given", "t", "alpha"),
    [({"T": "8", "alpha": "0.3"}, 8.0, 0.3), ({"T": "99", "alpha": "-1"}, 20.0, 0.0),
     ({"T": "nan", "alpha": "x"}, 4.0, 0.5)],
)  # fmt: skip
def test_a_link_sets_the_sliders(
    open_page: Open, given: dict[str, str], t: float, alpha: float
) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    spec = open_page("distillation", **given).get("vega_lite_chart")[0].proto.spec
    starts = {one["name"]: one["value"] for one in json.loads(spec)["params"] if "bind" in one}
    assert (starts["T"], starts["alpha"]) == (t, alpha)


def test_the_function_that_trains_is_shown(app: AppTest) -> None:
    from core.training.loss import loss_fn_kd

    shown = [one.value.strip() for one in app.code]
    assert inspect.getsource(loss_fn_kd).strip() in shown


def table_row(app: AppTest, start: str) -> list[str]:
    lines = [line for one in app.markdown for line in str(one.value).splitlines()]
    (found,) = [line for line in lines if line.startswith(f"| {start}")]
    return [cell.strip(" *") for cell in found.strip("|").split("|")]


def test_cells_run_on_request_and_give_the_numbers_that_go_wrong(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("distillation", trap="mean")
    assert "| Soft loss" not in text(app)
    next(one for one in app.button if one.label == "Run the cells here").click()
    app.run()
    assert not app.exception
    teacher, labels = stored_logits(shelf.TEACHER)
    student, _labels = stored_logits(shelf.SCRATCH)
    rows = np.linspace(0, len(labels) - 1, 64).round().astype(int)
    soft = np.mean([losses(student[i], teacher[i], int(labels[i]), 4.0)[1] for i in rows])
    measured = table_row(app, "Soft loss ·")
    assert float(measured[2]) == pytest.approx(soft, abs=6e-4)
    assert float(measured[1]) == pytest.approx(soft / 11, abs=6e-4)
    assert "11 times too small" in measured[0]
    assert any("batchmean" in one.value and "mean" in one.value for one in app.code)


@pytest.mark.parametrize(
    "trap", ["probabilities", "mean", "no_t2", "swapped", "twice", "train_mode"]
)
def test_every_trap_shows_both_cells_as_they_run(open_page: Open, trap: str) -> None:
    from core.distillation import traps

    shelf.fill(shelf.TEACHER)
    app = open_page("distillation", trap=trap)
    shown = [one.value.strip() for one in app.code]
    good = "train_mode_fixed" if trap == "train_mode" else "fixed"
    for name in (f"{trap}_failing", good):
        assert inspect.getsource(getattr(traps, name)).strip() in shown
    assert "How to notice" in text(app)


def test_a_teacher_that_cannot_be_opened_is_said(open_page: Open) -> None:
    """The tiny shelf's weights fit no network: the other cells run all the same."""
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("distillation", trap="train_mode")
    next(one for one in app.button if one.label == "Run the cells here").click()
    app.run()
    assert not app.exception
    assert any("do not fit the network" in one.value for one in app.warning)


# --- does distillation help? ----------------------------------------------------------------------


def test_one_seed_is_called_one_seed(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 260)
    said = text(open_page("distillation"))
    assert "**It helps.**" in said
    assert "+15.0 points" in said and "Only one seed (seed 0)" in said


def test_what_cannot_be_told_apart_is_said(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    publish_answers("scratch", 0, 200, shift=40)
    publish_answers("distilled", 0, 204)
    said = text(open_page("distillation"))
    assert "**Not distinguishable.**" in said and "The interval holds 0" in said


def test_several_seeds_get_a_mean_over_seeds(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    for seed, gain in enumerate((20, 24, 22)):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 200 + gain)
    app = open_page("distillation")
    assert "3 seeds: distilled minus scratch is +5.5 points on average" in text(app)
    assert "Only one seed" not in text(app)
    alts = [chart.proto.alt for chart in app.get("vega_lite_chart")]
    assert any("mean of 3 seeds: +5.5" in alt for alt in alts)


def test_other_settings_are_owned_up_to(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 260, config={"seed": 0, "epochs": 90})
    assert "different settings: `epochs`" in text(open_page("distillation"))


def test_without_stored_answers_the_page_still_opens(open_page: Open, pretrained: Path) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    (pretrained / shelf.TEACHER / TEST_LOGITS).write_bytes(b"spoilt")
    app = open_page("distillation")
    assert not app.exception
    assert shelf.TEACHER in app.error[0].value
