"""Temperature: the example is what it is called, and the words use the numbers of the chart."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.checkpoints import test_logits as stored_logits
from core.course import CLASSES
from core.inference.predict import predictor
from core.photos import prepare, read_photo
from tests.food import food_picture, make_food11
from tests.pages import shelf

Open = Callable[..., AppTest]


@pytest.fixture
def app(open_page: Open) -> AppTest:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    return open_page("temperature")


def softmax(logits: np.ndarray, t: float) -> list[float]:
    powers = [math.exp((float(z) - float(logits.max())) / t) for z in logits]
    return [power / sum(powers) for power in powers]


def text(app: AppTest) -> str:
    return "\n".join(str(one.value) for kind in (app.markdown, app.caption) for one in kind)


def test_the_default_example_is_a_hesitating_teacher_that_is_right(app: AppTest) -> None:
    logits, labels = stored_logits(shelf.TEACHER)
    confidence = np.array([max(softmax(one, 1)) for one in logits])
    right = logits.argmax(axis=1) == labels
    row = min(np.flatnonzero(right), key=lambda i: abs(confidence[i] - 0.75))
    food = CLASSES[labels[row]]
    assert f"The label says **{food}**" in text(app)
    soft = max(softmax(logits[row], 4))
    assert (
        f"**{food}** {confidence[row] * 100:.0f}\u202f%, at T = 4 only {soft * 100:.0f}\u202f%"
        in text(app)
    )


def test_teacher_and_student_are_chosen_by_role(app: AppTest) -> None:
    chosen = {one.label: one.value for one in app.selectbox}
    assert chosen["Teacher"] == shelf.TEACHER
    assert chosen["Student"] == shelf.DISTILLED


def test_a_guess_is_answered(app: AppTest) -> None:
    guess = next(one for one in app.button_group if "which bars grow" in one.label)
    assert "Make a guess" in text(app)
    guess.set_value("top")
    app.run()
    assert "Look again." in text(app) and "Make a guess" not in text(app)
    next(one for one in app.button_group if "which bars grow" in one.label).set_value("small")
    app.run()
    assert "Right: the short bars grow." in text(app)


def test_the_homework_question_is_answered_and_explained(app: AppTest) -> None:
    (question,) = app.radio
    assert "softer or a harder" in question.label
    question.set_value("harder").run()
    assert "No: softer." in text(app)
    app.radio[0].set_value("softer").run()
    assert "Yes, softer." in text(app) and "e⁴" in text(app)


def test_the_function_that_computes_is_shown(app: AppTest) -> None:
    import inspect

    from core.inference.predict import softmax as real

    assert app.code[0].value.strip() == inspect.getsource(real).strip()


def test_the_trap_counts_over_the_whole_bank(app: AppTest) -> None:
    logits, _labels = stored_logits(shelf.TEACHER)
    sure = sum(max(softmax(one, 1)) > 0.99 for one in logits)
    assert (
        f"On {sure} of {len(logits)} test photographs the teacher is more than 99 % sure"
        in text(app)
    )


@pytest.mark.parametrize(("given", "start"), [("4", 4.0), ("1000", 20.0), ("0", 0.1), ("nan", 1.0)])
def test_a_link_sets_the_slider(open_page: Open, given: str, start: float) -> None:
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    app = open_page("temperature", T=given)
    spec = app.get("vega_lite_chart")[0].proto.spec
    assert f'"value": {start}' in spec.replace('"value":', '"value": ').replace("  ", " ")


def test_networks_measured_on_different_pictures_are_not_mixed(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    shelf.fill(shelf.DISTILLED, per_class=3)
    app = open_page("temperature")
    assert not app.exception
    assert "not measured on the same pictures" in app.info[0].value


def test_one_network_alone_is_enough(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    app = open_page("temperature")
    assert not app.exception
    assert len(app.get("vega_lite_chart")) == 1


def test_a_photo_can_be_the_example(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food")))
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    app = open_page("temperature", answers_to="photo", food="Egg")
    assert not app.exception
    assert "The label says **Egg**" in text(app)
    file = io.BytesIO()
    food_picture(9, 3, (60, 60)).save(file, "PNG")
    app.file_uploader[0].set_value(("soup.png", file.getvalue(), "image/png"))
    app.run()
    assert not app.exception
    assert "The label says" not in text(app)  # nobody knows what an upload is
    logits = predictor(shelf.TEACHER).logits(prepare(read_photo(file.getvalue()), shelf.PX)[None])
    top = CLASSES[int(logits[0].argmax())]
    assert f"the teacher gives **{top}**" in text(app)
