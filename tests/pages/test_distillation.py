"""Distillation: words use the picture's numbers, cells really run, the verdict is modest."""

import inspect
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.checkpoints import TEST_LOGITS, load_manifest
from core.checkpoints import test_logits as stored_logits
from core.course import CLASSES
from core.distillation.temperature import examples
from core.distillation.verdict import compare
from tests.dreamers import fill_dreams
from tests.kd_shelf import publish_answers
from tests.pages import shelf

Open = Callable[..., AppTest]


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


def follows(app: AppTest) -> dict[str, Any]:
    """What the browser is given to write sentences whose numbers follow the sliders."""
    (component,) = [
        one for one in app.get("bidi_component") if "follows_loss" in one.proto.component_name
    ]
    return dict(json.loads(component.proto.json))


def chart(app: AppTest) -> dict[str, Any]:
    """The instrument's."""
    return dict(json.loads(app.get("vega_lite_chart")[0].proto.spec))


def test_the_page_as_it_comes(open_page: Open) -> None:
    """The words are given the example's logits; what answers the guess waits for it."""
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    app = open_page("distillation")
    assert not app.exception
    row = default_row()
    teacher, labels = stored_logits(shelf.TEACHER)
    student, _labels = stored_logits(shelf.SCRATCH)
    given = follows(app)
    assert given["student"] == pytest.approx(student[row].tolist())
    assert given["teacher"] == pytest.approx(teacher[row].tolist())
    assert given["label"] == labels[row] and given["foods"] == list(CLASSES)
    assert given["starts"] == {"T": 4.0, "alpha": 0.5, "move": 0.0, "pick": 0}
    assert f"raises {CLASSES[labels[row]]}" in given["paragraphs"][0]
    chosen = {one.label: one.value for one in app.selectbox}
    assert chosen["Teacher"] == shelf.TEACHER and chosen["Student"] == shelf.SCRATCH
    bound = [one["name"] for one in chart(app)["params"] if "bind" in one]
    assert bound == ["T", "alpha"]  # a logit is moved by whoever wants to

    assert "Guess, or say" in text(app) and len(chart(app)["layer"]) == 1
    assert len(given["paragraphs"]) == 1
    cold, warm = (
        np.linalg.norm(softmax(student[row], t) - softmax(teacher[row], t)) / t for t in (1, 20)
    )
    nearest = min((1, 20, 400), key=lambda times: abs(math.log(times / (cold / warm))))
    the_guess = next(one for one in app.button_group if "leave T²" in one.label)
    for value, times in (("same", 1), ("twenty", 20), ("hundreds", 400)):
        the_guess.set_value(value).run()
        assert ("Right." if times == nearest else "Not quite.") in text(app)
        assert f"it shrinks {cold / warm:.0f} times" in text(app)
    assert len(chart(app)["layer"]) == 2 and "without T²" in str(chart(app))
    assert "Without T²" in follows(app)["paragraphs"][1]


def test_a_student_that_knows_nothing_is_offered(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    app = open_page("distillation", student="blank")
    assert not app.exception
    assert follows(app)["student"] == [0.0] * 11
    kinds = next(one for one in app.selectbox if one.key == "kind").options
    assert "only the teacher is right" not in kinds  # nothing is compared with it


def test_with_a_teacher_alone_the_student_knows_nothing(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    app = open_page("distillation")
    assert not app.exception
    assert follows(app)["student"] == [0.0] * 11
    assert "None is shipped yet" in text(app)


def test_without_photographs_the_example_is_a_generated_picture(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    fill_dreams()
    app = open_page("distillation", dream_of="Soup")
    assert not app.exception
    assert "made from a teacher's weights, not a photograph), made as **Soup**" in text(app)
    assert len(app.get("image")) == 1 and follows(app)["label"] == CLASSES.index("Soup")


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


def test_a_link_that_moves_a_logit_shows_its_inputs(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("distillation", move="-2", pick="9")
    starts = {one["name"]: one["value"] for one in chart(app)["params"] if "bind" in one}
    assert (
        (starts["move"], starts["pick"])
        == (-2.0, 9)
        == (
            follows(app)["starts"]["move"],
            follows(app)["starts"]["pick"],
        )
    )
    next(one for one in app.toggle if one.key == "moves").set_value(False).run()
    assert follows(app)["starts"]["move"] == 0  # what nobody sees adds nothing
    assert {one["name"]: one["value"] for one in chart(app)["params"]}["move"] == 0


def test_the_function_that_trains_is_shown_after_the_guess(open_page: Open) -> None:
    from core.training.loss import loss_fn_kd

    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    app = open_page("distillation", tab="why")
    assert "This gives the answer away" in text(app) and not app.code
    next(one for one in app.button_group if "leave T²" in one.label).set_value("show").run()
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
    app = open_page("distillation")
    assert "**Distillation helps** in 1 of 1 comparisons" in text(app)
    assert "only one seed (seed 0)" in text(app)
    assert any("distilled, 1 seed: +15.0" in alt for alt in alts(app))


def alts(app: AppTest) -> list[str]:
    return [chart.proto.alt for chart in app.get("vega_lite_chart")]


def test_what_cannot_be_told_apart_is_said(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    publish_answers("scratch", 0, 200, shift=40)
    publish_answers("distilled", 0, 204)
    said = text(open_page("distillation"))
    assert "**Distillation helps** in 0 of 1" in said
    assert "**Not distinguishable** in 1: the interval includes 0." in said


def test_a_recipes_mean_is_shown_and_single_trainings_stand_behind(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    for seed, gain in enumerate((20, 24, 22)):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 200 + gain)
    publish_answers("distilled_weak", 0, 150)
    app = open_page("distillation")
    assert "**Distillation helps** in 1 of 1 comparisons." in text(app)
    (compared,) = compare(load_manifest().values())[0][:1]
    _gain, low, high = compared.interval()
    figures = f"3 seeds: +5.5  ({100 * low:+.1f} to {100 * high:+.1f}) points"
    (alt,) = [one for one in alts(app) if "minus the one from scratch" in one]
    assert figures in alt and "1 seed" not in alt
    assert "only one seed" not in text(app) and not app.dataframe
    app = open_page("distillation", pairs="true")
    (alt,) = [one for one in alts(app) if "minus the one from scratch" in one]
    assert figures in alt and "1 seed: −12.5" in alt
    assert "only one seed (seed 0)" in text(app)
    assert sorted(app.dataframe[0].value["difference"]) == pytest.approx([-12.5, 5.0, 5.5, 6.0])


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
