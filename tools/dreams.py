"""`python -m tools dreams`: pictures that a teacher network thinks up, made, judged and packed.

Dreaming: noise is changed until a teacher sees food in it (DeepInversion, Yin et al. 2020,
"Dreaming to Distill"). No photograph is read: all that is known of food comes out of the teacher's
weights. A batch of pictures x, meant to be the classes y, goes downhill on
    CE(teacher(x'), y) + bn * sum over BatchNorm layers of their distance (`MatchedNorm`)
    + tv * total variation + l2 * size + colour * saturation + a term for what lies outside 0..255,
where x' is x moved, turned, zoomed and mirrored a little, anew at each step: what only one
alignment of pixels would say to the network averages out. (Of the paper, the competition with a
student is left out.)

What is optimised is not the pixels but a pyramid of pictures, 8 px to `px`, that are enlarged and
added up: Adam then moves large forms as fast as grain, and a hundred steps do what takes thousands
on plain pixels.

The batches wait in a folder `dreams-<key>` among this machine's runs:

    128-000.npy ...    a finished batch (B, 3, px, px) uint8, one of each class in turn
    spent.json         seconds of work of each batch

The key stands for the teacher's weights and every setting: with another teacher it is another
folder. Killing the process loses the running batch and nothing else; a batch's random numbers
hang on its seed and number alone, so it comes out the same whatever ran before.

At last two networks judge the pictures as they are shipped, through JPEG and through the very steps
that prepare an upload. The teacher should see what it dreamed of. The harder judge was trained on
its own and never heard this teacher: what it recognises is in the picture, not in the teacher's
head. `core.data.dreams` reads what is packed here.
"""

import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F
from tyro.conf import arg

from core import checkpoints
from core.checkpoints import Checkpoint
from core.cli.answer import Answer, table
from core.cli.train import device_here
from core.cli.train import say as tell
from core.collection.recipes import TEACHER
from core.course import CLASSES
from core.data.dreams import (
    MARK,
    SHOW_PX,
    TRAIN_PX,
    Dreams,
    DreamSet,
    Sheet,
    dreams_dir,
    load_dreams,
    sheet_jpeg,
    tiles,
)
from core.errors import CheckpointError, DataError
from core.i18n import _
from core.inference.predict import predictor, softmax
from core.models.registry import IMAGENET_MEAN, IMAGENET_STD, ModelSpec, get
from core.paths import read_json, runs_dir, write_atomic, write_json
from core.photos import prepare
from core.provenance import commit, library_versions
from core.training.photographs import derive, generator
from core.training.speed import best_device, device_name, keep_memory

COARSEST_PX = 8
OUTSIDE = 5.0
"""Weight of the term for colours that no pixel can have."""
QUALITY = 90
MOST_COLUMNS = 12


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


Plan = tuple[DreamSettings, ...]
PLAN: Plan = (
    DreamSettings(
        px=SHOW_PX, per_class=4, validation=0, batch_per_class=2, steps=120, finer=1.0, tv=0.5
    ),
    DreamSettings(
        px=TRAIN_PX,
        seen_px=96,
        per_class=96,
        batch_per_class=8,
        steps=40,
        lr=0.06,
        finer=0.8,
        tv=1.5,
    ),
)
"""Those to look at first: they are few, and show at once whether the teacher dreams of food."""
RECIPE = 1
"""Raise it when `dream` changes what comes out: older batches are then not used."""


# -- the distance from what BatchNorm remembers ----------------------------------------------------


