"""Dreaming: noise is changed until a teacher sees food in it (DeepInversion, Yin et al. 2020).

No photograph is read: all that is known of food comes out of the teacher's weights. A batch of
pictures x, meant to be the classes y, goes downhill on
    CE(teacher(x'), y) + bn * sum over BatchNorm layers of their distance (`dreams_match`)
    + tv * total variation + l2 * size + colour * saturation + a term for what lies outside 0..255,
where x' is x moved, turned, zoomed and mirrored a little, anew at each step: what only one
alignment of pixels would say to the network averages out. (Of the paper, the competition with a
student is left out.)

What is optimised is not the pixels but a pyramid of pictures, 8 px to `px`, that are enlarged and
added up: Adam then moves large forms as fast as grain, and a hundred steps do what takes thousands
on plain pixels.
"""

import math
from collections.abc import Callable

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.registry import IMAGENET_MEAN, IMAGENET_STD, ModelSpec
from core.training.dreams_match import MatchedNorm, match

COARSEST_PX = 8
OUTSIDE = 5.0
"""Weight of the term for colours that no pixel can have."""


class DreamSettings(BaseModel):
    """How one set of dreams is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    px: int = Field(64, ge=8, le=512, multiple_of=8)
    """Side of the pictures."""
    seen_px: int = Field(0, ge=0, le=512)
    """Side at which the teacher looks at them; 0 for `px`. Small dreams should be what a photograph
    is when it is made small, so the teacher sees them near the side that it was trained at."""
    per_class: int = Field(96, ge=1)
    """Dreams of each class."""
    validation: int = Field(8, ge=0)
    """So many of them, the last ones, are kept for the validation split."""
    batch_per_class: int = Field(8, ge=1)
    """Dreams of each class in a batch: their statistics are matched together."""
    steps: int = Field(40, ge=1)
    """Steps of Adam a batch."""
    lr: float = Field(0.05, gt=0)
    """Rate at the coarsest level of the pyramid, in standard deviations; falls along a cosine."""
    finer: float = Field(0.9, gt=0, le=1)
    """Each finer level moves slower by this factor: less grain."""
    bn: float = Field(1.0, ge=0)
    """Weight of the BatchNorm distances."""
    first: float = Field(10.0, ge=0)
    """The first layer counts so many times: it sees colours and edges (the paper's multiplier)."""
    tv: float = Field(1.0, ge=0)
    """Weight of the mean absolute difference of neighbouring pixels, in standard deviations."""
    l2: float = Field(0.1, ge=0)
    """Weight of the mean square, in standard deviations."""
    colour: float = Field(2.0, ge=0)
    """Weight of the mean square of what the channels do not share: photographs differ in light
    more than in colour."""
    reach: float = Field(0.1, ge=0, le=0.5)
    """Largest shift, as a share of the side."""
    turn: float = Field(10.0, ge=0, le=45)
    """Largest rotation, in degrees."""
    zoom: float = Field(0.15, ge=0, lt=1)
    """Largest zoom in or out, as a logarithm."""
    seed: int = Field(0, ge=0)


def dream(
    net: nn.Module,
    spec: ModelSpec,
    labels: Tensor,
    settings: DreamSettings,
    generator: torch.Generator,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> Tensor:
    """Dream of these classes: labels (B,) int64 -> (B, 3, px, px) uint8 RGB on the CPU.

    `net` is a teacher with `spec`'s input scaling; it is changed (frozen, its BatchNorms replaced),
    and may be given again. Same generator state, same pictures on the same machine. `report`
    hears the terms of each step.
    """
    layers = [one for one in net.modules() if isinstance(one, MatchedNorm)] or match(net)
    net = net.to(memory_format=torch.channels_last)
    device = next(net.parameters()).device
    wanted = labels.to(device)
    pyramid = [level.to(device) for level in _noise(len(labels), settings.px, generator)]
    optimizer = torch.optim.Adam(
        [
            {"params": [level.requires_grad_()], "lr": settings.lr * settings.finer**i}
            for i, level in enumerate(pyramid)
        ],
        betas=(0.5, 0.9),
    )
    fall = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    )
    for step in range(settings.steps):
        x = built(pyramid)
        seen = to_pixels(moved(x, settings, generator))
        logits = net(spec.normalize(seen).contiguous(memory_format=torch.channels_last))
        terms = {"ce": F.cross_entropy(logits, wanted), **priors(x)}
        terms["bn"] = distance(layers, settings.first, logits)
        loss = terms["ce"] + OUTSIDE * terms["outside"]
        for name in ("bn", "tv", "l2", "colour"):
            loss = loss + getattr(settings, name) * terms[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        fall.step()
        if report:
            report(step, {name: float(term.detach()) for name, term in terms.items()})
    with torch.no_grad():
        return to_pixels(built(pyramid)).round().clamp(0, 255).to(torch.uint8).cpu()


def _noise(n: int, px: int, generator: torch.Generator) -> list[Tensor]:
    """Levels (n, 3, s, s), coarsest first, each with half the one before.

    As in photographs most of it is in large forms, and in light rather than colour: what noise
    begins with, grain or coloured clouds, a hundred steps do not get rid of.
    """
    sides = [px]
    while sides[0] >= 2 * COARSEST_PX and sides[0] % 2 == 0:
        sides.insert(0, sides[0] // 2)
    levels = []
    for i, side in enumerate(sides):
        light = torch.randn(n, 1, side, side, generator=generator)
        colour = torch.randn(n, 3, side, side, generator=generator)
        levels.append((0.4 * light + 0.1 * colour) / 2**i)
    return levels


def built(pyramid: list[Tensor]) -> Tensor:
    """The picture a pyramid adds up to, in standard deviations: (B, 3, px, px)."""
    x = pyramid[0]
    for level in pyramid[1:]:
        x = level + F.interpolate(x, size=level.shape[-2:], mode="bilinear", align_corners=False)
    return x


def to_pixels(x: Tensor) -> Tensor:
    """Standard deviations to RGB on 0..255, by ImageNet's channel statistics; not clamped."""
    mean, std = x.new_tensor(IMAGENET_MEAN), x.new_tensor(IMAGENET_STD)
    return x * std.view(1, 3, 1, 1) + mean.view(1, 3, 1, 1)


def moved(x: Tensor, settings: DreamSettings, generator: torch.Generator) -> Tensor:
    """Each picture shifted, turned, zoomed, perhaps mirrored, in its own way, as large as seen:
    (B, 3, px, px) -> (B, 3, seen_px, seen_px)."""

    def drawn(reach: float) -> Tensor:
        return (2 * torch.rand(len(x), generator=generator) - 1) * reach

    zoom, angle = torch.exp(drawn(settings.zoom)), drawn(math.radians(settings.turn))
    mirror = torch.where(drawn(1.0) < 0, -1.0, 1.0)
    across, down = drawn(2 * settings.reach), drawn(2 * settings.reach)  # of -1..1, twice a side
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    matrix = torch.stack(
        [
            torch.stack([mirror * cos, -sin, across], dim=1),
            torch.stack([mirror * sin, cos, down], dim=1),
        ],
        dim=1,
    ).to(x.device)  # (B, 2, 3)
    side = settings.seen_px or settings.px
    grid = F.affine_grid(matrix, [len(x), 3, side, side], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def priors(x: Tensor) -> dict[str, Tensor]:
    """What is known of any picture: `tv` (smooth), `l2` and `colour` (not glaring), `outside`."""
    high = to_pixels(x)
    beyond = F.relu(high - 255) + F.relu(-high)
    return {
        "tv": x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean(),
        "l2": x.square().mean(),
        "colour": (x - x.mean(dim=1, keepdim=True)).square().mean(),
        "outside": (beyond / max(IMAGENET_STD)).square().mean(),
    }


def distance(layers: list[MatchedNorm], first: float, like: Tensor) -> Tensor:
    """Sum of the layers' distances, the first one `first` times; 0 for a net without any."""
    total = like.new_zeros(())
    for i, layer in enumerate(layers):
        assert layer.distance is not None  # the network has just run
        total = total + layer.distance * (first if i == 0 else 1.0)
    return total
