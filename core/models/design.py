"""A network in a few words: what the student designer edits, links, saves and trains.

A `Design` is a stem, a list of stages and a head (average pool, one linear layer). It can write
every student of both homework reports (HW7 Q1 and Q4, HW13 Q1), ResNet-18, and whatever a reader
comes up with. It is data only: `design_plan` turns it into layers, `design_cost` counts them,
`designed` builds them, `design_source` writes them as PyTorch. Nothing here imports torch.

As JSON it is a file; as one line (`core.models.design_line`) it is a link, and the name of the
network: `design:px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x4` is HW7's student.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import ConfigError
from core.models.design_text import typed, unwrapped
from core.words import _

Block = Literal["plain", "separable", "group", "basic", "bottleneck", "inverted", "resnet"]
Down = Literal["none", "pool", "stride"]
Activation = Literal["relu", "relu6", "hardswish", "silu"]
Kernel = Literal[1, 3, 5, 7]

BLOCKS: tuple[Block, ...] = get_args(Block)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
RESIDUAL: tuple[Block, ...] = ("basic", "bottleneck", "inverted", "resnet")
"""Blocks that add their input to their output where the shapes agree."""

MAX_STAGES, MAX_REPEATS, MAX_WIDTH, MAX_GROUPS = 12, 12, 1024, 1024
MAX_JSON_BYTES = 20_000
BOTTLENECK_EXPANSION = 4

Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class Stem(_Part):
    """The first convolution, on the 3 colour channels, with BatchNorm and activation."""

    width: Width = 16
    """Channels it gives."""
    kernel: Kernel = 3
    stride: Literal[1, 2] = 1
    pool: Literal[0, 2, 3] = 0
    """Max pool after it: none, 2 x 2, or 3 x 3 with stride 2 as in ResNet."""
    bias: bool = True


class Stage(_Part):
    """`repeats` blocks of one kind and width; the side is halved once, or not at all."""

    block: Block = "plain"
    width: Width = 32
    """Channels each block gives; a bottleneck gives four times as many."""
    repeats: Annotated[int, Field(ge=1, le=MAX_REPEATS)] = 1
    down: Down = "none"
    """`pool`: 2 x 2 max pool after the last block; `stride`: the first block steps by 2."""
    kernel: Kernel = 3
    groups: Annotated[int, Field(ge=1, le=MAX_GROUPS)] = 1
    """Groups of a `group` block's convolution."""
    expansion: Annotated[int, Field(ge=1, le=8)] = 4
    """How many times wider an `inverted` block is inside."""

    @model_validator(mode="after")
    def _only_its_own_settings(self) -> Self:
        if self.groups != 1 and self.block != "group":
            raise ValueError(_("only a “group” block has groups"))
        if self.expansion != 4 and self.block != "inverted":
            raise ValueError(_("only an “inverted” block has an expansion"))
        return self

    @property
    def channels(self) -> int:
        """Channels that leave the stage."""
        return self.width * (BOTTLENECK_EXPANSION if self.block == "bottleneck" else 1)


class Design(_Part):
    """A whole network. Valid means buildable: every channel count divides, no side reaches 0."""

    name: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_]{0,39})?$")] = ""
    """For the file's name: small letters, digits, underscores."""
    title: Annotated[str, Field(max_length=60)] = ""
    source: Annotated[str, Field(max_length=300)] = ""
    """Where the design comes from, for those that ship with the app."""
    input_px: Annotated[int, Field(ge=32, le=512, multiple_of=16)] = 128
    """Side of the square picture, in pixels; as training takes it."""
    classes: Annotated[int, Field(ge=2, le=1000)] = 11
    activation: Activation = "relu6"
    padding: bool = True
    """False: convolutions lose a border, as in HW13's sample student."""
    bias: bool = True
    """Whether the stages' convolutions have biases; a BatchNorm behind one makes them idle."""
    functional: bool = False
    """True: activations outside a separable convolution, and the last pool, are written as
    function calls, which torchsummary does not list (HW13's residual student)."""
    stem: Stem = Stem()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES)] = (Stage(),)

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        channels = self.stem.width
        for number, stage in enumerate(self.stages, 1):
            if not self.padding and stage.block in RESIDUAL:
                raise ValueError(
                    _(
                        "stage {n}: without padding the shapes of a “{block}” block never agree"
                    ).format(n=number, block=stage.block)
                )
            self._check_groups(number, stage, channels)
            channels = stage.channels
        for number, side in enumerate(self.sides()):
            if side < 1:
                where = _("stage {n}").format(n=number) if number else _("the stem")
                raise ValueError(
                    _("{where} shrinks a picture of {px} pixels to nothing: halve it less often")
                    .format(where=where, px=self.input_px)
                )  # fmt: skip
        return self

    @staticmethod
    def _check_groups(number: int, stage: Stage, channels: int) -> None:
        for width in (channels, stage.width):
            if width % stage.groups:
                fit = ", ".join(map(str, nearest_groups(stage.groups, channels, stage.width)))
                raise ValueError(
                    _("stage {n}: {groups} groups do not divide {width} channels; these do: {fit}")
                    .format(n=number, groups=stage.groups, width=width, fit=fit)
                )  # fmt: skip

    def sides(self) -> Iterator[int]:
        """Side of the feature map after the stem, then after each stage; ends at a side of 0."""
        side = conv_side(self.input_px, self.stem.kernel, self.stem.stride, self.padding)
        if self.stem.pool:
            side = (side + 1) // 2 if self.stem.pool == 3 else side // 2
        yield side
        for stage in self.stages:
            for number in range(stage.repeats):
                step = 2 if stage.down == "stride" and number == 0 else 1
                side = conv_side(side, stage.kernel, step, self.padding) if side > 0 else 0
            if stage.down == "pool":
                side //= 2
            yield side
            if side < 1:
                return

    @property
    def line(self) -> str:
        """The design in one line; its name, title and source are not in it."""
        from core.models.design_line import write

        return write(self)

    @property
    def key(self) -> str:
        """Eight hexadecimal digits that stand for the network, whatever it is called."""
        return hashlib.sha256(self.line.encode()).hexdigest()[:8]

    @property
    def slug(self) -> str:
        """A short name that is safe in file names: the design's own, else `design_<key>`."""
        return self.name or f"design_{self.key}"

    def to_json(self) -> str:
        """Indented JSON; what is left at its default is left out, except widths and blocks."""
        kept = self.model_dump(mode="json", exclude_defaults=True)
        kept["stages"] = [
            {"block": stage.block, "width": stage.width}
            | stage.model_dump(mode="json", exclude_defaults=True)
            for stage in self.stages
        ]
        kept["stem"] = {"width": self.stem.width} | kept.get("stem", {})
        first = {"input_px": self.input_px, "activation": self.activation}
        names = {key: kept.pop(key) for key in ("name", "title", "source") if key in kept}
        return json.dumps(names | first | kept, indent=1, ensure_ascii=False) + "\n"


