"""Home: the steps to a small network, with whatever dish is here; the other networks; the doors."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core import checkpoints, i18n
from core.charts.numbers import THIN
from core.data.dreams import SHOW_PX
from core.data.find import find_food11
from core.export.stack import STEPS, Answered, Dish, Stack, StackRow, Step
from core.pruning.rows import RowKey
from core.timing import Spread
from tests.dreamers import fill_dreams
from tests.food import make_food11
from tests.pages import shelf
from tests.pages.test_app import Marking, outside, said, tables

Open = Callable[..., AppTest]
SIZES = dict(zip(STEPS, (13_800_000, 1_000_000, 260_000, 600_000, 590_000, 200_000, 150_000),
                 strict=True))  # fmt: skip
TIMES: dict[Step, float] = {"teacher": 6.0, "student": 1.0, "cut": 1.5, "tuned": 1.5}


def save_stack(*dishes: Dish, **changes: Any) -> Stack:
    """A way whose first step is right about every dish, and whose others say Bread."""
    rows = tuple(
        StackRow(
            step=step, format="onnx", size_bytes=SIZES[step], params=1000, macs=10**6,
            latency=Spread(median=TIMES[step], p25=0.9 * TIMES[step], p75=1.1 * TIMES[step], n=9)
            if step in TIMES else None,
            n=1000, correct=800 - 20 * place,
            answers=tuple(Answered(dish.label if not place else 0, 0.75) for dish in dishes),
        )
        for place, step in enumerate(STEPS)
    )  # fmt: skip
    given: dict[str, Any] = {
        "student": shelf.DISTILLED,
        "teacher": shelf.TEACHER,
        "weights_sha256": checkpoints.get(shelf.DISTILLED).weights_sha256,
        "teacher_sha256": checkpoints.get(shelf.TEACHER).weights_sha256,
        "key": RowKey("bn_gamma", 0.25, "narrow", 12),
        "data": "made up", "fingerprint": "0" * 16, "device": "an abacus", "versions": {},
        "commit": "none", "date": "2026-11-22", "dishes": dishes, "rows": rows,
    }  # fmt: skip
    stack = Stack(**given | changes)
    stack.save()
    return stack


def photographs(root: Path, *labels: int) -> list[Dish]:
    index = find_food11(root)
    found = []
    for label in labels:
        place = next(index.files[row] for row in index.of("testing") if index.labels[row] == label)
        sha256 = hashlib.sha256((index.root / place).read_bytes()).hexdigest()
        found.append(Dish(source="photograph", place=place, sha256=sha256, label=label))
    return found


def generated(*labels: int) -> list[Dish]:
    sheets = fill_dreams().of(SHOW_PX)
    assert sheets is not None
    return [
        Dish(source="generated", place=sheet.file, sha256=sheet.sha256, label=sheet.label)
        for sheet in sheets.sheets
        if sheet.label in labels
    ]


@pytest.fixture(autouse=True)
def published(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOOD11_ROOT", raising=False)
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)


def captions(app: AppTest) -> list[str]:
    return [image.caption for block in app.get("image") for image in block.proto.imgs]


def steps(app: AppTest) -> pd.DataFrame:
    """What the story's chart is drawn from."""
    for chart in app.get("vega_lite_chart"):
        spec = json.loads(chart.proto.spec)
        if any(one["name"] == "step" for one in spec.get("params", ())):
            (data,) = chart.proto.datasets
            import pyarrow as pa

            return pa.ipc.open_stream(data.data.data).read_pandas()
    raise AssertionError("no story on the page")


def test_the_story_tells_each_step_by_its_measured_row(open_page: Open) -> None:
    save_stack()
    app = open_page("home")
    assert not app.exception and not app.error
    drawn = steps(app)
    assert list(drawn["step"]) == ["teacher", "student", "tuned", "tuned_8bit"]
    areas = drawn["side"] ** 2  # as the files' bytes
    assert list(areas / areas.iloc[0]) == pytest.approx(
        [SIZES[step] / SIZES["teacher"] for step in drawn["step"]]
    )
    words = [text.replace(THIN, " ") for text in drawn["lines"]]
    assert words[0].split("\n")[:2] == ["6.00 ms a photo", "80.0 % right"]
    assert words[3].split("\n")[0] == "time not measured"
    text = said(app).replace(THIN, " ")
    assert "13.8 MB become 150 KB, 92× smaller" in text
    assert "right on 80.0 % of" in text and "the last on 68.0 %" in text
    assert "*Channels cut* is smaller but slower" in text
    alt = app.get("vega_lite_chart")[0].proto.alt.replace(THIN, " ")
    assert "Teacher, 13.8 MB, 6.00 ms a photo, 80.0 % right" in alt


