"""The pruning page's pictures and sentences, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from core.charts import numbers
from core.charts.curves import CHANCE, beside, stacked
from core.pruning.chart import (
    GUESSES,
    Measured,
    accuracy_chart,
    accuracy_frame,
    channel_chart,
    channel_frame,
    guess_curve,
    guess_title,
    histogram_chart,
    histogram_frame,
    method_title,
    nearest_guess,
    scan_chart,
    scan_frame,
    time_chart,
    time_frame,
    timing_noise,
)
from core.pruning.method import FORMS, METHODS, ChannelGroup, kept_weights
from core.pruning.rows import PruningGrid, PruningRow, RowKey, ScanPoint
from core.stats import wilson
from core.timing import Spread
from pages import pruning as pruning_words


def spread(median: float, half: float = 0.1) -> Spread:
    return Spread(median=median, p25=median - half, p75=median + half, n=30)


def row(key: RowKey, correct: int | None, **latency: Spread) -> PruningRow:
    n = None if correct is None else 1000
    return PruningRow(
        **key._asdict(), params=100, nonzero=50, macs=2_500_000, size_bytes=4_000, n=n,
        correct=correct, latency=latency,
    )  # fmt: skip


def grid(*rows: PruningRow, scan: tuple[ScanPoint, ...] = ()) -> PruningGrid:
    return PruningGrid(
        checkpoint="some-s0", weights_sha256="0" * 64, data="d", fingerprint="f",
        layers=("a.weight", "b.weight"), groups=(), device="x", versions={}, commit="c",
        date="2026-11-22", rows=rows, scan=scan,
    )  # fmt: skip


L1 = grid(
    row(RowKey("l1", 0.0, "removed"), 800, torch_1=spread(10)),
    row(RowKey("l1", 0.0, "masked"), 800, torch_1=spread(13)),
    row(RowKey("l1", 0.5, "masked"), 790, torch_1=spread(10.15)),
    row(RowKey("l1", 0.5, "removed"), 790, torch_1=spread(9.5)),
    row(RowKey("channel_l2", 0.5, "narrow"), 300, torch_1=spread(4)),
    row(RowKey("l1", 0.7, "removed"), 500),
    row(RowKey("l1", 0.9, "removed"), 785),
    row(RowKey("l1", 0.7, "removed", 1), 700),
    row(RowKey("random", 0.5, "removed"), None),
)


def test_accuracies_stand_with_their_interval_once_a_ratio() -> None:
    frame = accuracy_frame([Measured("Teacher", "teacher", L1)], ["l1"])
    assert frame["ratio"].tolist() == [0.0, 0.5, 0.7, 0.9]
    assert frame["accuracy"].tolist() == [0.8, 0.79, 0.5, 0.785]
    assert (frame["low"][0], frame["high"][0]) == pytest.approx(wilson(800, 1000))
    tuned = accuracy_frame([Measured("Teacher", "teacher", L1)], ["l1"], finetuned=True)
    assert tuned[tuned["tuned"]]["accuracy"].tolist() == [0.7]
    assert accuracy_frame([Measured("T", "teacher", L1)], ["random"]).empty
    both = accuracy_frame([Measured("T", "teacher", L1)], METHODS)
    assert set(both["series"]) == {method_title("l1"), method_title("channel_l2")}


def test_how_far_a_curve_holds() -> None:
    """Wilson for 800 of 1,000 begins at 0.774: 0.79 is inside, 0.5 is not, and what comes after
    a fall does not count however good it is."""
    frame = accuracy_frame([Measured("Teacher", "teacher", L1)], ["l1"])
    assert pruning_words.holds_until(frame) == 0.5
    (line,) = pruning_words.accuracy_lines(frame)
    line = line.replace(numbers.THIN, " ")
    assert line.startswith("**Teacher** is right on 80.0 %") and "up to 50 %" in line
    tuned = accuracy_frame([Measured("Teacher", "teacher", L1)], ["l1"], finetuned=True)
    assert [text.replace(numbers.THIN, " ") for text in pruning_words.tuned_lines(tuned)] == [
        "**Teacher** at 70 %: 50.0 % before fine-tuning, 70.0 % after."
    ]


def test_the_accuracy_chart_shows_no_curve_before_the_reveal() -> None:
    frame = accuracy_frame([Measured("Teacher", "teacher", L1)], ["l1"], finetuned=True)
    hidden = accuracy_chart(frame, 0.5, reveal=False)["datasets"]
    assert hidden["curves"]["ratio"].tolist() == [0.0] and hidden["tuned"].empty
    assert hidden["ends"].empty  # a leader across the plot would look like a curve
    shown = accuracy_chart(frame, 0.5, guess_curve("late", 0.8))["datasets"]
    assert len(shown["curves"]) == 4 and len(shown["tuned"]) == 1 and len(shown["guess"]) > 20
    assert (shown["ends"]["margin"] > 1).all()  # outside of the plot


def test_two_networks_of_one_role_differ_in_dashes_and_marks() -> None:
    other = L1.model_copy(update={"checkpoint": "other-s0"})
    pair = [Measured("One", "teacher", L1), Measured("Other", "teacher", other)]
    drawn = accuracy_chart(accuracy_frame(pair, ["l1"]), 0.5)["datasets"]
    dashes = drawn["curves"].groupby("network")["dash"].unique()
    assert len(dashes["One"]) == len(dashes["Other"]) == 1 and dashes["One"] != dashes["Other"]
    assert [name[0] for name in drawn["ends"]["name"]] == ["●", "▮"]  # as the marks say
    methods = accuracy_chart(accuracy_frame(pair[:1], METHODS), 0.5)["datasets"]["curves"]
    assert dict(zip(methods["method"], methods["dash"], strict=True)) == {
        method: f"m{METHODS.index(method)}" for method in ("l1", "channel_l2")
    }


def test_only_the_chosen_curve_has_a_band() -> None:
    frame = accuracy_frame([Measured("Teacher", "teacher", L1)], METHODS)
    drawn = accuracy_chart(frame, 0.5, chosen=("teacher-s0", "l1"))["datasets"]["curves"]
    assert set(drawn.loc[drawn["banded"], "method"]) <= {"l1"}
    everywhere = accuracy_chart(frame, 0.5)["datasets"]["curves"]
    assert everywhere["banded"].all()


@pytest.mark.parametrize("guess", GUESSES)
def test_a_measured_curve_is_nearest_to_the_guess_that_it_is(guess: str) -> None:
    """Seen through noise, from another accuracy, at the ratios that are measured."""
    at = np.arange(20) / 20
    curve = guess_curve(guess, 0.55)
    measured = np.interp(at, curve["ratio"], curve["accuracy"]) + 0.01 * np.cos(20 * at)
    found, off = nearest_guess(pd.DataFrame({"ratio": at[::-1], "accuracy": measured[::-1]}))
    assert found == guess and off[guess] == min(off.values()) < 0.03 < max(off.values())


@pytest.mark.parametrize("guess", GUESSES)
def test_a_guess_falls_from_the_whole_accuracy_and_never_rises(guess: str) -> None:
    curve = guess_curve(guess, 0.8)
    assert curve["accuracy"].iloc[0] == pytest.approx(0.8, abs=0.001)
    assert (curve["accuracy"].diff().dropna() <= 1e-12).all()
    assert curve["accuracy"].min() >= CHANCE - 1e-9
    assert guess_title(guess)


def test_times_are_shares_of_the_whole_networks_time() -> None:
    frame = time_frame(L1, "torch_1")
    shares = {
        (form, ratio): share
        for form, ratio, share in zip(frame["form"], frame["ratio"], frame["share"], strict=True)
    }
    assert shares == {
        ("masked", 0.0): 1.3, ("masked", 0.5): pytest.approx(1.015), ("removed", 0.0): 1.0,
        ("removed", 0.5): 0.95, ("narrow", 0.0): 1.0, ("narrow", 0.5): 0.4,
    }  # fmt: skip
    assert time_frame(L1, "onnx_1").empty
    data = time_chart(frame, 0.5)["datasets"]
    assert data["times"]["low"].min() == pytest.approx(0.39)
    assert {name[:2] for name in data["ends"]["name"]} <= {"✚ ", "■ ", "▲ "}


@pytest.mark.parametrize(
    ("median", "noise", "truth"),
    [(9.3, 0.0, "faster"), (9.3, 0.06, "faster"), (9.3, 0.08, "same"), (10.9, 0.08, "slower"),
     (10.7, 0.08, "same"), (1.0, 0.95, "same")],
)  # fmt: skip
def test_what_equal_work_differs_by_tells_nothing(median: float, noise: float, truth: str) -> None:
    assert spread(median).against(spread(10), noise) == truth


def test_a_masked_network_is_not_called_faster_for_a_hair() -> None:
    """At 50 % its median lies 1.5 % above the whole network's, within the calls' own spread.

    And with its masks removed it does the same work, so 95 % of the time is chance as well.
    """
    lines = dict(zip(FORMS, pruning_words.time_lines(L1, "torch_1", 0.5), strict=True))
    assert "not distinguishable" in lines["masked"] and "faster" not in lines["masked"]
    assert "not distinguishable" in lines["removed"] and "faster" in lines["narrow"]
    assert timing_noise(L1, "torch_1") == pytest.approx(0.05)
    assert timing_noise(L1, "size_bytes") == timing_noise(L1, "onnx_1") == 0


def test_sizes_are_shares_too_and_smaller_or_larger() -> None:
    """Every row here has 4,000 bytes and 2.5 million MACs but the one that is cut to 1,000."""
    rows = [row(RowKey("l1", 0.0, "removed"), None), row(RowKey("l1", 0.5, "removed"), None),
            row(RowKey("l1", 0.5, "masked"), None).model_copy(update={"size_bytes": 7_000}),
            row(RowKey("channel_l2", 0.5, "narrow"), None).model_copy(
                update={"size_bytes": 1_000, "gzip_bytes": 900})]  # fmt: skip
    frame = time_frame(grid(*rows), "size_bytes").set_index(["form", "ratio"])
    assert frame["share"].to_dict() == {
        ("masked", 0.5): 1.75, ("removed", 0.0): 1.0, ("removed", 0.5): 1.0,
        ("narrow", 0.0): 1.0, ("narrow", 0.5): 0.25,
    }  # fmt: skip
    assert (frame["low"] == frame["share"]).all()
    lines = dict(zip(FORMS, pruning_words.time_lines(grid(*rows), "size_bytes", 0.5), strict=True))
    assert "larger: 175" in lines["masked"] and "as much" in lines["removed"]
    assert "smaller: 25" in lines["narrow"] and "1\u202fKB" in lines["narrow"]
    assert time_frame(grid(*rows), "gzip_bytes").empty  # the whole network was not zipped
    titles = [
        time_chart(frame.reset_index(), 0.5, column)["layer"][2]["encoding"]["y"]["title"]
        for column in ("size_bytes", "macs", "onnx_32")
    ]
    assert [title.split(",")[0] for title in titles] == ["Bytes", "MACs", "Time"]


def test_the_machine_is_named_without_the_threads_of_its_training() -> None:
    old = grid().model_copy(update={"device": "Some(R) CPU, 2.5 GHz, 1 threads"})
    assert old.machine == "Some(R) CPU, 2.5 GHz"
    assert grid().machine == "x"


def test_a_histogram_counts_every_weight_once() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    keep = kept_weights({"x.weight": weight}, "l1", 0.5)["x.weight"]
    frame = histogram_frame(weight, keep)
    counts = frame.groupby("slot")["n"].sum()
    assert (counts["muted"], counts["pruned"]) == (144, 144)
    middle = frame[(frame["slot"] == "muted") & (frame["n"] > 0)]
    cut = np.abs(weight[~keep]).max()
    assert middle["high"].max() <= cut + 0.2 and middle["low"].min() >= -cut - 0.2
    stacked_up = frame[frame["slot"] == "pruned"].set_index("low")
    below = frame[frame["slot"] == "muted"].set_index("low")
    assert (stacked_up["bottom"] == below["top"]).all()
    assert histogram_frame(np.zeros((2, 2), np.float32), None)["n"].sum() == 4
    assert histogram_chart(frame)["datasets"]["bins"] is frame


def test_channels_in_order_of_their_norm() -> None:
    group = ChannelGroup(channels=4, units=4, writers=("a",), norms=("n",))
    weight = np.array([3.0, 1.0, 2.0, 4.0], np.float32).reshape(4, 1, 1, 1)
    tensors = {"a.weight": weight, "n.weight": np.array([-9.0, 1.0, 1.0, 1.0], np.float32)}
    frame = channel_frame(tensors, group, np.array([1, 2]))
    assert frame["unit"].tolist() == [2, 3, 1, 4]
    assert frame["goes"].tolist() == [True, True, False, False]
    assert frame["norm"].tolist() == [1, 2, 3, 4] and frame["gamma"].tolist() == [1, 1, 9, 1]
    assert channel_chart(frame, "gamma")["datasets"]["channels"]["value"].tolist() == [1, 1, 9, 1]


def test_the_scan_stands_in_the_networks_order() -> None:
    points = tuple(
        ScanPoint(layer=f"{layer}.weight", ratio=0.5, n=100, correct=correct)
        for layer, correct in (("b", 10), ("a", 20), ("gone", 1))
    )
    frame = scan_frame(points, ("a.weight", "b.weight"))
    assert frame["layer"].tolist() == ["a", "b"] and frame["accuracy"].tolist() == [0.2, 0.1]
    assert scan_chart(frame, 0.5)["datasets"]["whole"]["accuracy"].tolist() == [0.5]


def test_names_beside_the_curves_do_not_lie_on_each_other_or_below_the_axis() -> None:
    placed = beside(pd.Series([0.09, 0.1, 0.09, 0.5]), 0.1)
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-9 and placed.min() >= 0.05 - 1e-9
    assert len(beside(pd.Series([], dtype=float), 0.1)) == 0
    assert max(map(len, stacked("Channels by BN gamma, fine-tuned").split("\n"))) <= 15
