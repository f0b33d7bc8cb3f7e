"""A compiled chart and its rows: each table once, where its first layer is, nowhere at the top."""

import altair as alt

from core.charts.compiled import compiled, with_rows
from core.charts.theme import finish, layered
from tests.charts import rows_of

ROWS = [{"a": 1, "text": "x"}, {"a": 2, "text": "y"}]


@compiled
def _chart(tables: int) -> alt.LayerChart:
    on = [alt.Chart(alt.NamedData(f"t{n % tables}")).encode(x="a:Q") for n in range(4)]
    layers = [on[0].mark_bar(), on[1].mark_rule(), on[2].mark_text(), on[3].mark_point()]
    chart: alt.LayerChart = finish(layered(*layers), height=100)
    return chart


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
