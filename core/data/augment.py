"""Augmentation of whole batches, each photograph in its own way, on the device.

An epoch's *view* is drawn first: one row of numbers a photograph (crop, flip, rotation, colours,
erased patch, mixup partner). Applying it is pure arithmetic on the stored uint8 squares. So a view
depends on its seed and on nothing else, neither batch size nor order, and a teacher's answers to it
can be computed once and kept. Teacher and student must see the very same crop and the very same
mixture (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent").

Geometry is one affine resampling a photograph (Jaderberg et al. 2015), colours one 3 x 3 matrix.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Policy = Literal["none", "light", "standard", "strong"]

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


@dataclass(frozen=True)
class Strength:
    """How far a policy may go. Fractions are of the picture's side, angles in degrees."""

    area: tuple[float, float] = (1.0, 1.0)
    """Share of the square's area that a crop keeps, from .. to."""
    aspect: float = 1.0
    """Largest width / height of a crop; the smallest is its inverse."""
    flip: bool = False
    rotate: float = 0.0
    shear: float = 0.0
    light: float = 0.0
    """Brightness and contrast are multiplied by 1 +- this."""
    colour: float = 0.0
    """Saturation is multiplied by 1 +- this."""
    erase: float = 0.0
    """Chance that a patch is greyed out (random erasing, Zhong et al. 2017)."""


POLICIES: Mapping[Policy, Strength] = {
    "none": Strength(),
    "light": Strength(area=(0.7, 1.0), aspect=1.1, flip=True, rotate=15.0),
    "standard": Strength(
        area=(0.35, 1.0), aspect=4 / 3, flip=True, rotate=10, light=0.3, colour=0.3
    ),
    "strong": Strength(
        area=(0.25, 1.0),
        aspect=4 / 3,
        flip=True,
        rotate=20,
        shear=0.15,
        light=0.4,
        colour=0.5,
        erase=0.25,
    ),
}
"""`light` is about what the course's notebook does (crop, flip, rotation of 15 degrees)."""


@dataclass(frozen=True)
class View:
    """One epoch's draw for N photographs; row i belongs to photograph i. All on one device."""

    matrix: Tensor
    """(N, 2, 3) affine map from output to input coordinates, both in -1..1."""
    colour: Tensor
    """(N, 3) factors of brightness, contrast, saturation."""
    erased: Tensor
    """(N, 4) left, top, right, bottom of the erased patch in 0..1; all 0 where none."""
    partner: Tensor
    """(N,) row of the photograph mixed in."""
    lam: Tensor
    """(N,) weight of the photograph itself, the partner has 1 - lam."""

    def __len__(self) -> int:
        return len(self.lam)

    def to(self, device: torch.device | str) -> "View":
        """The same view on another device."""
        return View(*(getattr(self, field.name).to(device) for field in fields(self)))

    def __getitem__(self, rows: Tensor) -> "View":
        """The view of some photographs; `partner` keeps counting rows of the whole set."""
        return View(*(getattr(self, field.name)[rows] for field in fields(self)))