def conv_side(side: int, kernel: int, stride: int, padding: bool) -> int:
    """Output side of a convolution, padded by kernel // 2 or not at all."""
    return (side + 2 * (kernel // 2 if padding else 0) - kernel) // stride + 1


def nearest_groups(wanted: int, *channels: int, most: int = 4) -> list[int]:
    """Up to `most` numbers of groups that divide all `channels`, nearest to `wanted`, sorted."""
    fit = [g for g in range(1, min(channels) + 1) if all(c % g == 0 for c in channels)]
    return sorted(sorted(fit, key=lambda g: (abs(g - wanted), g))[:most])


def from_json(data: str | bytes) -> Design:
    """The design in a JSON file or pasted text. Raises ConfigError, in plain words, for others.

    It may be hostile: its size is checked first, and nothing in it is run or looked up.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ConfigError(
            _("A design is a small file; this one is over {n:,} bytes.").format(n=MAX_JSON_BYTES)
        )
    text = unwrapped(data)
    try:
        return Design.model_validate_json(text.encode(errors="replace"))
    except ValidationError as error:
        if typed(text) != text and error.errors()[0]["type"] == "json_invalid":
            return from_json(typed(text))
        raise ConfigError(in_words(error)) from None


def quoted(word: str) -> str:
    """A stranger's word, short and without what a page could take for a link or for markup."""
    return re.sub(r"[^\w+-]", "?", word)[:30]


def in_words(error: ValidationError) -> str:
    """What pydantic found wrong with a design, in a sentence or two for its author."""
    found = error.errors()
    # pydantic counts only the stages that are right: beside a wrong one, "too short" is untrue
    inside = {wrong["loc"][:-n] for wrong in found for n in range(1, len(wrong["loc"]))}
    true = [wrong for wrong in found if wrong["type"] != "too_short" or wrong["loc"] not in inside]
    return " ".join(dict.fromkeys(_sentence(wrong) for wrong in true[:3]))


def _sentence(wrong: object) -> str:
    assert isinstance(wrong, dict)
    kind, limits = wrong["type"], wrong.get("ctx", {})
    if kind == "json_invalid":
        return _("This is not JSON, so it cannot be a design.")
    # a pydantic location counts stages from 0; a key comes out of the file itself
    place = [str(p + 1) if isinstance(p, int) else quoted(p) for p in wrong["loc"]]
    field = " ".join(place).replace("stages ", "stage ", 1) or _("the design")
    if kind == "value_error":
        reason = str(limits["error"])
        start = f"{field}: {reason}" if wrong["loc"] else reason
        return _("This design cannot be built: {reason}.").format(reason=start)
    allowed = limits.get("le") if "le" in limits else limits.get("ge")
    texts = {
        "missing": _("{field} is missing."),
        "extra_forbidden": _("A design has no “{field}”."),
        "int_type": _("{field} must be a whole number."),
        "int_from_float": _("{field} must be a whole number."),
        "int_parsing_size": _("{field} is far too large."),
        "bool_type": _("{field} must be true or false."),
        "string_type": _("{field} must be a text."),
        "greater_than_equal": _("{field} must be at least {allowed}."),
        "less_than_equal": _("{field} must be at most {allowed}."),
        "multiple_of": _("{field} must be a multiple of {step}."),
        "literal_error": _("{field} must be one of {expected}."),
        "too_long": _("A design has at most {most} stages."),
        "too_short": _("A design needs at least one stage."),
        "string_too_long": _("{field} is too long."),
        "string_pattern_mismatch": _("{field} may hold small letters, digits and underscores."),
    }
    text = texts.get(kind, _("{field} is not what a design needs there."))
    return text.format(
        field=field,
        allowed=allowed,
        step=limits.get("multiple_of"),
        expected=limits.get("expected", ""),
        most=MAX_STAGES,
    )
