"""Several networks on one photo: compared with plain sums over small numbers."""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.course import CLASSES
from core.inference import compare

K = len(CLASSES)


class Network:
    """As much of a checkpoint as a table wants."""

    def __init__(self, name: str) -> None:
        self.id, self.params, self.size_bytes = name, 1000, 4000


def answer(name: str, logits: Sequence[float]) -> compare.Answer:
    padded = [*logits, *[-30.0] * (K - len(logits))]
    return compare.Answer(cast(Any, Network(name)), np.array(padded, np.float32), 1.5)


def by_hand(logits: Sequence[float], t: float = 1.0) -> list[float]:
    powers = [math.exp(z / t) for z in logits]
    return [power / sum(powers) for power in powers]


def test_bars_stand_in_order_with_three_marked() -> None:
    frame = compare.bars_frame(answer("a", [1.0, 3.0, 2.0, 0.0]), temperature=2.0)
    assert list(frame["label"])[:4] == [1, 2, 0, 3]
    assert list(frame["rank"]) == list(range(1, K + 1))
    assert list(frame["top"]) == [True] * 3 + [False] * (K - 3)
    assert list(frame["food"])[0] == CLASSES[1]
    expected = sorted(by_hand([1.0, 3.0, 2.0, 0.0, *[-30.0] * (K - 4)], 2.0), reverse=True)
    assert np.allclose(frame["probability"], expected)


@given(st.permutations(range(K)))
def test_equal_probabilities_keep_label_order(order: list[int]) -> None:
    flat = compare.bars_frame(compare.Answer(cast(Any, None), np.zeros(K, np.float32), 0.0))
    assert list(flat["label"]) == list(range(K))
    logits = np.array(order, np.float32)
    frame = compare.bars_frame(compare.Answer(cast(Any, None), logits, 0.0))
    assert list(logits[frame["label"]]) == sorted(order, reverse=True)


def test_where_networks_disagree() -> None:
    answers = [answer("a", [4, 0, 0]), answer("b", [0, 2, 0]), answer("c", [3, 0, 0])]
    found = compare.agreement(answers)
    assert found.camps == ((0, ("a", "c")), (1, ("b",)))
    assert not found.unanimous
    zeros = [by_hand([*one, *[-30.0] * (K - 3)])[0] for one in ([4, 0, 0], [0, 2, 0])]
    assert found.label == 0
    assert found.highest[0] == "a" and found.highest[1] == pytest.approx(zeros[0])
    assert found.lowest[0] == "b" and found.lowest[1] == pytest.approx(zeros[1])


def test_the_surest_network_is_so_on_average() -> None:
    photos = [
        [answer("a", [9, 0]), answer("b", [2, 0])],
        [answer("a", [0, 0]), answer("b", [2, 0])],
    ]
    mean_a = (by_hand([9, 0])[0] + by_hand([0, 0])[0]) / 2
    mean_b = by_hand([2, 0])[0]
    assert mean_b > mean_a
    name, mean = compare.surest(photos)
    assert name == "b" and mean == pytest.approx(mean_b, abs=1e-6)


def test_the_table_has_a_row_per_photo_and_network() -> None:
    table = compare.answers_table(
        [("soup.jpg", [answer("a", [3, 2, 1]), answer("b", [1, 2, 3])])], temperature=1.0
    )
    assert list(table["checkpoint"]) == ["a", "b"]
    assert list(table.loc[0, ["first", "second", "third"]]) == list(CLASSES[:3])
    assert list(table.loc[1, ["first", "second", "third"]]) == [CLASSES[2], CLASSES[1], CLASSES[0]]
    assert np.allclose(table[list(CLASSES)].sum(axis=1), 1)
    entropy = -sum(p * math.log(p) for p in by_hand([3, 2, 1]))
    assert table.loc[0, "entropy_nats"] == pytest.approx(entropy, abs=1e-5)
    assert table.loc[0, "confidence"] == pytest.approx(by_hand([3, 2, 1])[0], abs=1e-6)


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("lunch.jpg", "lunch.jpg"),
        ("![x](http://a/b.png).jpg", "x http a b.png .jpg"),
        ("<script>alert(1)</script>.png", "script alert 1 script .png"),
        ("..", "Photo 2"),
        ("", "Photo 2"),
        ("麵包.heic", "麵包.heic"),
        ("a" * 500, "a" * 40),
    ],
)
def test_a_photos_name_is_harmless(given_name: str, shown: str) -> None:
    assert compare.photo_name(given_name, 2) == shown