def draw_view(
    n: int, policy: Policy, generator: torch.Generator, mixup: float = 0.0, crop: float = 0.875
) -> View:
    """Draw one view of `n` photographs.

    `mixup` is Beta's parameter (Zhang et al. 2018), 0 for none. `crop` is the side of the
    evaluation crop as a share of the stored square: `none` is exactly that centre crop, and the
    area of the other policies counts from the whole square.
    """
    strength = POLICIES[policy]

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    area = uniform(*strength.area)
    ratio = torch.exp(uniform(-math.log(strength.aspect), math.log(strength.aspect)))
    if policy == "none":
        width = height = torch.full((n,), crop)
    else:
        width = (area * ratio).sqrt().clamp(max=1.0)
        height = (area / ratio).sqrt().clamp(max=1.0)
    shift_x = uniform(-1, 1) * (1 - width) if policy != "none" else torch.zeros(n)
    shift_y = uniform(-1, 1) * (1 - height) if policy != "none" else torch.zeros(n)
    mirror = torch.where(uniform(0, 1) < (0.5 if strength.flip else 0.0), -1.0, 1.0)
    angle = uniform(-strength.rotate, strength.rotate) * math.pi / 180
    shear = uniform(-strength.shear, strength.shear)
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack(
        [
            torch.stack([width * mirror * cos, width * (shear - sin), shift_x], dim=1),
            torch.stack([height * mirror * sin, height * cos, shift_y], dim=1),
        ],
        dim=1,
    )  # (N, 2, 3)

    colour = torch.stack(
        [uniform(1 - f, 1 + f) for f in (strength.light, strength.light, strength.colour)], dim=1
    )
    side_x, side_y = uniform(0.15, 0.45), uniform(0.15, 0.45)
    left, top = uniform(0, 1) * (1 - side_x), uniform(0, 1) * (1 - side_y)
    patch = torch.stack([left, top, left + side_x, top + side_y], dim=1)
    erased = patch * (uniform(0, 1) < strength.erase).unsqueeze(1)

    partner = torch.randperm(n, generator=generator)
    if mixup > 0:
        # torch's Beta takes no generator: two Gammas from a forked, seeded global state do
        seed = int(torch.randint(2**62, (1,), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            lam = torch.distributions.Beta(mixup, mixup).sample((n,))
        lam = torch.maximum(lam, 1 - lam)  # the photograph itself stays the main part
    else:
        lam = torch.ones(n)
    return View(matrix, colour, erased, partner, lam)


def apply_view(stored: Tensor, view: View, px: int, mixed_in: Tensor | None = None) -> Tensor:
    """Stored squares -> what the networks see: (B, 3, S, S) uint8 -> (B, 3, px, px) float, 0..255.

    `view` has B rows; `mixed_in` (B, 3, S, S) holds the partners' squares where there is mixup.
    Photographs are mixed before anything else, so that a mixture has one crop and one light.
    """
    x = stored.float()
    if mixed_in is not None:
        x = torch.lerp(mixed_in.float(), x, view.lam.view(-1, 1, 1, 1))
    grid = F.affine_grid(view.matrix, [len(x), 3, px, px], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if not _known(view.colour == 1):
        x = _recolour(x, view.colour)
    if not _known(view.erased == 0):
        x = _erase(x, view.erased)
    return x


def _known(all_of: Tensor) -> bool:
    """Whether all hold, so that there is nothing to do; on a GPU False, rather than wait for it."""
    return all_of.device.type == "cpu" and bool(all_of.all())


def _recolour(x: Tensor, factors: Tensor) -> Tensor:
    """Saturation, brightness and contrast as one affine map of the three channels."""
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1).unbind(1)  # each (B, 1, 1)
    grey = x.new_tensor(_GREY)
    eye = torch.eye(3, device=x.device, dtype=x.dtype)
    mix = saturation * eye + (1 - saturation) * grey.expand(3, 3)  # (B, 3, 3), rows sum to 1
    matrix = brightness * contrast * mix
    # contrast turns about the picture's mean grey, after brightness
    mean = torch.einsum("c,bchw->b", grey, x) / (x.shape[-1] * x.shape[-2])
    offset = ((1 - contrast) * brightness * mean.view(-1, 1, 1)).expand(-1, 3, 1)
    flat = torch.baddbmm(offset, matrix, x.flatten(2))
    return flat.view_as(x).clamp_(0, 255)


def _erase(x: Tensor, patches: Tensor) -> Tensor:
    """Grey (127.5) inside each photograph's patch."""
    left, top, right, bottom = patches.view(-1, 4, 1, 1).unbind(1)  # each (B, 1, 1)
    across = (torch.arange(x.shape[-1], device=x.device) + 0.5).view(1, 1, -1) / x.shape[-1]
    down = (torch.arange(x.shape[-2], device=x.device) + 0.5).view(1, -1, 1) / x.shape[-2]
    inside = (across >= left) & (across < right) & (down >= top) & (down < bottom)
    return x.masked_fill(inside.unsqueeze(1), 127.5)


def centre_crop(stored: Tensor, px: int) -> Tensor:
    """(B, 3, S, S) -> (B, 3, px, px), the middle: what evaluation and serving see."""
    start = (stored.shape[-1] - px) // 2
    return stored[..., start : start + px, start : start + px]