class _Matched(torch.autograd.Function):
    """BatchNorm in eval mode that also returns the distance of its input's statistics.

    Autograd's own way costs more than the network: the variance alone, on a processor, ten times
    what all convolutions do. So it is one function with its gradient written out.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mu: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        n = x.numel() // x.shape[1]
        mean, spread = torch.empty_like(mu), torch.empty_like(var)
        torch.batch_norm_update_stats(x, mean.zero_(), spread.zero_(), 1.0)
        spread.mul_((n - 1) / n)  # it gives n - 1 its due; the gradient below does not
        off, ratio = mean - mu, ((spread + eps) / (var + eps)).log()
        distance = (off.square() / (var + eps)).mean() + ratio.square().mean() / 2
        by_mean = 2 * off / (var + eps) / len(mu)  # d distance / d mean, of each channel
        by_var = ratio / (spread + eps) / len(mu)
        # d mean / d x = 1 / n and d variance / d x = 2 (x - mean) / n: linear in x
        slope = 2 * by_var / n
        ctx.save_for_backward(x, slope, by_mean / n - slope * mean, weight * (var + eps).rsqrt())
        return F.batch_norm(x, mu, var, weight, bias, False, 0.0, eps), distance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        through, of_distance = grads
        x, slope, offset, scale = ctx.saved_tensors
        zeros, ones = torch.zeros_like(slope), torch.ones_like(slope)
        # slope x + offset in one pass: a BatchNorm that does nothing else
        pulled = F.batch_norm(
            x, zeros, ones, slope * of_distance, offset * of_distance, False, 0.0, 0.0
        )
        return pulled.addcmul_(through, scale.view(1, -1, 1, 1)), None, None, None, None, None


class MatchedNorm(nn.Module):
    """Stands in for a BatchNorm2d in eval mode; `distance` is that of the latest batch.

    A BatchNorm layer keeps the mean and variance of everything it saw in training: a summary of the
    training photographs that ships with the weights. DeepInversion (eq. 4) asks of made-up pictures
    that they leave the same statistics in every layer. Here the distance of a layer is counted in
    its own units: mean over channels of
        (m - mu)^2 / s^2 + (ln v - ln s^2)^2 / 2
    for the batch's mean m and variance v against the remembered mu and s^2. The paper's plain norms
    let the layers with the largest variances drown all others (in EfficientNet-Lite0 by a factor of
    thousands).
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        zeros, ones = torch.zeros_like(norm.running_mean), torch.ones_like(norm.running_var)
        self.register_buffer("mean", norm.running_mean.detach().clone())
        self.register_buffer("var", norm.running_var.detach().clone())
        self.register_buffer("weight", ones if norm.weight is None else norm.weight.detach())
        self.register_buffer("bias", zeros if norm.bias is None else norm.bias.detach())
        self.eps = norm.eps
        self.distance: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape, normalised by the remembered statistics."""
        y, self.distance = _Matched.apply(x, self.mean, self.var, self.weight, self.bias, self.eps)
        return y


def match(net: nn.Module) -> list[MatchedNorm]:
    """Put a MatchedNorm in place of every BatchNorm2d that keeps statistics; `net` is changed.

    Freezes the weights and sets eval mode. The layers come back in the network's order; an empty
    list means that there is nothing to match.
    """
    net.eval().requires_grad_(False)
    layers = []
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and child.running_mean is not None:
                layers.append(MatchedNorm(child))
                setattr(module, name, layers[-1])
    return layers


# -- one batch -------------------------------------------------------------------------------------


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
    layers = [layer for layer in net.modules() if isinstance(layer, MatchedNorm)] or match(net)
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


# -- all batches -----------------------------------------------------------------------------------


def state(teacher: str, plan: Plan | None = None) -> str:
    """`done` if these very dreams are shipped, `started` if a batch of them is there, `missing`."""
    plan = plan or PLAN
    entry = checkpoints.load_manifest().get(teacher)
    if entry is None:
        return "missing"
    try:
        shipped = load_dreams()
    except DataError:
        shipped = None
    if (
        shipped is not None
        and shipped.teacher_sha256 == entry.weights_sha256
        and [dream_set.settings for dream_set in shipped.sets]
        == [settings.model_dump() for settings in plan]
    ):
        return "done"
    return "started" if any(run_folder(entry, plan).glob("*.npy")) else "missing"


def run_folder(teacher: Checkpoint, plan: Plan) -> Path:
    """Where the batches of these dreams wait to be packed."""
    facts = [
        teacher.weights_sha256,
        RECIPE,
        *(settings.model_dump(mode="json") for settings in plan),
    ]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return runs_dir() / f"dreams-{key}"


def make_dreams(
    teacher: str,
    say: Callable[[str], None],
    plan: Plan | None = None,
    device: str | None = None,
) -> None:
    """Dream what is missing of `plan` (`PLAN`), then pack and judge it all (`pack`).

    `say` hears every batch. Raises CheckpointError where the teacher is missing or damaged or
    another process is dreaming the same, OSError for a full disk; finished batches are kept.
    """
    plan = plan or PLAN
    entry = checkpoints.get(teacher)
    if state(teacher, plan) == "done":
        return
    folder = run_folder(entry, plan)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=1):
            _dream_all(entry, plan, folder, device or best_device(), say)
            made = [gathered(settings, folder) for settings in plan]
            pack(entry, plan, made, sum(_spent(folder).values()))
    except Timeout as error:
        raise CheckpointError(_("Another process is dreaming these right now.")) from error
    say(_("The dreams are in {folder}.").format(folder="pretrained/dreams"))


def batches(settings: DreamSettings) -> int:
    """How many batches a set takes; the last one may hold more dreams than are kept."""
    return -(-settings.per_class // settings.batch_per_class)


def batch_file(folder: Path, settings: DreamSettings, number: int) -> Path:
    """Where batch `number` (from 0) of a set is kept."""
    return folder / f"{settings.px}-{number:03}.npy"


def gathered(settings: DreamSettings, folder: Path) -> NDArray[np.uint8]:
    """All batches of a set, class by class: (11, per_class, 3, px, px) uint8."""
    parts = [_read(batch_file(folder, settings, i), settings) for i in range(batches(settings))]
    whole = [part for part in parts if part is not None]
    assert len(whole) == len(parts)  # they have just been made
    per = settings.batch_per_class
    shaped = [part.reshape(per, len(CLASSES), *part.shape[1:]) for part in whole]
    return np.concatenate(shaped).swapaxes(0, 1)[:, : settings.per_class]


def _dream_all(
    entry: Checkpoint,
    plan: Plan,
    folder: Path,
    device: str,
    say: Callable[[str], None],
) -> None:
    todo = [
        (settings, number)
        for settings in plan
        for number in range(batches(settings))
        if _read(batch_file(folder, settings, number), settings) is None
    ]
    if not todo:
        return
    keep_memory()
    net, spec = checkpoints.load_model(entry.id).to(device), get(entry.model)
    for settings, number in todo:
        began = time.perf_counter()
        pictures, terms = _dream_batch(net, spec, settings, number)
        seconds = time.perf_counter() - began
        buffer = io.BytesIO()
        np.save(buffer, pictures, allow_pickle=False)
        write_atomic(batch_file(folder, settings, number), buffer.getvalue())
        write_json(folder / "spent.json", _spent(folder) | {f"{settings.px}-{number}": seconds})
        say(
            _(
                "{px} px, batch {number} of {of}: {rate:.1f} pictures x steps/s, "
                "cross-entropy {ce:.3f}, BatchNorm distance {bn:.2f}"
            ).format(
                px=settings.px, number=number + 1, of=batches(settings),
                rate=len(pictures) * settings.steps / seconds, ce=terms["ce"], bn=terms["bn"],
            )
        )  # fmt: skip


def _dream_batch(
    net: nn.Module, spec: ModelSpec, settings: DreamSettings, number: int
) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """One batch and the terms of its last step."""
    labels = torch.arange(len(CLASSES)).repeat(settings.batch_per_class)
    random = generator(derive(settings.seed, "dreams", settings.px), number)
    last: dict[str, float] = {}
    pictures = dream(net, spec, labels, settings, random, lambda step, terms: last.update(terms))
    return pictures.numpy(), last


def _read(file: Path, settings: DreamSettings) -> NDArray[np.uint8] | None:
    """A finished batch; None where there is none or it is not one of these settings."""
    try:
        pictures = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    n = settings.batch_per_class * len(CLASSES)
    fits = pictures.shape == (n, 3, settings.px, settings.px) and pictures.dtype == np.uint8
    return pictures if fits else None


def _spent(folder: Path) -> dict[str, Any]:
    try:
        seconds = read_json(folder / "spent.json")
    except (OSError, ValueError):
        return {}
    return seconds if isinstance(seconds, dict) else {}


# -- judged and packed -----------------------------------------------------------------------------


def pack(
    teacher: Checkpoint,
    plan: tuple[DreamSettings, ...],
    made: list[NDArray[np.uint8]],
    compute_s: float,
) -> Dreams:
    """Write the sheets and dreams.json; `made` holds (11, per_class, 3, px, px) uint8 a setting.

    After a crash the old list and its sheets are still there, or the new ones: sheets are named by
    what is in them, and those that no list names go last. Raises OSError for a full disk.
    """
    folder, checker = dreams_dir(), independent(teacher)
    sets = []
    for settings, pictures in zip(plan, made, strict=True):
        columns = min(MOST_COLUMNS, settings.per_class)
        sheets = []
        for label, of_class in enumerate(pictures):
            data = sheet_jpeg(of_class, columns, QUALITY)
            sha256 = hashlib.sha256(data).hexdigest()
            name = f"{settings.px}-{label:02}-{sha256[:8]}.jpg"
            write_atomic(folder / name, data)
            sheets.append(
                Sheet(
                    label=label, file=name, sha256=sha256, bytes=len(data),
                    teacher_answers=(0,) * len(of_class), teacher_sure=(0.0,) * len(of_class),
                )
            )  # fmt: skip
        plain = DreamSet(
            px=settings.px,
            columns=columns,
            validation=settings.validation,
            settings=settings.model_dump(),
            sheets=tuple(sheets),
        )
        sets.append(_judged(plain, teacher, checker))
    dreams = Dreams(
        teacher=teacher.id,
        teacher_sha256=teacher.weights_sha256,
        checker=checker.id if checker else None,
        checker_sha256=checker.weights_sha256 if checker else None,
        sets=tuple(sets),
        commit=commit(),
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        device=device_name(best_device()),
        compute_s=round(compute_s, 1),
        versions=library_versions(),
    )
    write_json(folder / "dreams.json", dreams.model_dump(mode="json"))
    named = {sheet.file for dream_set in dreams.sets for sheet in dream_set.sheets}
    for old in folder.glob("*.jpg"):
        if old.name not in named:
            old.unlink()
    return dreams


def independent(teacher: Checkpoint) -> Checkpoint | None:
    """The best network that heard no teacher and is not this one, by its validation accuracy.

    None where there is none. A version of a network is that network.
    """
    others = [
        checkpoint
        for checkpoint in checkpoints.load_manifest().values()
        if checkpoint.model != teacher.model
        and checkpoint.teacher is None
        and checkpoint.recipe.startswith("scratch")
        and checkpoint.derived_from is None
        and checkpoint.validation is not None
        and checkpoint.data.fingerprint == teacher.data.fingerprint
    ]
    return max(
        others,
        key=lambda checkpoint: (checkpoint.validation.accuracy, checkpoint.id),  # type: ignore[union-attr]
        default=None,
    )


def _judged(plain: DreamSet, teacher: Checkpoint, checker: Checkpoint | None) -> DreamSet:
    sheets = []
    for sheet in plain.sheets:
        pictures = tiles(plain, sheet.label)
        p = _probabilities(teacher, pictures)
        answers = _probabilities(checker, pictures).argmax(1).tolist() if checker else []
        judged = {
            "teacher_answers": tuple(p.argmax(1).tolist()),
            "teacher_sure": tuple(round(float(sure), 4) for sure in p[:, sheet.label]),
            "checker_answers": tuple(answers),
        }
        sheets.append(sheet.model_copy(update=judged))
    return plain.model_copy(update={"sheets": tuple(sheets)})


def _probabilities(who: Checkpoint, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 11) of what a checkpoint says of (n, 3, px, px) uint8, prepared as an upload is."""
    images = [Image.fromarray(picture.transpose(1, 2, 0)) for picture in pictures]
    squares = np.stack([prepare(image, who.input_px, who.crop) for image in images])
    return softmax(predictor(who.id).logits(squares))


