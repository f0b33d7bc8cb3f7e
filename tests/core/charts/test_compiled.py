"""A compiled chart and its rows: each table once, where its first layer is, nowhere at the top."""

import time
from concurrent.futures import ThreadPoolExecutor

import altair as alt
import pytest
from altair.utils import schemapi

from core.charts.compiled import compiled, with_rows
from core.charts.theme import finish, layered
from tests.charts import rows_of

ROWS = [{"a": 1, "text": "x"}, {"a": 2, "text": "y"}]


def _of_one_layer(height: int) -> alt.LayerChart:
    bars = alt.Chart(alt.NamedData("t0")).mark_bar().encode(x="a:Q")
    chart: alt.LayerChart = finish(layered(bars), height=height)
    return chart


@compiled
def _chart(tables: int) -> alt.LayerChart:
    on = [alt.Chart(alt.NamedData(f"t{n % tables}")).encode(x="a:Q") for n in range(4)]
    layers = [on[0].mark_bar(), on[1].mark_rule(), on[2].mark_text(), on[3].mark_point()]
    chart: alt.LayerChart = finish(layered(*layers), height=100)
    return chart


def test_visitors_who_come_at_once_share_one_compilation() -> None:
    made: list[int] = []

    @compiled
    def chart(height: int) -> alt.LayerChart:
        made.append(height)
        time.sleep(0.05)
        return _of_one_layer(height)

    with ThreadPoolExecutor(8) as visitors:
        specs = list(visitors.map(chart, [100] * 8 + [101] * 8))
    assert sorted(made) == [100, 101]
    assert {id(spec) for spec in specs} == {id(chart(100)), id(chart(101))}


def test_a_chart_is_the_same_with_and_without_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = []
    for validate in (True, False):
        monkeypatch.setattr("core.charts.compiled._validate", validate)
        specs.append(compiled(_of_one_layer)(100))
    assert specs[0] == specs[1]
    monkeypatch.setattr("core.charts.compiled._validate", True)
    with pytest.raises(schemapi.SchemaValidationError):  # the tests' own setting: a slip is found
        compiled(lambda: alt.Chart(alt.NamedData("a")).mark_bar(clip="x"))()  # type: ignore[arg-type]


def test_rows_stand_once_in_the_layers_and_the_shared_chart_stays_as_it_was() -> None:
    for tables in (1, 2):
        before = repr(_chart(tables))
        spec = with_rows(_chart(tables), **{f"t{n}": ROWS[n:] for n in range(tables)})
        assert "data" not in spec and "datasets" not in spec  # Streamlit would make tables of them
        for n in range(tables):
            assert rows_of(spec, f"t{n}") == ROWS[n:]
        named = [layer["data"]["name"] for layer in spec["layer"]]
        assert named == [f"t{n % tables}" for n in range(4)]
        assert repr(_chart(tables)) == before
