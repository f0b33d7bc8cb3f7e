"""The architecture charts show the table's own sums, each bar with its figure in words."""

from typing import Any

import pandas as pd
import pytest

from core.models.design import chart
from core.models.design.cost import Row, layer_rows, totals
from core.models.design.limits import budgets
from core.models.design.plans import describe
from pages import architecture as page
from tests.charts import rows_of


def opened(key: str, px: int = 128) -> tuple[list[Row], list[dict[str, Any]]]:
    network = describe(key)
    rows = layer_rows(network.parts, px)
    return rows, chart.part_rows(rows, network.parts)


def test_parts_add_up_to_the_network_and_are_named_by_place_and_output() -> None:
    for key in ("dwpw_256k", "hw13_residual", "efficientnet_lite2"):
        rows, parts = opened(key)
        for name in chart.MEASURES:
            assert sum(part[name] for part in parts) == getattr(totals(rows), name)
            assert sum(part[f"{name}_share"] for part in parts) == pytest.approx(1)
        assert len({part["part"] for part in parts}) == len(parts)
    parts = opened("dwpw_256k")[1]
    assert [part["part"] for part in parts] == [
        "stem  16 × 64²", "1.1  32 × 32²", "2.1  64 × 16²", "3.1  128 × 8²", "4.1  256 × 8²",
        "4.2  256 × 8²", "4.3  256 × 8²", "4.4  256 × 8²", "classifier",
    ]  # fmt: skip
    # by hand: depthwise 9 C + C, BatchNorm 2 C, pointwise C C' + C'
    assert parts[1]["params"] == (9 * 16 + 16) + 32 + (16 * 32 + 32)
    assert parts[-1]["params"] == 256 * 11 + 11


def test_the_teachers_enlargement_is_a_part_that_only_takes_memory() -> None:
    parts = opened("efficientnet_lite0")[1]
    assert [part["part"] for part in parts[:2]] == ["enlarged  3 × 192²", "stem  32 × 96²"]
    costs = [parts[0][name] for name in chart.MEASURES]
    assert costs == [0, 0, 4 * 3 * 192**2]


def test_the_picture_holds_every_part_and_cost() -> None:
    parts = opened("dwpw_256k")[1]
    spec = chart.parts_chart(parts, "scratch")
    bars = rows_of(spec, "bars")
    assert len(bars) == 3 * len(parts)
    drawn = [bar["end"] - bar["start"] for bar in bars if bar["measure"] == "Parameters"]
    assert drawn == [part["params_share"] for part in parts]
    assert rows_of(spec, "heads")[0]["total"] == "256,779"
    assert spec["height"] > chart.parts_chart(parts[1:], "scratch")["height"]


def test_what_is_guessed_is_not_in_the_picture() -> None:
    rows, parts = opened("dwpw_256k")
    hidden = [bar for bar in rows_of(chart.parts_chart(parts, "scratch", ("params",)), "bars")
              if bar["measure"] == "Parameters"]  # fmt: skip
    assert {bar["end"] for bar in hidden} == {0.0}
    assert {bar["share"] for bar in hidden} == {bar["amount"] for bar in hidden} == {"?"}
    ratios = chart.ratio_rows(totals(rows), totals(opened("plain_2m")[0]))
    table = rows_of(chart.ratio_chart(ratios, "scratch", ("activation_bytes",)))
    assert [row["title"] for row in table if row["value"] == 1 and "?" in row["title"]] == [
        "Memory: ?"
    ]
    alt = page.parts_alt("A", parts, ("params",))
    assert "Parameters 256,779;" in alt and "MACs 29.6" in alt
    assert "Memory ?" in page.ratios_alt("A", "B", ratios, ("activation_bytes",))


def test_the_layer_table_is_torchsummarys_with_three_more_columns() -> None:
    rows = opened("hw13_sample", 224)[0]
    table = chart.layer_columns(rows, 224).to_pylist()
    last = table[-1]
    assert (last["layer"], last["output_shape"], last["params"]) == ("Linear-17", "[-1, 11]", 1111)
    assert last["receptive_field"] == 224 and table[0]["receptive_field"] == 3
    assert table[0]["output_kb"] == 32 * 222 * 222 * 4 / 1000
    assert "params" not in chart.layer_columns(rows, 224, with_params=False).column_names


def test_budgets_are_drawn_in_words_and_bars() -> None:
    used = budgets(totals(opened("dwpw_256k")[0]))
    table = pd.DataFrame(rows_of(chart.budget_chart(used)))
    assert table["value"].tolist()[0] == chart.MOST_SHARE  # 257 %: the bar ends, the words do not
    assert table["text"].tolist()[0] == "✗ 256,779, 257\u202f%: over, scores 0"
    assert table["role"].tolist() == ["wrong", "wrong", "muted", "correct"]
    assert table["text"].tolist()[2].endswith("about that")


def test_what_else_besides_8_times_fewer_parameters() -> None:
    (big, _), (small, _) = opened("plain_2m"), opened("dwpw_256k")
    ratios = chart.ratio_rows(totals(big), totals(small))
    ratio = {row["measure"]: row["ratio"] for row in ratios}
    assert chart.ratio_text(ratio["params"]) == "8.4× smaller"
    assert ratio["activation_bytes"] < 1.1 < 6 < ratio["macs"] < 7
    words = " ".join(page.ratios_seen("A", "B", ratio))
    assert "do not mean smaller maps" in words and "more layers (1.78× larger)" in words
    drawn = rows_of(chart.ratio_chart(ratios, "scratch"))
    assert drawn[0]["title"] == "Parameters: 2,168,203 → 256,779, 8.4× smaller"


@pytest.mark.parametrize(
    ("key", "px", "words"),
    [
        ("hw13_sample", 224, "No value sees a whole plate"),
        ("dwpw_256k", 128, "174 × 174 px of the photo, more than its 128 × 128."),
        ("dwpw_256k", 192, "82\u202f% of its area."),
    ],
)
def test_how_far_a_network_sees(key: str, px: int, words: str) -> None:
    rows, parts = opened(key, px)
    assert words in page.parts_seen(parts, totals(rows), px)[-1]
    assert sum(page.halves(parts, "params")) == pytest.approx(1)
