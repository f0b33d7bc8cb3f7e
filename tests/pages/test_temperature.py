"""Temperature: the example is what it is called, and the words use the numbers of the chart."""

import inspect
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.checkpoints import TEST_LOGITS, FileInfo, folder, load_manifest, store
from core.checkpoints import test_logits as stored_logits
from core.course import CLASSES
from core.data import find_food11
from core.data.dreams import load_dreams, tiles
from core.inference.predict import predictor
from core.inference.predict import softmax as real_softmax
from core.photos import prepare, read_photo
from tests.dreamers import fill_dreams
from tests.food import food_picture, make_food11
from tests.pages import shelf

Open = Callable[..., AppTest]


def softmax(logits: np.ndarray, t: float) -> list[float]:
    powers = [math.exp((float(z) - float(logits.max())) / t) for z in logits]
    return [power / sum(powers) for power in powers]


def text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info)
    return "\n".join(str(one.value) for kind in kinds for one in kind)


def chart(app: AppTest) -> dict[str, Any]:
    (drawn,) = app.get("vega_lite_chart")
    return dict(json.loads(drawn.proto.spec))


def follows(app: AppTest) -> dict[str, Any]:
    """What the browser is given to write sentences whose numbers follow the slider."""
    (component,) = [
        one for one in app.get("bidi_component") if "follows_t" in one.proto.component_name
    ]
    return dict(json.loads(component.proto.json))


def the_guess(app: AppTest) -> Any:
    return next(one for one in app.button_group if "which bars grow" in one.label)


def default_row() -> int:
    """A hesitating teacher that is right: the default example where there is no picture."""
    logits, labels = stored_logits(shelf.TEACHER)
    confidence = np.array([max(softmax(one, 1)) for one in logits])
    right = logits.argmax(axis=1) == labels
    return int(min(np.flatnonzero(right), key=lambda i: abs(confidence[i] - 0.75)))


def test_what_answers_the_guess_waits_for_it(open_page: Open) -> None:
    """Before: bars at T = 1, no slider, no curves, nothing in the tabs. A guess, and they come."""
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    drawn = open_page("temperature")
    assert not drawn.exception
    chosen = {one.label: one.value for one in drawn.selectbox}
    assert chosen["Teacher"] == shelf.TEACHER and chosen["Student"] == shelf.DISTILLED
    logits, labels = stored_logits(shelf.TEACHER)
    row, food = default_row(), CLASSES[labels[default_row()]]
    assert f"The label says **{food}**" in text(drawn)
    assert "This gives the answer away" in text(drawn)
    assert not drawn.code and not drawn.latex
    (parameter,) = chart(drawn)["params"]
    assert parameter["name"] == "T" and parameter["value"] == 1 and "bind" not in parameter
    assert not any("mark" in part and part["mark"].get("type") == "line" for part in layers(drawn))
    height_px = chart(drawn)["height"]
    first = follows(drawn)
    (paragraph,) = first["paragraphs"]
    assert f"the teacher gives **{food}** **{{top}}**" in paragraph
    assert first["starts"] == {"T": 1}
    assert first["logits"] == pytest.approx(sorted(logits[row])[::-1])

    before, warm = max(softmax(logits[row], 1)), max(softmax(logits[row], 4))
    numbers = f"shrinks from {before * 100:.0f}\u202f% to {warm * 100:.0f}\u202f%"
    for guess, verdict in (
        ("top", "Not quite."),
        ("small", "Right."),
        ("show", "The short bars grow"),
    ):
        the_guess(drawn).set_value(guess).run()
        assert verdict in text(drawn) and numbers in text(drawn)
        assert the_guess(drawn).value == guess  # it stays drawn
    assert chart(drawn)["params"][0]["bind"]["max"] == 20
    assert chart(drawn)["height"] == height_px  # nothing jumps
    assert any("mark" in part and part["mark"].get("type") == "line" for part in layers(drawn))
    assert "has {second} of what is not" in follows(drawn)["paragraphs"][1]
    # the first tab shows the function that answers
    assert drawn.code[0].value.strip() == inspect.getsource(real_softmax).strip()