# -- the command -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DreamCommand:
    """Make the dreams that ship: pictures thought up by the teacher, no photographs.

    About half an hour on one core; a finished batch is kept, so the same command goes on after a
    stop. Dreams that are there already are not made again.
    """

    list: bool = False
    """Only say which dreams there are, and what two networks see in them."""

    teacher: Annotated[str, arg(metavar="CHECKPOINT")] = TEACHER
    """Who dreams."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to compute; without it, on the GPU if there is one."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        if not self.list:
            device = device_here(self.device)
            if hasattr(os, "nice"):
                os.nice(10)  # half an hour that nobody waits for: whatever else runs goes first
            make_dreams(self.teacher, tell, device=device)
        dreams = load_dreams()
        if dreams is None:
            raise DataError(
                _("There are no generated pictures here: python -m tools dreams makes them")
            )
        rows = []
        for dream_set in dreams.sets:
            (right, n), (also, checked) = dream_set.right("teacher"), dream_set.right("checker")
            rows.append(
                {
                    "px": dream_set.px,
                    "dreams": n,
                    "validation": dream_set.validation * len(dream_set.sheets),
                    "bytes": sum(sheet.bytes for sheet in dream_set.sheets),
                    "teacher_right": right,
                    "checker_right": also if checked else None,
                }
            )
        message = _("{teacher} dreamed them ({mark}); {checker} was asked, too.").format(
            teacher=dreams.teacher, mark=MARK(), checker=dreams.checker or _("no other network")
        )
        document = {"folder": str(dreams_dir()), **dreams.model_dump(mode="json")}
        return Answer(document, f"{table(rows)}\n{message}")
