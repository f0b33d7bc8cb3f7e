"""Compare, from an upload to the answers: right numbers, plain words, bad photos among good."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core import checkpoints
from core.charts.numbers import THIN
from core.checkpoints import GRAPH, TEST_LOGITS, WEIGHTS, Checkpoint, DerivedFrom
from core.course import CLASSES
from core.inference import explain
from core.inference.predict import Predictor, predictor
from core.not_food.method import SCORES, Plane
from core.not_food.pictures import KINDS
from core.not_food.rows import PUBLISHED, NotFood, Pictures, Spread, VersionRow
from core.photos import prepare, read_photo
from tests.food import food_picture, make_food11
from tests.pages import shelf

Open = Callable[..., AppTest]


def jpeg(label: int, seed: int = 7) -> bytes:
    file = io.BytesIO()
    food_picture(label, seed, (96, 80)).save(file, "JPEG")
    return file.getvalue()


NETWORKS = [shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED]


@pytest.fixture
def app(open_page: Open) -> AppTest:
    """The page with three networks and all eleven classes in view."""
    shelf.fill(*NETWORKS)
    return open_page("compare", networks=NETWORKS, tab="classes")


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    app.file_uploader[0].set_value([(name, data, "image/jpeg") for name, data in files])
    return app.run()


def text(app: AppTest) -> str:
    kinds = ("markdown", "success", "warning", "info", "error", "caption")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(app, kind))


def captions(app: AppTest) -> list[str]:
    """What stands under the pictures."""
    return [image.caption for block in app.get("image") for image in block.proto.imgs]


def first_choices(app: AppTest) -> list[dict[str, Any]]:
    """The rows of the main picture."""
    spec = json.loads(app.get("vega_lite_chart")[0].proto.spec)
    found: list[dict[str, Any]] = spec["layer"][0]["data"]["values"]
    return found


def test_a_photo_gets_an_answer_from_every_network(
    app: AppTest, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No photo yet" in app.info[0].value and not app.get("vega_lite_chart")
    data = jpeg(4)
    upload(app, ("lunch.jpg", data))
    assert not app.exception
    assert len(app.get("vega_lite_chart")) == 1 + 3
    assert captions(app) == ["lunch.jpg"]
    table = app.dataframe[0].value
    pixels = prepare(read_photo(data), shelf.PX)[None]
    for place, network in enumerate(NETWORKS):
        logits = predictor(network).logits(pixels)[0].astype(float)
        powers = np.exp(logits - logits.max())
        p = powers / powers.sum()
        row = table[table["checkpoint"] == network].iloc[0]
        assert row["confidence"] == pytest.approx(p.max())
        assert row["first"] == CLASSES[int(p.argmax())]
        assert row["latency_ms"] > 0
        drawn = first_choices(app)[place]
        assert drawn["probability"] == pytest.approx(p.max())
        assert CLASSES[int(p.argmax())] in drawn["head"]
        same = row["first"] == table.iloc[0]["first"]
        assert place == 0 or drawn["text"].endswith("agrees" if same else "differs")
    assert table.iloc[0]["first"] == "Fried food"
    other = open_page("compare")  # another session shares no photo
    assert not captions(other) and "lunch.jpg" not in text(other)

    monkeypatch.setattr(
        "pages.kit.photos.predict_photo", lambda *_: pytest.fail("a network was asked again")
    )
    app.slider[0].set_value(8.0).run()
    assert not app.exception
    after = app.dataframe[0].value
    assert (after["confidence"] < table["confidence"]).all()
    assert list(after["first"]) == list(table["first"])
    assert list(after["latency_ms"]) == list(table["latency_ms"])


def test_it_begins_with_teacher_best_student_cut_and_eight_bits(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(*NETWORKS)
    entry, files = checkpoints.read_files(shelf.SCRATCH, GRAPH, WEIGHTS, TEST_LOGITS)
    for id, ratio in (("a_little-s0", 0.25), ("half-s0", 0.48)):
        made = entry.model_copy(
            update={
                "id": id,
                "title": id,
                "config": {"ratio": ratio},
                "derived_from": DerivedFrom(id=shelf.SCRATCH, kind="narrow"),
            }
        )
        checkpoints.store(made, files)

    def eight_bits(one: Checkpoint) -> Predictor:
        found = Predictor(one.id)
        found.checkpoint = one.model_copy(
            update={
                "id": f"{one.id}.onnx-int8",
                "size_bytes": 1234,
                "derived_from": DerivedFrom(id=one.id, kind="quantised"),
            }
        )
        return found

    monkeypatch.setattr("core.export.files.int8_predictor", eight_bits)
    app = upload(open_page("compare"), ("lunch.jpg", jpeg(4)))
    assert not app.exception and not app.error
    heads = [row["head"].replace(THIN, " ").split(":")[0] for row in first_choices(app)]
    assert heads == ["● Teacher", "◆ Student", "▲ Cut by 48 %", "▼ Student, 8 bits"]
    assert app.multiselect[0].value[1] == shelf.DISTILLED  # right more often than from scratch
    assert "1 KB" in first_choices(app)[3]["aside"].replace(THIN, " ")
    assert "networks" not in app.query_params
    ids = [shelf.TEACHER, f"{shelf.DISTILLED}.onnx-int8"]
    app = upload(open_page("compare", networks=ids), ("lunch.jpg", jpeg(4)))
    assert app.multiselect[0].value == ids and len(first_choices(app)) == 2


def test_the_visitor_says_what_it_was_and_the_networks_are_counted(app: AppTest) -> None:
    upload(app, *((f"{i}.jpg", jpeg(i)) for i in range(4)))
    assert "Right so far" not in text(app)
    questions = [one for one in app.selectbox if one.label == "What was it really?"]
    assert len(questions) == 4
    for label, question in enumerate(questions[:3]):
        question.set_value(label)
    app.run()
    table = app.dataframe[0].value
    counts = []
    for network in NETWORKS:
        rows = table[table["checkpoint"] == network].reset_index()
        counts.append(sum(rows["first"][label] == CLASSES[label] for label in range(3)))
    said = next(one.value for one in app.markdown if "Right so far" in one.value)
    assert re.findall(r"(\d) of 3", said) == [str(count) for count in counts]
    upload(app, ("4.jpg", jpeg(4)))  # what was counted stays counted
    app.selectbox[0].set_value(10).run()
    said = next(one.value for one in app.markdown if "Right so far" in one.value)
    assert re.findall(r"(\d) of 4", said) == [str(count) for count in counts]


def test_where_a_network_looks_adds_up_to_its_logit(open_page: Open) -> None:
    shelf.fill(*NETWORKS)
    data = jpeg(4)
    page = upload(open_page("compare", networks=NETWORKS, tab="where"), ("lunch.jpg", data))
    assert not page.exception
    shown = [caption for caption in captions(page) if ":" in caption]
    assert len(shown) == len(NETWORKS)
    for id, caption in zip(NETWORKS, shown, strict=True):
        one = checkpoints.get(id)
        logits = predictor(id).logits(prepare(read_photo(data), one.input_px, one.crop)[None])[0]
        assert CLASSES[logits.argmax()] in caption
        assert caption.endswith(f"{logits.max():.1f}".replace("-", "−"))
    page.selectbox(key="look_for").set_value(CLASSES[7])
    page = page.run()
    assert all(CLASSES[7] in caption for caption in captions(page) if ":" in caption)
    assert "shuffled" not in text(page)
    page.toggle(key="shuffled").set_value(True)
    page = page.run()
    assert "were shuffled" in text(page) and not page.exception


@pytest.mark.parametrize("own", [False, True])
def test_visitors_share_where_networks_look_in_a_picture_of_a_data_set(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """Not in a visitor's own photo."""
    shelf.fill(*NETWORKS)
    food = make_food11(tmp_path / "food", per_class={"training": 1, "validation": 1, "testing": 1})
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    real, explained = explain.explain_photo, []

    def counted(*args: Any) -> explain.Explanation:
        explained.append(args[1].id)
        return real(*args)

    monkeypatch.setattr(explain, "explain_photo", counted)
    shown = []
    for _visitor in range(2):
        page = open_page("compare", networks=NETWORKS, tab="where")
        if own:
            explained.clear()
            upload(page, ("lunch.jpg", jpeg(4)))
        assert not page.exception
        shown.append([caption for caption in captions(page) if ":" in caption])
        if own:
            assert explained == NETWORKS
    assert shown[0] == shown[1] and len(shown[0]) == len(NETWORKS) and explained == NETWORKS


