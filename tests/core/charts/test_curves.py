"""Numbers, tables, shapes, and the general charts."""

import csv
import io
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import i18n
from core.charts import compiled, curves, numbers, tables


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (numbers.count(256779), "256,779"),
        (numbers.percent(0.76586, 1492), "76.6 %"),
        (numbers.percent(0.76586, 66), "77 %"),
        (numbers.interval(0.7437, 0.7866, 1492), "74.4 to 78.7 %"),
        (numbers.share(0.004), "<1 %"),
        (numbers.share(0.0), "0 %"),
        (numbers.share(0.996), ">99 %"),
        (numbers.share(1.0), "100 %"),
        (numbers.share(0.42), "42 %"),
        (numbers.size(999), "999 B"),
        (numbers.size(262_144), "262 KB"),
        (numbers.size(6_812_345), "6.8 MB"),
        (numbers.milliseconds(1.2345), "1.23 ms"),
        (numbers.milliseconds(13.14), "13.1 ms"),
        (numbers.milliseconds(230.4), "230 ms"),
        (numbers.ratio(8.444), "8.4×"),
        (numbers.ratio(127.2), "127×"),
    ],
)
def test_numbers_read_well(shown: str, wanted: str) -> None:
    assert shown.replace(numbers.THIN, " ") == wanted


def test_csv_comes_back_as_it_was_and_runs_nothing() -> None:
    frame = pd.DataFrame({"photo": ["a, b", "=1+1", "@x"], "p": [0.25, -1.0, 3.5]})
    data = tables.to_csv(frame)
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert rows == [["photo", "p"], ["a, b", "0.25"], ["'=1+1", "-1.0"], ["'@x", "3.5"]]


numbers_0_1 = st.floats(0, 1, allow_nan=False)


@given(st.lists(numbers_0_1, min_size=1, max_size=12), st.floats(0, 0.3))
def test_labels_spread_apart_and_stay_near(values: list[float], gap: float) -> None:
    placed = curves.spread(values, gap)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(placed[order]) >= gap - 1e-9)
    # moving apart is a projection: the mean stays, and what was far enough apart does not move
    assert np.isclose(placed.mean(), np.mean(values))
    if np.all(np.diff(np.sort(values)) >= gap):
        assert np.allclose(placed, values)


def accuracies() -> pd.DataFrame:
    """Two curves of which one has a fine-tuned point."""
    return pd.DataFrame(
        {
            "x": [0.0, 1.0, 0.5, 0.0, 1.0],
            "accuracy": [0.8, 0.3, 0.7, 0.8, 0.31],
            "low": 0.2,
            "high": 0.9,
            "n": 1000,
            "series": ["One", "One", "One", "Other", "Other"],
            "role": "pruned",
            "dash": ["m0", "m0", "m0", "m1", "m1"],
            "mark": ["circle", "circle", "circle", "square", "square"],
            "tuned": [False, False, True, False, False],
        }
    )


@pytest.mark.parametrize(("end", "x", "heights"), [("left", 0.0, 0.8), ("right", 1.0, 0.305)])
def test_curves_are_named_where_they_end_and_only_once_they_are_drawn(
    end: Literal["left", "right"], x: float, heights: float
) -> None:
    frame = accuracies()
    hidden = curves.curve_data(
        frame, "x", whole=frame["x"] == 0, reveal=False, gap=0.1, end=end, now=0.5
    )
    assert hidden["curves"]["x"].tolist() == [0, 0] and hidden["tuned"].empty
    assert hidden["ends"].empty and hidden["now"]["x"].tolist() == [0.5]
    shown = curves.curve_data(frame, "x", whole=frame["x"] == 0, reveal=True, gap=0.1, end=end)
    assert len(shown["curves"]) == 4 and shown["tuned"]["x"].tolist() == [0.5]
    ends = shown["ends"]
    assert ends["name"].tolist() == ["● One", "■ Other"] and ends["x"].tolist() == [x, x]
    assert np.ptp(ends["label_at"]) == pytest.approx(0.1)
    assert ends["label_at"].mean() == pytest.approx(heights)
    assert shown["live"].empty and shown["now"].empty


def test_every_mark_of_a_curve_has_a_letter_and_ways_are_told_apart() -> None:
    assert len({curves.GLYPHS[mark] for mark in curves.MARKS}) == len(curves.MARKS)
    assert len({str(dash) for dash in curves.DASHES}) == len(curves.DASHES)


def test_a_shape_is_compiled_once_and_shared_unharmed() -> None:
    built = []

    @compiled.compiled
    def plain(size: int) -> alt.Chart:
        built.append(size)
        return alt.Chart(alt.NamedData("rows")).mark_point(size=size).encode(alt.X("x:Q"))

    first = compiled.with_data(plain(5), rows=pd.DataFrame({"x": [1]}))
    first["mark"]["size"] = 99  # what one session does to its copy
    second = compiled.with_data(plain(size=5), rows=pd.DataFrame({"x": [2]}))
    assert second["mark"]["size"] == 5
    assert list(second["datasets"]["rows"]["x"]) == [2]
    plain(5)
    assert built == [5, 5]  # once for the way it was called first, once by name
    i18n.set_language("zh-Hant")
    try:
        plain(5)
    finally:
        i18n.set_language("en")
    assert len(built) == 3


def test_inlined_data_is_the_charts_own_and_valid_json() -> None:
    """NaN, numpy's numbers and rows of an InlineData, too; long data and what moves as Arrow."""
    import json

    import pyarrow as pa

    @compiled.compiled
    def three() -> Any:
        names = ("few", "now", "many")
        marks = [alt.Chart(alt.NamedData(name)).mark_point().encode(alt.X("x:Q")) for name in names]
        ends = alt.Chart(alt.InlineData(values=[{"x": 0}])).mark_rule().encode(alt.X("x:Q"))
        return alt.layer(*marks, ends)

    few = pd.DataFrame({"x": [0.5, np.nan], "on": [True, False], "n": np.array([3, 4])})
    many = pd.DataFrame({"x": np.arange(compiled.LONG)})
    chart = compiled.with_data(three(), few=few, now=few.head(1), many=many)
    made = compiled.inlined(chart, but=("now",))
    assert {name: type(data) for name, data in made["datasets"].items()} == {
        "now": pa.Table,
        "many": pa.Table,
    }
    assert made["datasets"]["many"].to_pydict() == {"x": list(range(compiled.LONG))}
    spec = json.dumps({**made, "datasets": None}, allow_nan=False)
    first, *_moving, last = json.loads(spec)["layer"]
    assert first["data"]["values"] == [
        {"x": 0.5, "on": True, "n": 3},
        {"x": None, "on": False, "n": 4},
    ]
    assert last["data"]["values"] == [{"x": 0}]
    assert isinstance(chart["datasets"]["few"], pd.DataFrame)  # the filled chart is as it was
