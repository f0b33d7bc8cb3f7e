"""Views: what they do to a picture, and that they depend on their seed alone."""

import pytest
import torch

from core.data.augment import apply_view, centre_crop, draw_view


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _squares(n: int = 6, side: int = 40) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, side, side), generator=_generator(9), dtype=torch.uint8)


def test_no_augmentation_is_exactly_the_centre_crop() -> None:
    stored = _squares(side=146)
    view = draw_view(6, "none", _generator(), crop=128 / 146)
    seen = apply_view(stored, view, 128)
    assert torch.allclose(seen, stored[..., 9:137, 9:137].float(), atol=2e-2)
    assert torch.equal(centre_crop(stored, 128), stored[..., 9:137, 9:137])


@pytest.mark.parametrize("policy", ["light", "standard", "strong"])
def test_views_stay_in_range_and_differ_between_pictures(policy: str) -> None:
    stored = _squares(1).expand(8, -1, -1, -1)
    seen = apply_view(stored, draw_view(8, policy, _generator()), 32)  # type: ignore[arg-type]
    assert seen.shape == (8, 3, 32, 32)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 255
    assert len({tuple(row.flatten()[:50].tolist()) for row in seen}) == 8


def test_a_view_does_not_depend_on_batch_size_or_order() -> None:
    stored = _squares(6)
    view = draw_view(6, "strong", _generator(), mixup=0.2)
    whole = apply_view(stored, view, 32, stored[view.partner])
    rows = torch.tensor([5, 0, 3])
    part = apply_view(stored[rows], view[rows], 32, stored[view.partner[rows]])
    assert torch.allclose(part, whole[rows], atol=1e-3)
    again = draw_view(6, "strong", _generator(), mixup=0.2)
    assert torch.equal(again.matrix, view.matrix)
    assert torch.equal(again.lam, view.lam)
    assert not torch.equal(draw_view(6, "strong", _generator(1)).matrix, view.matrix)


def test_drawing_leaves_the_global_random_state_alone() -> None:
    state = torch.random.get_rng_state()
    draw_view(6, "strong", _generator(), mixup=0.2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_mixup_mixes_the_two_photographs_by_lam() -> None:
    stored = _squares(2)
    view = draw_view(2, "none", _generator(), crop=1.0)
    view.partner[:] = torch.tensor([1, 0])
    view.lam[:] = torch.tensor([0.75, 0.5])
    seen = apply_view(stored, view, 40, stored[view.partner])
    expected = 0.75 * stored[0].float() + 0.25 * stored[1].float()
    assert torch.allclose(seen[0], expected, atol=2e-2)


def test_colours_by_hand() -> None:
    """Brightness 0.5, contrast 0.5, no saturation, against the definition pixel by pixel."""
    stored = _squares(1)
    view = draw_view(1, "none", _generator(), crop=1.0)
    view.colour[0] = torch.tensor([0.5, 0.5, 0.0])
    grey = (stored[0].float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0) * 0.5
    expected = (grey - grey.mean()) * 0.5 + grey.mean()
    seen = apply_view(stored, view, 40)[0]
    assert torch.allclose(seen, expected.expand(3, -1, -1), atol=0.1)


def test_erasing_greys_a_patch_and_nothing_else() -> None:
    stored = _squares(1)
    view = draw_view(1, "none", _generator(), crop=1.0)
    view.erased[0] = torch.tensor([0.25, 0.5, 0.5, 1.0])  # left, top, right, bottom
    seen = apply_view(stored, view, 40)[0]
    assert bool((seen[:, 20:, 10:20] == 127.5).all())
    assert torch.allclose(seen[:, :20], stored[0, :, :20].float(), atol=2e-2)
