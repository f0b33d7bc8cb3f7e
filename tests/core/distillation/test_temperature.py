"""What a temperature does, against the formula written out and the limits that must hold."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.course import CLASSES
from core.distillation import temperature as soft
from core.inference.predict import entropy, softmax

K = len(CLASSES)
LOGITS = np.array([3.0, 1.0, 0.5, *[-1.0] * (K - 3)], np.float32)


def entropy_by_hand(logits: np.ndarray, t: float) -> float:
    powers = [math.exp(float(z) / t) for z in logits]
    p = [power / sum(powers) for power in powers]
    return -sum(q * math.log(q) for q in p)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-20, 20, width=32), min_size=K, max_size=K))
def test_a_higher_temperature_is_softer(values: list[float]) -> None:
    """The course's question: entropy never falls as T rises, up to ln 11."""
    logits = np.array(values, np.float32)
    grid = np.geomspace(soft.T_LOW, soft.T_HIGH, 30)
    entropies = [float(entropy(softmax(logits, float(t)))) for t in grid]
    assert np.all(np.diff(entropies) >= -1e-9)
    assert entropies[0] >= 0 and entropies[-1] <= math.log(K) + 1e-9


def test_examples_are_what_they_are_called() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(-1, K, 400)
    teacher = rng.normal(size=(400, K)).astype(np.float32)
    student = rng.normal(size=(400, K)).astype(np.float32)
    rows = np.flatnonzero(labels >= 0)
    teacher[rows[::2], labels[rows[::2]]] += 4
    student[rows[::3], labels[rows[::3]]] += 3
    found = soft.examples(teacher, student, labels)
    assert set(found) == set(get_args(soft.Kind))
    right_t, right_s = teacher.argmax(1) == labels, student.argmax(1) == labels
    wanted: dict[soft.Kind, np.ndarray] = {
        "hesitates": right_t,
        "sure": right_t,
        "disagree": right_t & ~right_s,
        "both_wrong": ~right_t & ~right_s & (labels >= 0),
    }
    for kind, holds in wanted.items():
        assert set(found[kind]) == set(np.flatnonzero(holds)), kind
    confidence = np.exp(teacher - teacher.max(1, keepdims=True))
    confidence = (confidence / confidence.sum(1, keepdims=True)).max(1)
    first = found["hesitates"][0]
    assert abs(confidence[first] - 0.75) == min(abs(confidence[right_t] - 0.75))
    assert confidence[found["sure"][0]] == confidence[right_t].max()


def test_a_kind_without_a_picture_is_left_out() -> None:
    logits = np.eye(K, dtype=np.float32) * 5
    assert set(soft.examples(logits, logits, np.arange(K))) == {"hesitates", "sure"}
    assert soft.examples(logits, logits, np.full(K, -1)) == {}


def test_one_answer_summed_up() -> None:
    now = soft.softening(LOGITS, 2.0)
    powers = [math.exp(float(z) / 2) for z in LOGITS]
    assert (now.top, now.runner_up) == (0, 1)
    assert now.confidence == pytest.approx(powers[0] / sum(powers))
    assert float(entropy(softmax(LOGITS, 2.0))) == pytest.approx(entropy_by_hand(LOGITS, 2.0))


def test_sureness_counts() -> None:
    bank = np.stack([LOGITS, LOGITS * 10, np.zeros(K, np.float32)])
    found = soft.sureness(bank)
    assert (found.n, found.sure) == (3, 1)
    mean = (entropy_by_hand(LOGITS, 1) + 0 + math.log(K)) / 3
    assert found.mean_entropy == pytest.approx(mean, abs=1e-6)
    assert soft.sureness(bank, 100.0).sure == 0


def test_the_csv_of_an_example_is_tidy() -> None:
    frame = soft.probabilities_frame([LOGITS, LOGITS], ["a", "b"], at=(1.0, 4.0))
    assert len(frame) == 2 * 2 * K
    sums = frame.groupby(["checkpoint", "temperature"])["probability"].sum()
    assert np.allclose(sums, 1)
    assert set(frame["class"]) == set(CLASSES)
