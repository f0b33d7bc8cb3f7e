"""Rates and changes against counts by hand, and charts that hold them."""

import numpy as np
import pytest

from core.not_food.chart import FOOD, Network, changes, rates, rates_chart, spread_chart
from core.not_food.method import SCORES
from core.not_food.pictures import KINDS
from core.not_food.rows import OTHERS, Pictures, Spread, VersionRow
from core.stats import wilson


def row(version: str, flags: str, unsure: tuple[int, ...]) -> VersionRow:
    found = Pictures(flags=flags, unsure=dict.fromkeys(SCORES, flags.count("1")), confidence=0.5)
    return VersionRow(
        version=version, limits=dict.fromkeys(SCORES, 0.5), n_validation=20, n=40, correct=30,
        alarms=dict.fromkeys(SCORES, len(unsure)), unsure=unsure, unsure_correct=0, confidence=0.8,
        pictures=dict.fromkeys((*KINDS, OTHERS), found),
        spreads=dict.fromkeys(SCORES, Spread(low=-1, high=1, food=(30, 10), other=(1, 3))),
    )  # fmt: skip


WHOLE, CUT = row("published", "1100", (0, 5)), row("int8", "1000", (5, 6, 7))


def test_rates_are_counts_with_wilsons_interval() -> None:
    networks = [Network("Whole", "distilled", WHOLE), Network("8 bits", "quantised", CUT)]
    frame = rates(networks)
    assert len(frame) == 2 * (1 + len(KINDS) + 1)
    food = frame[(frame["kind"] == FOOD) & (frame["network"] == "8 bits")].iloc[0]
    assert (food["unsure"], food["n"], food["rate"]) == (3, 40, 3 / 40)
    assert (food["low"], food["high"]) == wilson(3, 40)
    spec = rates_chart(frame)
    drawn = spec["layer"][0]["data"]["values"]
    assert [each["rate"] for each in drawn] == frame["rate"].tolist()
    assert spec["height"] == 44 * (2 + len(KINDS))


def test_changes_are_paired() -> None:
    got = changes(WHOLE, CUT)
    difference, low, high = got["made"]
    assert difference == pytest.approx(-1 / 4) and low < -1 / 4 < high < 0
    assert got[FOOD][0] == pytest.approx(1 / 40)


@pytest.mark.parametrize("score", SCORES)
def test_a_spread_is_drawn_with_its_limit(score: str) -> None:
    spec = spread_chart(Network("Whole", "distilled", WHOLE), score)  # type: ignore[arg-type]
    bars = spec["layer"][0]["data"]["values"]
    assert np.isclose([bar["share"] for bar in bars], [0.75, 0.25, 0.25, 0.75]).all()
    assert [bar["from"] for bar in bars] == [-1, 0, -1, 0]
    assert spec["layer"][1]["data"]["values"] == [{"limit": 0.5}]
