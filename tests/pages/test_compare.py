"""Compare, from an upload to the table: right numbers, plain words, bad photos among good."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.course import CLASSES
from core.inference.predict import predictor
from core.photos import prepare, read_photo
from tests.food import food_picture, make_food11
from tests.pages import shelf

Open = Callable[..., AppTest]


def jpeg(label: int, seed: int = 7) -> bytes:
    file = io.BytesIO()
    food_picture(label, seed, (96, 80)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def app(open_page: Open) -> AppTest:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    return open_page("compare")


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    app.file_uploader[0].set_value([(name, data, "image/jpeg") for name, data in files])
    return app.run()


def text(app: AppTest) -> str:
    kinds = ("markdown", "success", "warning", "info", "error", "caption")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(app, kind))


def test_without_a_photo_the_page_says_what_to_do(app: AppTest) -> None:
    assert "No photo yet" in app.info[0].value
    assert not app.get("vega_lite_chart")


def test_a_photo_gets_an_answer_from_every_network(app: AppTest) -> None:
    data = jpeg(4)
    upload(app, ("lunch.jpg", data))
    assert not app.exception
    assert len(app.get("vega_lite_chart")) == 3
    table = app.dataframe[0].value
    pixels = prepare(read_photo(data), shelf.PX)[None]
    for network in (shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED):
        logits = predictor(network).logits(pixels)[0].astype(float)
        powers = np.exp(logits - logits.max())
        p = powers / powers.sum()
        row = table[table["checkpoint"] == network].iloc[0]
        assert row["confidence"] == pytest.approx(p.max())
        assert row["first"] == CLASSES[int(p.argmax())]
        assert row["latency_ms"] > 0
    assert table.iloc[0]["first"] == "Fried food"


def test_a_temperature_changes_the_confidence_and_asks_no_network(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(app, ("lunch.jpg", jpeg(4)))
    before = app.dataframe[0].value
    monkeypatch.setattr(
        "pages.kit.photos.predict_photo", lambda *_: pytest.fail("a network was asked again")
    )
    app.slider[0].set_value(8.0).run()
    assert not app.exception
    after = app.dataframe[0].value
    assert (after["confidence"] < before["confidence"]).all()
    assert list(after["first"]) == list(before["first"])
    assert list(after["latency_ms"]) == list(before["latency_ms"])


def test_one_bad_photo_does_not_stop_the_others(app: AppTest) -> None:
    page = b"<!DOCTYPE html><title>no photo</title>"
    upload(app, ("a.jpg", jpeg(1)), ("page.jpg", page), ("empty.jpg", b""), ("b.jpg", jpeg(2)))
    assert not app.exception
    assert len(app.error) == 2
    assert "page.jpg" in app.error[0].value and "web page" in app.error[0].value
    assert len(app.dataframe[0].value) == 2 * 3


def test_too_many_photos_are_cut_and_it_is_said(app: AppTest) -> None:
    upload(app, *((f"{i}.jpg", jpeg(i % 11, i)) for i in range(10)))
    assert "first 8 photos" in app.warning[0].value
    assert app.dataframe[0].value["photo"].nunique() == 8


def test_disagreement_is_said_in_words(app: AppTest) -> None:
    """Somewhere among the classes the worse network is wrong; there the page must say so."""
    upload(app, *((f"{i}.jpg", jpeg(i)) for i in range(8)))
    table = app.dataframe[0].value
    split = table.groupby("photo")["first"].nunique() > 1
    assert split.any() and not split.all()
    said = [one for one in app.warning if "disagree" in one.value]
    assert len(said) == split.sum()
    assert len([one for one in app.success if "All 3 networks" in one.value]) == (~split).sum()
    photo = split.index[split][0]
    for food in table[table["photo"] == photo]["first"].unique():
        assert food in "\n".join(one.value for one in said)
    assert f"agree on {(~split).sum()}" in text(app)


def test_a_guess_stays_beside_the_answer(app: AppTest) -> None:
    guesses = next(one for one in app.button_group if "guess" in one.label)
    guesses.set_value(shelf.SCRATCH)
    upload(app, ("lunch.jpg", jpeg(4)))
    assert re.search(r"You guessed .*scratch", text(app))


def test_an_example_comes_with_its_class(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food")))
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("compare", food="Soup")
    assert "The label says **Soup**" in text(app)
    assert "✓ **right**" in text(app) or "✗ **wrong**" in text(app)
    first = app.subheader[0].value
    next(one for one in app.button if one.label == "Next photo").click()
    app.run()
    assert app.subheader[0].value.split(",")[0] == first.split(",")[0]
    assert not app.exception


def test_an_unlabelled_test_split_gives_validation_examples(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food", layout="course")))
    shelf.fill(shelf.TEACHER)
    app = open_page("compare")
    assert not app.exception
    assert "validation split" in text(app)


def test_the_trap_is_really_run(app: AppTest) -> None:
    app.toggle(key="trap").set_value(True).run()
    assert not app.exception
    assert re.search(r"EfficientNet-Lite0 sees \*\*.+\*\*, \d+", text(app))


def test_the_camera_waits_to_be_switched_on(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    app = open_page("compare", photo_from="camera")
    assert not app.get("camera_input")
    app.toggle(key="camera_on").set_value(True).run()
    assert app.get("camera_input")


def test_two_sessions_share_no_photo(app: AppTest, open_page: Open) -> None:
    upload(app, ("secret.jpg", jpeg(3)))
    assert "secret.jpg" in str(app.subheader[0].value)
    other = open_page("compare")
    assert "secret" not in text(other) + "".join(str(one.value) for one in other.subheader)


def test_photos_are_never_written_to_disk(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = open

    def watched(file: object, mode: str = "r", *args: object, **kwargs: object) -> object:
        if set("wax+") & set(mode):
            opened.append(str(file))
        return real(file, mode, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", watched)
    monkeypatch.setattr("io.open", watched)
    upload(app, ("lunch.jpg", jpeg(4)))
    assert not app.exception and app.dataframe
    assert not opened


def test_accuracies_on_other_photographs_say_which(
    app: AppTest, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "n = 66), Generated colours (not Food-11)"
    assert "n = 66)" in text(app) and said not in text(app)
    other = {"name": "Another set", "fingerprint": "f" * 16}
    monkeypatch.setattr(shelf, "DATA", shelf.DATA.model_copy(update=other))
    shelf.fill(shelf.SCRATCH)
    mixed = text(open_page("compare"))
    assert said in mixed and "n = 66), Another set (not Food-11)" in mixed
    assert "66 test photographs of Another set (not Food-11)" in mixed