def layers(app: AppTest) -> list[dict[str, Any]]:
    return [part for half in chart(app)["layer"] for part in half["layer"]]


@pytest.mark.parametrize(("given", "start"), [("4", 4.0), ("1000", 20.0), ("0", 0.1), ("nan", 1.0)])
def test_a_link_sets_the_slider(open_page: Open, given: str, start: float) -> None:
    """Whoever made it has seen the answer: it stands open. One without a T that can be read is
    a link to the page as it comes."""
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    app = open_page("temperature", T=given)
    (parameter,) = chart(app)["params"]
    assert parameter["value"] == start == follows(app)["starts"]["T"]
    assert ("bind" in parameter) == (given != "nan")


def test_a_tab_is_in_the_link_and_the_homework_is_answered(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("temperature", T="4", tab="homework")
    (question,) = app.radio
    assert "softer or a harder" in question.label and not app.code
    question.set_value("harder").run()
    assert "Not quite.** It is softer." in text(app)
    app.radio[0].set_value("softer").run()
    assert "Right.** It is softer." in text(app) and "e⁴" in text(app)


def test_the_trap_counts_over_the_whole_bank(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("temperature", T="4", tab="trap")
    logits, _labels = stored_logits(shelf.TEACHER)
    sure = sum(max(softmax(one, 1)) > 0.99 for one in logits)
    assert (
        f"On {sure} of {len(logits)} test photographs the teacher is more than 99 % sure"
        in text(app)
    )


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
    assert f"the teacher gives **{top}**" in follows(app)["paragraphs"][0]


def pictures(app: AppTest) -> list[str]:
    return [image.url for block in app.get("image") for image in block.proto.imgs]


def test_without_photographs_the_example_is_a_generated_picture(open_page: Open) -> None:
    """It is on the screen, says what it is, and the networks are asked about that very picture."""
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    fill_dreams()
    app = open_page("temperature", dream_of="Soup")
    assert not app.exception and len(pictures(app)) == 1
    assert "A generated picture (made from a teacher's weights), made as **Soup**" in text(app)
    found = load_dreams()
    assert found is not None
    chosen = found.of(128)
    assert chosen is not None
    for number in range(2):
        tile = tiles(chosen, CLASSES.index("Soup"))[number].transpose(1, 2, 0)
        picture = prepare(Image.fromarray(np.ascontiguousarray(tile)), shelf.PX)
        logits = np.sort(predictor(shelf.TEACHER).logits(picture[None])[0])[::-1]
        assert follows(app)["logits"] == pytest.approx(list(logits), abs=1e-5)
        next(one for one in app.button if one.label == "Next picture").click().run()
    # a link from before there were generated pictures opens what it opened
    app = open_page("temperature", kind="sure")
    assert not pictures(app) and "The label says" in text(app)


def test_a_stored_answer_shows_its_photograph_where_it_is(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photograph and answer are paired by the index's fingerprint; other photographs are not."""
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food")))
    shelf.fill(shelf.TEACHER, shelf.DISTILLED, per_class=1)
    fill_dreams()
    index = find_food11()
    listed = load_manifest()
    rows = index.of("testing")
    labels = index.labels[rows]
    for name in (shelf.TEACHER, shelf.DISTILLED):
        logits = 3 * np.eye(11, dtype=np.float32)[labels]
        answers = safetensors.numpy.save({"logits": logits, "labels": labels.astype(np.int64)})
        files = {key: (folder(name) / key).read_bytes() for key in listed[name].files}
        files[TEST_LOGITS] = answers
        data = listed[name].data.model_copy(update={"fingerprint": index.fingerprint})
        changes = {"data": data, "files": {key: FileInfo.of(one) for key, one in files.items()}}
        store(listed[name].model_copy(update=changes), files)
    app = open_page("temperature")
    assert not app.exception and len(pictures(app)) == 1
    assert f"The label says **{CLASSES[labels[0]]}**" in text(app)
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    app = open_page("temperature")
    assert "made from a teacher's weights" in text(app)
