"""The loss taken apart in numpy against torch's autograd through the loss that trains."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.distillation import terms
from core.training.loss import loss_fn_kd

RNG = np.random.default_rng(5)
STUDENT, TEACHER = RNG.normal(0, 2, 11), RNG.normal(0, 4, 11)
LABEL = 6


def autograd(alpha: float, t: float) -> tuple[float, float, float, np.ndarray]:
    z = torch.tensor(STUDENT[None], requires_grad=True)
    loss = loss_fn_kd(z, torch.tensor([LABEL]), torch.tensor(TEACHER[None]), alpha, t)
    (gradient,) = torch.autograd.grad(loss.total, z)
    total, hard, soft = (float(term.detach()) for term in loss)
    return hard, soft, total, gradient[0].numpy()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("t", [1.0, 2.5, 20.0])
def test_losses_and_gradient_are_autograds(alpha: float, t: float) -> None:
    parts = terms.take_apart(STUDENT, TEACHER, LABEL, alpha, t)
    hard, soft, total, gradient = autograd(alpha, t)
    assert (parts.hard, parts.soft, parts.total) == pytest.approx((hard, soft, total))
    np.testing.assert_allclose(parts.gradient, gradient, atol=1e-12)


def test_each_term_has_the_gradient_of_its_own() -> None:
    parts = terms.take_apart(STUDENT, TEACHER, LABEL, 0.3, 4.0)
    np.testing.assert_allclose(parts.soft_gradient, 0.3 * autograd(1.0, 4.0)[3], atol=1e-12)
    np.testing.assert_allclose(parts.hard_gradient, 0.7 * autograd(0.0, 4.0)[3], atol=1e-12)


def test_the_soft_gradient_becomes_the_logits_difference() -> None:
    far = terms.take_apart(STUDENT, TEACHER, LABEL, 1.0, 1e4).soft_gradient
    np.testing.assert_allclose(far, terms.large_t_gradient(STUDENT, TEACHER), atol=2e-3)
    apart = STUDENT - TEACHER
    by_hand = [(gap - sum(apart) / 11) / 11 for gap in apart]
    np.testing.assert_allclose(terms.large_t_gradient(STUDENT, TEACHER), by_hand)


@pytest.mark.parametrize("t", [1.0, 4.0, 20.0])
def test_lengths_with_and_without_t2(t: float) -> None:
    found = terms.lengths(STUDENT, TEACHER, LABEL, t)
    assert found.hard == pytest.approx(math.hypot(*autograd(0.0, t)[3]))
    assert found.soft == pytest.approx(math.hypot(*autograd(1.0, t)[3]))
    assert found.without_t2 == pytest.approx(found.soft / t / t)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0, 12),
    picked=st.integers(0, 10),
    move=st.floats(-terms.MOVE, terms.MOVE),
    t=st.floats(terms.T_LOW, terms.T_HIGH),
    alpha=st.floats(0, 1),
)
def test_no_slider_leaves_the_axis(
    seed: int, scale: float, picked: int, move: float, t: float, alpha: float
) -> None:
    rng = np.random.default_rng(seed)
    z, v = scale * rng.normal(size=11), scale * rng.normal(size=11)
    still, bound = terms.largest_gradient(z, v, moves=False), terms.largest_gradient(z, v)
    parts = terms.take_apart(z, v, 3, alpha, t)
    assert np.abs([parts.hard_gradient, parts.soft_gradient]).max() <= still <= bound
    z[picked] += move
    parts = terms.take_apart(z, v, 3, alpha, t)
    for each in (parts.hard_gradient, parts.soft_gradient, parts.gradient):
        assert np.abs(each).max() <= bound


def test_the_table_says_what_the_parts_say() -> None:
    frame = terms.parts_frame(STUDENT, TEACHER, LABEL)
    assert len(frame) == 5 * 5 * 11
    row = frame[(frame.alpha == 0.7) & (frame.temperature == 8) & (frame["class"] == "Rice")]
    parts = terms.take_apart(STUDENT, TEACHER, LABEL, 0.7, 8.0)
    assert row.gradient.item() == parts.gradient[7]
    assert row.soft_loss.item() == parts.soft
    assert frame.groupby(["alpha", "temperature"]).label.sum().eq(1).all()
    np.testing.assert_allclose(frame.soft_gradient + frame.hard_gradient, frame.gradient)


def test_extreme_logits_stay_finite() -> None:
    parts = terms.take_apart(np.array([900.0] + [0] * 10), -TEACHER * 300, 1, 0.5, 1.0)
    assert np.isfinite([parts.hard, parts.soft, *parts.gradient]).all()