def test_a_photograph_is_shown_where_it_is_here_and_the_next_by_a_button(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_food11(tmp_path / "food")
    monkeypatch.setenv("FOOD11_ROOT", str(root))
    save_stack(*photographs(root, 9, 0), *generated(4))
    app = open_page("home")
    assert captions(app) == ["A test photograph of Soup."]
    answers = [text.replace(THIN, " ").split("\n")[-1] for text in steps(app)["lines"]]
    assert answers == ["Soup 75 % ✓", *["Bread 75 % ✗"] * 3]
    app.button(key="next_dish").click().run()
    assert captions(app) == ["A test photograph of Bread."]
    assert steps(app)["lines"].iloc[3].endswith("✓")
    assert captions(open_page("home", dish="2")) == ["A test photograph of Soup."]  # round again


def test_without_that_photograph_a_generated_picture_says_what_it_is(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it escapes translation."""
    monkeypatch.setattr(i18n, "_catalogue", lambda *_key: Marking())
    root = make_food11(tmp_path / "food")
    monkeypatch.setenv("FOOD11_ROOT", str(root))
    photo = photographs(root, 9)[0].model_copy(update={"sha256": "0" * 64})  # another data set's
    save_stack(photo, generated(4)[0])
    app = open_page("home")
    assert not app.exception
    (caption,) = captions(app)
    assert "a generated picture (made from a teacher's weights)" in caption
    assert "easy for the teacher" in said(app)
    texts = [app.get("vega_lite_chart")[0].proto.alt, said(app), caption]
    texts += [*steps(app)["head"], *steps(app)["lines"]]
    left = [text for text in texts if re.search(r"[^\W\d_]{3}", outside(text))]
    assert not left, "\n".join(left)


@pytest.mark.parametrize("place", ["../../../etc/hostname", "nowhere.jpg", ""])
def test_without_any_picture_the_story_is_told_all_the_same(open_page: Open, place: str) -> None:
    save_stack(Dish(source="generated", place=place, sha256="0" * 64, label=3))
    app = open_page("home", step="\x00")  # a link to no step
    assert not app.exception and not captions(app)
    assert len(steps(app)) == 4 and begins(app) == "teacher"
    assert not any(mark in "".join(steps(app)["lines"]) for mark in "✓✗")


def begins(app: AppTest) -> str:
    """The step that the story's chart begins with."""
    (parameter,) = json.loads(app.get("vega_lite_chart")[0].proto.spec)["params"]
    return str(parameter["value"])


def test_a_way_that_ended_early_or_had_no_photographs_invents_nothing(open_page: Open) -> None:
    stack = save_stack()
    some = [row.model_copy(update={"n": None, "correct": None}) for row in stack.rows[:2]]
    stack.model_copy(update={"rows": tuple(some)}).save()
    app = open_page("home", step="student")
    assert not app.exception
    drawn = steps(app)
    assert list(drawn["step"]) == ["teacher", "student"] and begins(app) == "student"
    assert all("accuracy not measured" in text for text in drawn["lines"])
    assert "The price" not in said(app)


def test_a_way_of_other_weights_or_damaged_leaves_the_rest_of_the_page(open_page: Open) -> None:
    save_stack(weights_sha256="0" * 64)
    app = open_page("home")
    assert not app.exception and not app.error
    assert len(app.get("vega_lite_chart")) == 1  # all networks
    Stack.path(shelf.DISTILLED).write_text("{")
    app.run()
    assert f"stack-{shelf.DISTILLED}.json" in app.error[0].value
    assert len(app.get("vega_lite_chart")) == 1


def test_every_network_is_in_the_table_and_three_doors_lead_on(open_page: Open) -> None:
    app = open_page("home", tab="networks", cost="size_bytes")
    (table,) = tables(app)
    assert len(table["Network"]) == 3 and list(table)[:2] == ["Network", "Right"]
    assert "EfficientNet-Lite0" in table["Network"][0]
    links = [one.proto.page for one in app.get("page_link")]
    assert [page.removesuffix(".py").split("/")[-1] for page in links[:3]] == [
        "compare", "architecture", "pruning",
    ]  # fmt: skip