def keep_limit(id: str, limit: float, flags: str = "10") -> None:
    """A results file of a network: its features lie on the grey line, `limit` away at most."""
    checkpoint = checkpoints.get(id)
    found = Pictures(flags=flags, unsure=dict.fromkeys(SCORES, flags.count("1")), confidence=0.5)
    spread = Spread(low=0, high=1, food=(3, 1), other=(1, 1))
    row = VersionRow(
        version=PUBLISHED, limits=dict.fromkeys(SCORES, limit), n_validation=20, n=4, correct=2,
        alarms=dict.fromkeys(SCORES, 1), unsure=(2,), unsure_correct=0, confidence=0.8,
        pictures=dict.fromkeys(KINDS, found), spreads=dict.fromkeys(SCORES, spread),
    )  # fmt: skip
    grey = Plane(np.zeros(3, np.float32), np.full((1, 3), 3**-0.5, np.float32))
    NotFood(
        checkpoint=id, weights_sha256=checkpoint.weights_sha256, data="made", fingerprint="f",
        device="a test", versions={}, commit="", date="", plane=grey.text, n_training=9,
        rows=(row,),
    ).save()  # fmt: skip


def test_an_answer_beyond_the_limit_is_shown_as_unsure_and_never_hidden(open_page: Open) -> None:
    shelf.fill(*NETWORKS)
    keep_limit(shelf.TEACHER, 0.01)
    keep_limit(shelf.SCRATCH, 10)
    data = jpeg(4)
    app = upload(open_page("compare", networks=NETWORKS), ("lunch.jpg", data))
    assert not app.exception
    teacher, scratch, unmeasured = first_choices(app)
    assert "unsure" in teacher["text"] and teacher["probability"] > 0 and ":" in teacher["head"]
    assert "unsure" not in scratch["text"] + unmeasured["text"]
    colour = prepare(read_photo(data), shelf.PX).mean((1, 2)) / 255
    off_grey = np.linalg.norm(colour - colour.mean())  # the part across the grey line
    said = re.search(r"may not be food\*\*, say (.+) \(score ([\d.]+)\)", text(app))
    assert said and float(said[2]) == pytest.approx(off_grey / 0.01, rel=5e-3)
    assert said[1].count("Student") == 0
    two = upload(app, ("a.jpg", data), ("b.jpg", jpeg(7)))
    assert text(two).count("· unsure") == 2

    app = open_page("compare", networks=NETWORKS, made="invoice", made_number="3", rates="true")
    assert not app.exception and "Invoice (4)" in captions(app)
    lines = [line for one in app.markdown for line in one.value.split("  \n") if "score" in line]
    assert [line[0] for line in lines] == ["●", "■"]  # of the third nobody has measured a limit
    assert lines[0].endswith("**unsure**") and "unsure" not in lines[1]
    assert text(app).count("is unsure about 50") == 2  # 8 of 16 made pictures, by two networks
    assert "25" in text(app)  # one of four photographs, wrongly
    app.segmented_control(key="score").set_value("energy").run()
    assert not app.exception and len(app.get("vega_lite_chart")) == 2
    NotFood.path(shelf.TEACHER).write_bytes(b"{")  # damaged: the answers stand all the same
    app = upload(open_page("compare", networks=NETWORKS, rates="true"), ("lunch.jpg", data))
    assert not app.exception and len(first_choices(app)) == 3
    assert "unsure" not in first_choices(app)[0]["text"] and "cannot be read" in app.error[0].value


