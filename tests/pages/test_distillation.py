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
from core.distillation.against_scratch import compare
from core.distillation.temperature import examples
from tests.dreamers import fill_dreams
from tests.kd_shelf import publish_answers
from tests.pages import shelf
from tests.pages.test_app import tables

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


def guess_of(app: AppTest) -> Any:
    return next(group for group in app.button_group if "Without T²" in group.label)


def bound(app: AppTest) -> dict[str, float]:
    """The chart's parameters with inputs -> where these begin."""
    return {one["name"]: one["value"] for one in chart(app)["params"] if "bind" in one}


def test_the_page_as_it_comes(open_page: Open) -> None:
    """The words are given the example's logits; what answers the guess waits for it."""
    from core.training.loss import loss_fn_kd

    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    app = open_page("distillation", tab="why")
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
    assert list(bound(app)) == ["T", "alpha"]  # a logit is moved by whoever wants to

    assert len(chart(app)["layer"][1]["layer"]) == 2  # a heading and a question mark
    assert len(given["paragraphs"]) == 1
    assert "This gives the answer away" in text(app) and not app.code
    cold, warm = (
        np.linalg.norm(softmax(student[row], t) - softmax(teacher[row], t)) / t for t in (1, 20)
    )
    nearest = min((1, 20, 400), key=lambda times: abs(math.log(times / (cold / warm))))
    for value, times in (("same", 1), ("twenty", 20), ("hundreds", 400)):
        guess_of(app).set_value(value).run()
        assert ("Right." if times == nearest else "Not quite.") in text(app)
        assert f"For this picture {cold / warm:.0f} times" in text(app)
    assert len(chart(app)["layer"]) == 2 and "without T²" in str(chart(app))
    assert "Without T²" in follows(app)["paragraphs"][1]
    # the function that trains is shown
    assert inspect.getsource(loss_fn_kd).strip() in [one.value.strip() for one in app.code]


def test_a_student_that_knows_nothing_is_offered_and_alone_with_a_teacher(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    fill_dreams()
    app = open_page("distillation", dream_of="Soup")
    assert not app.exception and follows(app)["student"] == [0.0] * 11
    assert "None is shipped yet" in text(app)
    assert "A generated picture (made from a teacher's weights), made as **Soup**" in text(app)
    assert len(app.get("image")) == 1 and follows(app)["label"] == CLASSES.index("Soup")
    shelf.fill(shelf.SCRATCH, shelf.DISTILLED)
    app = open_page("distillation", student="blank", kind="sure", number_sure="2")
    assert not app.exception and follows(app)["student"] == [0.0] * 11
    kinds = next(one for one in app.selectbox if one.key == "kind").options
    assert "only the teacher is right" not in kinds  # nothing is compared with it
    teacher, labels = stored_logits(shelf.TEACHER)
    second = examples(teacher, 0 * teacher, labels)["sure"][1]
    assert follows(app)["teacher"] == pytest.approx(teacher[second].tolist())


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"T": "8", "alpha": "0.3"}, {"T": 8.0, "alpha": 0.3}),
     ({"T": "99", "alpha": "-1"}, {"T": 20.0, "alpha": 0.0}),
     ({"T": "nan", "alpha": "x"}, {"T": 4.0, "alpha": 0.5}),
     ({"move": "-2", "pick": "9"}, {"T": 4.0, "alpha": 0.5, "move": -2.0, "pick": 9})],
)  # fmt: skip
def test_a_link_sets_the_sliders(
    open_page: Open, given: dict[str, str], expected: dict[str, float]
) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("distillation", **given)
    assert bound(app) == expected and follows(app)["starts"] == {"move": 0, "pick": 0} | expected
    if "move" in given:  # what nobody sees adds nothing
        next(one for one in app.toggle if one.key == "moves").set_value(False).run()
        assert follows(app)["starts"]["move"] == 0 and list(bound(app)) == ["T", "alpha"]


def table_row(app: AppTest, start: str) -> list[str]:
    lines = [line for one in app.markdown for line in str(one.value).splitlines()]
    (row,) = [line for line in lines if line.startswith(f"| {start}")]
    return [cell.strip(" *") for cell in row.strip("|").split("|")]


def test_cells_run_on_request_and_give_the_numbers_that_go_wrong(open_page: Open) -> None:
    """Each trap shows both cells as they run; a teacher that cannot be opened is said: the tiny
    shelf's weights fit no network, and the other cells run all the same."""
    from core.distillation import traps

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
    for trap in (*traps.FAILING, "train_mode"):
        next(one for one in app.button_group if one.key == "trap").set_value(trap).run()
        assert not app.exception and "How to notice" in text(app)
        good = "train_mode_fixed" if trap == "train_mode" else "fixed"
        shown = [one.value.strip() for one in app.code]
        for name in (f"{trap}_failing", good):
            assert inspect.getsource(getattr(traps, name)).strip() in shown
        assert trap == "train_mode" or "| Soft loss" in text(app)
    assert any("do not fit the network" in one.value for one in app.warning)


def gains_alt(app: AppTest) -> str:
    alts = [chart.proto.alt for chart in app.get("vega_lite_chart")]
    (alt,) = [alt for alt in alts if "minus the one from scratch" in alt]
    return alt


def test_one_seed_is_called_one_seed_and_other_settings_are_owned_up_to(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    publish_answers("scratch", 0, 200, shift=40)
    publish_answers("distilled", 0, 204)
    app = open_page("distillation")
    assert "**Distillation helps** in 0 of 1" in text(app)
    assert "**Not distinguishable** in 1" in text(app)
    publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 260, config={"seed": 0, "epochs": 90})
    app = open_page("distillation")
    assert "**Distillation helps** in 1 of 1 comparisons" in text(app)
    assert "only one seed (seed 0)" in text(app)
    assert "distilled, 1 seed: +15.0" in gains_alt(app)
    assert "different settings: `epochs`" in text(app)


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
    figures = f"3 seeds: +5.5 ({100 * low:+.1f} to {100 * high:+.1f})"
    assert figures in gains_alt(app) and "1 seed" not in gains_alt(app)
    assert "only one seed" not in text(app) and not tables(app)
    app = open_page("distillation", pairs="true")
    assert figures in gains_alt(app) and "1 seed: −12.5" in gains_alt(app)
    assert "only one seed (seed 0)" in text(app)
    gains = [cell.split(" ")[0] for cell in tables(app)[0]["Difference, points"]]
    assert sorted(gains) == ["+5.0", "+5.5", "+6.0", "−12.5"]


def test_without_stored_answers_the_page_still_opens(open_page: Open, pretrained: Path) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    (pretrained / shelf.TEACHER / TEST_LOGITS).write_bytes(b"spoilt")
    app = open_page("distillation")
    assert not app.exception
    assert shelf.TEACHER in app.error[0].value
