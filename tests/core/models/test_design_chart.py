"""The architecture charts show the table's own sums, each bar with its figure in words."""

import pandas as pd
import pytest

from core.models.design import chart as bars
from core.models.design import chart as parts
from core.models.design.cost import Row, layer_rows, totals
from core.models.design.limits import budgets, years
from core.models.design.plans import describe
from core.models.design.spec import BLOCKS
from pages import architecture as words
from tests.charts import rows_of


def opened(key: str, px: int = 128) -> tuple[list[Row], pd.DataFrame]:
    found = describe(key)
    rows = layer_rows(found.parts, px)
    return rows, parts.parts_frame(rows, found.parts)


@pytest.mark.parametrize(
    "key", ["dwpw_256k", "hw13_residual", "efficientnet_lite0", "efficientnet_lite2"]
)
def test_parts_add_up_to_the_network(key: str) -> None:
    rows, frame = opened(key)
    for name in parts.MEASURES:
        assert frame[name].sum() == getattr(totals(rows), name)
        assert frame[f"{name}_share"].sum() == pytest.approx(1)
    assert frame["part"].is_unique


def test_parts_are_named_by_place_and_output() -> None:
    _rows, frame = opened("dwpw_256k")
    assert frame["part"].tolist() == [
        "stem  16 × 64²", "1.1  32 × 32²", "2.1  64 × 16²", "3.1  128 × 8²", "4.1  256 × 8²",
        "4.2  256 × 8²", "4.3  256 × 8²", "4.4  256 × 8²", "classifier",
    ]  # fmt: skip
    # by hand: depthwise 9 C + C, BatchNorm 2 C, pointwise C C' + C'
    assert frame["params"].tolist()[1] == (9 * 16 + 16) + 32 + (16 * 32 + 32)
    assert frame["params"].tolist()[-1] == 256 * 11 + 11


def test_the_teachers_enlargement_is_a_part_that_only_takes_memory() -> None:
    _rows, frame = opened("efficientnet_lite0")
    assert frame["part"].tolist()[:3] == ["enlarged  3 × 192²", "stem  32 × 96²", "1.1  16 × 96²"]
    first = frame.iloc[0]
    assert (first["params"], first["macs"], first["activation_bytes"]) == (0, 0, 4 * 3 * 192**2)


def test_the_picture_holds_every_part_and_cost() -> None:
    rows, frame = opened("dwpw_256k")
    spec = parts.parts_chart(frame, "scratch")
    drawn = rows_of(spec, "bars")
    assert len(drawn) == 3 * len(frame)
    first = [bar["end"] - bar["start"] for bar in drawn if bar["measure"] == "Parameters"]
    assert first == frame["params_share"].tolist()
    assert rows_of(spec, "heads")[0]["total"] == "256,779"
    again = parts.parts_chart(frame.assign(params_share=0.0), "scratch")
    assert [bar["end"] for bar in drawn] != [bar["end"] for bar in rows_of(again, "bars")]


def test_what_is_guessed_is_not_in_the_picture() -> None:
    rows, frame = opened("dwpw_256k")
    hidden = [bar for bar in rows_of(parts.parts_chart(frame, "scratch", ("params",)), "bars")
              if bar["measure"] == "Parameters"]  # fmt: skip
    assert {bar["end"] for bar in hidden} == {0.0}
    assert {bar["share"] for bar in hidden} == {bar["amount"] for bar in hidden} == {"?"}
    ratios = bars.ratios_frame(totals(rows), totals(opened("plain_2m")[0]))
    table = rows_of(bars.ratio_chart(ratios, "scratch", ("activation_bytes",)))
    assert [row["title"] for row in table if row["ratio"] == 1 and "?" in row["title"]] == [
        "Memory: ?"
    ]
    alt = words.parts_alt("A", frame, totals(rows), ("params",))
    assert "Parameters 256,779;" in alt and "MACs 29.6" in alt
    assert "Memory ?" in words.ratios_alt("A", "B", ratios, ("activation_bytes",))


def test_the_layer_table_is_torchsummarys_with_three_more_columns() -> None:
    rows, _frame = opened("hw13_sample", 224)
    frame = parts.layers_frame(rows, 224)
    last = frame.iloc[-1]
    assert (last["layer"], last["output_shape"], last["params"]) == ("Linear-17", "[-1, 11]", 1111)
    assert last["receptive_field"] == 224 and frame["receptive_field"].iloc[0] == 3
    assert frame["activation_bytes"].iloc[0] == 32 * 222 * 222 * 4


def test_budgets_are_drawn_and_said() -> None:
    rows, _frame = opened("dwpw_256k")
    used = budgets(totals(rows))
    table = pd.DataFrame(rows_of(bars.budget_chart(used)))
    assert table["share"].tolist()[0] == bars.MOST_SHARE  # 257 %: the bar ends, the words do not
    assert table["text"].tolist()[0] == "✗ 256,779, 257\u202f%: over"
    assert table["role"].tolist() == ["wrong", "wrong", "muted", "correct"]
    assert table["text"].tolist()[2].endswith("about that")
    assert words.verdict_words(years(totals(rows))[0]) == (
        "✗ **scores 0**: 256,779, 156,779 over the limit of 100,000"
    )


def test_what_else_besides_8_times_fewer_parameters() -> None:
    (big, _), (small, _) = opened("plain_2m"), opened("dwpw_256k")
    frame = bars.ratios_frame(totals(big), totals(small))
    ratio = dict(zip(frame["measure"], frame["ratio"], strict=True))
    assert bars.ratio_text(ratio["params"]) == "8.4× smaller"
    assert ratio["activation_bytes"] < 1.1 < 6 < ratio["macs"] < 7
    said = " ".join(words.ratios_seen("A", "B", frame))
    assert "do not mean smaller maps" in said and "more layers (1.78× larger)" in said
    drawn = rows_of(bars.ratio_chart(frame, "scratch"))
    assert drawn[0]["title"] == "Parameters: 2,168,203 → 256,779, 8.4× smaller"


@pytest.mark.parametrize(
    ("key", "px", "said"),
    [
        ("hw13_sample", 224, "No part of this network ever sees a whole plate"),
        ("dwpw_256k", 128, "it sees all of it"),
        ("dwpw_256k", 192, "82\u202f% of its area."),
    ],
)
def test_how_far_a_network_sees(key: str, px: int, said: str) -> None:
    rows, frame = opened(key, px)
    lines = words.seen(frame, totals(rows), px)
    assert said in lines[-1]
    halves = words.halves(frame, "params")
    assert sum(halves) == pytest.approx(1)


def test_every_block_has_a_name_and_a_note() -> None:
    assert len({words.block_title(block) for block in BLOCKS}) == len(BLOCKS)
    assert all(words.block_note(block).endswith(".") for block in BLOCKS)