def test_one_bad_photo_does_not_stop_the_others_and_too_many_are_cut(app: AppTest) -> None:
    page = b"<!DOCTYPE html><title>no photo</title>"
    good = [(f"{i}.jpg", jpeg(i % 11, i)) for i in range(8)]
    upload(app, ("page.jpg", page), ("empty.jpg", b""), *good)
    assert not app.exception
    assert len(app.error) == 2
    assert "page.jpg" in app.error[0].value and "web page" in app.error[0].value
    assert "first 8 photos" in app.warning[0].value
    assert app.dataframe[0].value["photo"].nunique() == 6


def test_disagreement_is_said_in_words(app: AppTest) -> None:
    """Somewhere among the classes the worse network is wrong; there the page must say so."""
    upload(app, *((f"{i}.jpg", jpeg(i)) for i in range(8)))
    table = app.dataframe[0].value
    split = table.groupby("photo")["first"].nunique() > 1
    assert split.any() and not split.all()
    assert f"agree on {(~split).sum()}" in text(app)
    assert captions(app) == [f"{i}.jpg" for i in range(8)]
    apart, together = (int(split.index[which][0].removesuffix(".jpg")) for which in (split, ~split))
    upload(app, ("apart.jpg", jpeg(apart)))
    assert "The networks disagree" in text(app)
    for food in table[table["photo"] == f"{apart}.jpg"]["first"].unique():
        assert f"**{food}**: " in text(app)
    upload(app, ("together.jpg", jpeg(together)))
    assert f"All 3 networks see **{CLASSES[together]}**" in text(app)


