"""The convolution calculator's pictures and words: what is drawn is what is counted."""

import re
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.charts import numbers
from core.convolutions.chart import (
    MOST,
    MOST_GROUPS,
    QUANTITIES,
    RULES,
    Column,
    Wiring,
    cost_chart,
    cost_rows,
    formula,
    note,
    picture,
    share_text,
    time_text,
    timing_chart,
    timing_rows,
    wiring_chart,
)
from core.convolutions.method import KINDS, ConvSetting, compare, rule_of_thumb
from core.convolutions.timing import ConvTimings
from core.timing import Timing
from pages import convolutions as page
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
    assert re.fullmatch(r"[\d\s()*/+.]+", plain), latex
    return float(eval(plain))


@settings(max_examples=60, deadline=None)
@given(a_setting())
def test_each_sum_and_rule_gives_what_is_counted(setting: ConvSetting) -> None:
    letters = {
        r"C_\text{in}": setting.in_channels,
        r"C_\text{out}": setting.out_channels,
        "k": setting.kernel_size,
        "g": setting.groups,
        "R": setting.rank,
    }
    for kind, cost in compare(setting).items():
        for quantity in QUANTITIES[:3]:
            terms = formula(quantity, cost, setting)
            left, right = terms.numbers.split("=")
            assert evaluate(left) == evaluate(right) == getattr(cost, quantity)
            assert terms.symbols.count("+") == terms.numbers.count("+")
        filled = RULES[kind].replace(r"\,/\,", "/").replace(r"\,", r" \cdot ")
        for letter, value in letters.items():
            filled = filled.replace(letter, str(value))
        assert evaluate(filled) == pytest.approx(rule_of_thumb(kind, setting))


def test_figures_read_well() -> None:
    shown = [share_text(share) for share in (0.125, 0.0039, 1.0, 1.5, 12.5)] + [time_text(0.4834)]
    assert [text.replace(numbers.THIN, " ") for text in shown] == [
        "12.5 %", "0.39 %", "100 %", "150 %", "1,250 %", "48 %"
    ]  # fmt: skip


def test_bars_are_shares_of_the_standard_layer_and_a_guess_stands_beside_its_answer() -> None:
    costs = cost_rows(compare(ConvSetting()))
    rows = rows_of(cost_chart(costs, "params"))
    shares = [1, 9344 / 73856, 8960 / 73856, 27776 / 73856]
    assert [row["share"] for row in rows] == pytest.approx(shares)
    assert rows[0]["text"] == "73,856" and "8,960" in rows[2]["text"]
    assert {row["guess"] for row in rows} == {0}
    rows = rows_of(cost_chart(costs, "params", guess=0.5))
    assert [row["guess"] for row in rows] == [0, 0, 0.5, 0]
    assert "50" in rows[2]["text"] and rows[2]["label_at"] == 0.5


def test_the_axis_stays_until_a_bar_needs_more() -> None:
    ends = []
    for rank in (1, 48, 96, 192, 400):
        spec = cost_chart(cost_rows(compare(ConvSetting(rank=rank))), "params")
        xs = [layer["encoding"]["x"] for layer in spec["layer"]]
        domains = [x["scale"]["domain"] for x in xs if "scale" in x]
        assert all(domain == domains[0] for domain in domains)
        assert max(row["share"] for row in rows_of(spec)) <= domains[0][1]
        ends.append(domains[0][1])
    assert ends[0] == ends[1] == ends[2] < ends[3] < ends[4]


@settings(max_examples=20, deadline=None)
@given(a_setting())
def test_a_hidden_bar_gives_nothing_away(setting: ConvSetting) -> None:
    costs = cost_rows(compare(setting))
    for quantity in QUANTITIES:
        *_others, hidden, _lowrank = rows_of(cost_chart(costs, quantity, hidden=["separable"]))
        assert hidden["kind"] == "separable"
        assert (hidden["share"], hidden["text"], hidden["label_at"]) == (0, "?", 0)
        drawn = rows_of(cost_chart(costs, quantity))
        assert _lowrank == drawn[-1] and _others == drawn[:-2]


@settings(max_examples=60, deadline=None)
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
    assert len(ins) <= MOST + MOST_GROUPS and len(outs) <= MOST + MOST_GROUPS
    assert ins[0] == outs[0] == 1
    assert groups > 1 or (ins[-1], outs[-1]) == (a, b)
    # and channels that are left out are said
    nodes, rows = picture(wiring)
    assert all(0 <= node.y <= rows for node in nodes)
    assert len({(node.column, node.y) for node in nodes}) == len(nodes)
    shown = [len(ins), len(outs)]
    assert any(not node.channel for node in nodes) == (shown != [groups * a, groups * b])
    figures = [int(n) for n in re.findall(r"\d+", note(wiring))]
    assert figures in ([], [shown[0], groups * a, shown[1], groups * b])
    assert bool(figures) == (shown != [groups * a, groups * b])


def test_depthwise_reads_one_channel_and_pointwise_all() -> None:
    wiring = page.wirings(ConvSetting(in_channels=5, out_channels=7))["separable"]
    lines = rows_of(wiring_chart(wiring), "lines")
    first, second = ([line for line in lines if line["column"] == column] for column in (0, 1))
    assert len(first) == 5 and all(line["y"] == line["y2"] for line in first)
    assert len(second) == 5 * 7


def measured(standard_ms: float, separable_ms: float) -> ConvTimings:
    times = (standard_ms, standard_ms / 8, separable_ms, standard_ms * 0.375)
    timings = {
        kind: Timing(median_ms=ms, p25_ms=0.9 * ms, p75_ms=1.2 * ms, p95_ms=2 * ms, n=30, threads=1)
        for kind, ms in zip(KINDS, times, strict=True)
    }
    return ConvTimings({1: timings}, 1, "0.0", datetime(2026, 1, 2, tzinfo=UTC))


def test_times_stand_beside_the_macs() -> None:
    times = timing_rows(compare(ConvSetting()), measured(2.0, 1.0))
    separable = times[2]
    assert (separable["kind"], separable["time_share"]) == ("separable", 0.5)
    assert separable["macs_per_s"] == pytest.approx(2_244_608 / 0.001)
    bars = rows_of(timing_chart(times))
    assert len(bars) == 8
    (bar,) = (bar for bar in bars if bar["kind"] == "separable" and bar["strength"] == 1)
    assert (bar["low"], bar["share"], bar["high"]) == pytest.approx((0.45, 0.5, 0.6))


def test_a_layer_slower_than_its_macs_is_explained_with_its_numbers() -> None:
    costs = compare(ConvSetting())
    slow = page.why_time(timing_rows(costs, measured(2.0, 1.0)), costs)
    assert "50" in slow[0] and "Depthwise" in slow[0]
    assert "6.17" in slow[1]  # its arithmetic intensity
    (kept,) = page.why_time(timing_rows(costs, measured(2.0, 2.0 * 0.119)), costs)
    assert "follows" in kept


@settings(max_examples=30, deadline=None)
@given(a_setting())
def test_words_and_alt_texts_hold_for_any_layer(setting: ConvSetting) -> None:
    costs = compare(setting)
    texts = page.seen(costs, setting)
    texts += [page.cost_alt(cost_rows(costs), quantity) for quantity in QUANTITIES]
    texts += [page.wiring_words(kind, setting) for kind in page.wirings(setting)]
    texts.append(page.timing_alt(timing_rows(costs, measured(2.0, 1.0))))
    for text in texts:
        assert len(text) > 20 and "{" not in text and "nan" not in text
    assert f"{costs['separable'].params:,}" in texts[0]
