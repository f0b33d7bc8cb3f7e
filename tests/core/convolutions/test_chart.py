"""The convolution calculator's pictures and words: what is drawn is what is counted."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.charts import numbers
from core.charts.numbers import short_count
from core.convolutions.chart import (
    MOST,
    MOST_GROUPS,
    QUANTITIES,
    RULES,
    Column,
    Wiring,
    cost_chart,
    cost_frame,
    formula,
    note,
    picture,
    share_text,
    time_text,
    timing_chart,
    timing_frame,
    wiring_chart,
)
from core.convolutions.method import KINDS, ConvSetting, Kind, compare, rule_of_thumb
from core.convolutions.timing import ConvTimings
from core.timing import Timing
from pages import convolutions as conv_words
from tests.charts import rows_of


@st.composite
def a_setting(draw: st.DrawFn) -> ConvSetting:
    groups = draw(st.integers(1, 40))
    kernel = draw(st.integers(1, 11))
    return ConvSetting(
        in_channels=groups * draw(st.integers(1, 12)),
        out_channels=groups * draw(st.integers(1, 12)),
        kernel_size=kernel,
        stride=draw(st.integers(1, 4)),
        padding=draw(st.integers(0, 5)),
        groups=groups,
        bias=draw(st.booleans()),
        map_size=draw(st.integers(kernel, 224)),
        rank=draw(st.integers(1, 500)),
    )


def evaluate(latex: str) -> float:
    """What a filled-in sum gives when it is worked out, by Python."""
    plain = latex.replace("{,}", "").replace(r"\cdot", "*").replace("^", "**")
    plain = plain.replace(r"\big", "")
    assert re.fullmatch(r"[\d\s()*/+.]+", plain), latex
    return float(eval(plain))


@settings(max_examples=100, deadline=None)
@given(a_setting())
def test_each_sum_gives_the_result_it_states(setting: ConvSetting) -> None:
    for cost in compare(setting).values():
        for quantity in QUANTITIES:
            sums = formula(quantity, cost, setting).numbers
            left, sign, right = re.split(r"(=|\\approx)", sums)
            counted = getattr(cost, quantity) if quantity != "intensity" else cost.intensity()
            if sign == "=":
                assert evaluate(left) == evaluate(right) == counted
            else:
                assert evaluate(left) == pytest.approx(counted, rel=1e-9)
                assert evaluate(right) == pytest.approx(counted, abs=0.051)


@settings(max_examples=50, deadline=None)
@given(a_setting())
def test_each_rule_of_thumb_says_what_is_computed(setting: ConvSetting) -> None:
    letters = {
        r"C_\text{in}": setting.in_channels,
        r"C_\text{out}": setting.out_channels,
        "k": setting.kernel_size,
        "g": setting.groups,
        "R": setting.rank,
    }
    for kind in KINDS:
        filled = RULES[kind].replace(r"\,/\,", "/").replace(r"\,", r" \cdot ")
        for letter, value in letters.items():
            filled = filled.replace(letter, str(value))
        assert evaluate(filled) == pytest.approx(rule_of_thumb(kind, setting))


def test_symbols_and_numbers_have_the_same_form() -> None:
    setting = ConvSetting()
    for cost in compare(setting).values():
        for quantity in ("params", "macs"):
            sums = formula(quantity, cost, setting)
            assert sums.symbols.count("+") == sums.numbers.count("+")
    unbiased = replace(setting, bias=False)
    assert formula("params", compare(unbiased)["standard"], unbiased).numbers.count("+") == 0


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (short_count(18_874_368), "18.9 M"),
        (short_count(604_000_000), "604 M"),
        (short_count(2_400_000_000), "2.4 G"),
        (short_count(73_856), "74 k"),
        (short_count(2097), "2,097"),
        (share_text(0.125), "12.5 %"),
        (share_text(0.0039), "0.39 %"),
        (share_text(1.0), "100 %"),
        (share_text(1.5), "150 %"),
        (share_text(12.5), "1,250 %"),
        (time_text(0.4834), "48 %"),
    ],
)
def test_figures_read_well(shown: str, wanted: str) -> None:
    assert shown.replace(numbers.THIN, " ") == wanted


def bars(spec: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows_of(spec))


def share_domain(spec: dict) -> list[float]:
    found = [layer["encoding"]["x"]["scale"]["domain"] for layer in spec["layer"] if
             "scale" in layer["encoding"]["x"]]  # fmt: skip
    assert all(domain == found[0] for domain in found)
    domain: list[float] = found[0]
    return domain


def test_bars_are_shares_of_the_standard_layer() -> None:
    setting = ConvSetting()
    frame = cost_frame(compare(setting), setting)
    rows = bars(cost_chart(frame, "params"))
    assert rows["share"].tolist() == pytest.approx([1, 9344 / 73856, 8960 / 73856, 27776 / 73856])
    assert rows["text"].iloc[0] == "73,856"
    assert "8,960" in rows["text"].iloc[2]
    assert (rows["guess"] == 0).all()


def test_the_axis_stays_until_a_bar_needs_more() -> None:
    domains = []
    for rank in (1, 48, 96, 192, 400):
        setting = ConvSetting(rank=rank)
        frame = cost_frame(compare(setting), setting)
        spec = cost_chart(frame, "params")
        assert bars(spec)["share"].max() <= share_domain(spec)[1]
        domains.append(share_domain(spec)[1])
    assert domains[0] == domains[1] == domains[2]
    assert domains[3] > domains[2]
    assert domains[4] > domains[3]


def test_a_guess_is_drawn_beside_its_answer() -> None:
    setting = ConvSetting()
    frame = cost_frame(compare(setting), setting)
    rows = bars(cost_chart(frame, "params", guess=0.5))
    assert rows["guess"].tolist() == [0, 0, 0.5, 0]
    assert "50" in rows["text"].iloc[2]
    assert rows["label_at"].iloc[2] == 0.5


@settings(max_examples=30, deadline=None)
@given(a_setting())
def test_a_hidden_bar_gives_nothing_away(setting: ConvSetting) -> None:
    hidden_kind: Kind = "separable"
    frame = cost_frame(compare(setting), setting)
    for quantity in QUANTITIES:
        rows = bars(cost_chart(frame, quantity, hidden=[hidden_kind]))
        hidden = rows[rows["kind"] == hidden_kind].iloc[0]
        assert (hidden["share"], hidden["text"], hidden["label_at"]) == (0, "?", 0)
        others = rows[rows["kind"] != "separable"]
        told = bars(cost_chart(frame, quantity))
        assert others["text"].tolist() == told[told["kind"] != "separable"]["text"].tolist()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9))
def test_lines_join_exactly_what_a_group_convolution_reads(groups: int, a: int, b: int) -> None:
    """Against the definition: with g groups, output o reads the inputs of its own g-th."""
    wiring = Wiring((Column("in", groups * a), Column("out", groups * b)), (groups,))
    spec = wiring_chart(wiring)
    points, lines = (pd.DataFrame(rows_of(spec, name)) for name in ("points", "lines"))
    names = {(row.column, row.y): row.channel for row in points.itertuples()}
    drawn = {
        (names[line.column, line.y], names[line.column2, line.y2]) for line in lines.itertuples()
    }
    ins = sorted(points[points["column"] == 0]["channel"])
    outs = sorted(points[points["column"] == 1]["channel"])
    wanted = {(i, o) for i in ins for o in outs if (i - 1) // a == (o - 1) // b}
    assert drawn == wanted
    assert {output for _input, output in drawn} == set(outs)  # no output channel reads nothing
    assert len(ins) <= MOST + MOST_GROUPS
    assert len(outs) <= MOST + MOST_GROUPS
    assert ins[0] == outs[0] == 1
    if groups == 1:
        assert ins[-1] == a
        assert outs[-1] == b


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9))
def test_channels_left_out_are_said(groups: int, a: int, b: int) -> None:
    wiring = Wiring((Column("in", groups * a), Column("out", groups * b)), (groups,))
    nodes, rows = picture(wiring)
    drawn = [sum(1 for n in nodes if n.column == c and n.channel) for c in (0, 1)]
    assert all(0 <= node.y <= rows for node in nodes)
    places = [(node.column, node.y) for node in nodes]
    assert len(set(places)) == len(places)
    if drawn == [groups * a, groups * b]:
        assert not note(wiring)
        assert all(node.channel for node in nodes)
    else:
        figures = [int(n) for n in re.findall(r"\d+", note(wiring))]
        assert figures == [drawn[0], groups * a, drawn[1], groups * b]
        assert any(not node.channel for node in nodes)


def test_depthwise_reads_one_channel_and_pointwise_all() -> None:
    wiring = conv_words.wirings(ConvSetting(in_channels=5, out_channels=7))["separable"]
    lines = pd.DataFrame(rows_of(wiring_chart(wiring), "lines"))
    first, second = (lines[lines["column"] == column] for column in (0, 1))
    assert len(first) == 5
    assert (first["y"] == first["y2"]).all()
    assert len(second) == 5 * 7


def measured(standard_ms: float, separable_ms: float) -> ConvTimings:
    def timing(ms: float) -> Timing:
        return Timing(
            median_ms=ms, p25_ms=0.9 * ms, p75_ms=1.2 * ms, p95_ms=2 * ms, n=30, threads=1
        )

    times: dict[Kind, Timing] = {
        "standard": timing(standard_ms),
        "group": timing(standard_ms / 8),
        "separable": timing(separable_ms),
        "lowrank": timing(standard_ms * 0.375),
    }
    return ConvTimings({1: times}, (32,), 1, "0.0", datetime(2026, 1, 2, tzinfo=UTC))


def test_times_stand_beside_the_macs() -> None:
    costs = compare(ConvSetting())
    frame = timing_frame(costs, measured(2.0, 1.0))
    separable = frame[frame["kind"] == "separable"].iloc[0]
    assert separable["time_share"] == 0.5
    assert separable["macs_per_s"] == pytest.approx(2_244_608 / 0.001)
    rows = timing_chart(frame)["datasets"]["rows"]
    assert len(rows) == 8
    one = rows[(rows["kind"] == "separable") & (rows["strength"] == 1)].iloc[0]
    assert (one["low"], one["share"], one["high"]) == pytest.approx((0.45, 0.5, 0.6))


def test_a_layer_slower_than_its_macs_is_explained_with_its_numbers() -> None:
    costs = compare(ConvSetting())
    slow = conv_words.why_time(timing_frame(costs, measured(2.0, 1.0)), costs)
    assert "50" in slow[0]
    assert "Depthwise" in slow[0]
    assert "6.17" in slow[1]  # its arithmetic intensity
    kept = conv_words.why_time(timing_frame(costs, measured(2.0, 2.0 * 0.119)), costs)
    assert len(kept) == 1
    assert "follows" in kept[0]


@settings(max_examples=60, deadline=None)
@given(a_setting())
def test_words_and_alt_texts_hold_for_any_layer(setting: ConvSetting) -> None:
    costs = compare(setting)
    frame = cost_frame(costs, setting)
    texts = conv_words.seen(costs, setting)
    texts += [conv_words.cost_alt(frame, quantity) for quantity in QUANTITIES]
    texts += [conv_words.wiring_words(kind, setting) for kind in conv_words.wirings(setting)]
    texts.append(conv_words.timing_alt(timing_frame(costs, measured(2.0, 1.0))))
    for text in texts:
        assert len(text) > 20
        assert "{" not in text
        assert "nan" not in text
    assert f"{costs['separable'].params:,}" in texts[0]