def test_an_example_comes_with_its_class(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food")))
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("compare", food="Soup")
    assert "The label says **Soup**" in text(app)
    assert all(re.search("[✓✗]$", row["head"]) for row in first_choices(app))
    assert "Right so far" not in text(app)  # of a single photo, its marks say it
    assert not [one for one in app.selectbox if "really" in one.label]
    assert captions(app) == ["Soup, example 1"]
    next(one for one in app.button if one.label == "Next photo").click()
    app.run()
    assert captions(app)[0].startswith("Soup, example")
    next(one for one in app.selectbox if one.label == "Class").set_value("Rice").run()
    assert "Right so far" in text(app)
    assert not app.exception


def test_an_unlabelled_test_split_gives_validation_examples(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food", layout="course")))
    shelf.fill(shelf.TEACHER)
    app = open_page("compare", trap="true")
    assert not app.exception
    assert "validation split" in text(app)
    assert re.search(r"Teacher: \*\*.+\*\*, \d+", text(app))  # an older link's trap is really run
    assert "Random dots (1)" in captions(app)
    camera = open_page("compare", photo_from="camera")
    assert not camera.get("camera_input")  # it waits to be switched on
    camera.toggle(key="camera_on").set_value(True).run()
    assert camera.get("camera_input")


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
    assert "lab_report" not in app.session_state or not app.session_state["lab_report"].measured
    app.button("photo_report").click().run()
    (kept,) = app.session_state["lab_report"].measured
    small = Image.open(io.BytesIO(base64.b64decode(kept.picture)))
    assert max(small.size) <= 128 and not small.getexif() and not opened
    assert kept.settings == {"photo": "lunch.jpg"} and kept.result.count("; ") == 2
    assert app.button("photo_report").disabled


def test_accuracies_on_other_photographs_say_which(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(*NETWORKS)
    said = "n = 66), Generated colours (not Food-11)"
    plain = text(open_page("compare", networks=NETWORKS, tab="homework"))
    assert "n = 66)" in plain and said not in plain
    other = {"name": "Another set", "fingerprint": "f" * 16}
    monkeypatch.setattr(shelf, "DATA", shelf.DATA.model_copy(update=other))
    shelf.fill(shelf.SCRATCH)
    mixed = text(open_page("compare", networks=NETWORKS, tab="homework"))
    assert said in mixed and "n = 66), Another set (not Food-11)" in mixed
    assert "66 test photographs of Another set (not Food-11)" in mixed


def test_a_picture_of_a_data_set_is_asked_about_once_for_all_visitors(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food")))
    shelf.fill(*NETWORKS)
    first = first_choices(open_page("compare", food="Egg"))
    with monkeypatch.context() as patch:
        patch.setattr(
            "pages.kit.photos.predict_photo", lambda *_: pytest.fail("a network was asked again")
        )
        other = open_page("compare", food="Egg")
        assert not other.exception and first_choices(other) == first
    shelf.NOISE[shelf.DISTILLED], kept = 3.0, shelf.NOISE[shelf.DISTILLED]
    shelf.fill(shelf.DISTILLED)  # published anew: another network
    shelf.NOISE[shelf.DISTILLED] = kept
    again = open_page("compare", food="Egg", networks=NETWORKS)
    assert not again.exception
    assert first_choices(again)[2]["probability"] != pytest.approx(first[1]["probability"])
