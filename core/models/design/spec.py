"""A network in a few words: what the student designer edits, links, saves and trains.

A `Design` is a stem, a list of stages and a head (average pool, one linear layer). It can write
every student of both homework reports (HW7 Q1 and Q4, HW13 Q1), ResNet-18, and whatever a reader
comes up with. It is data only: `design_plan` turns it into layers, `design_cost` counts them,
`designed` builds them, `design_source` writes them as PyTorch. Nothing here imports torch.

As JSON it is a file; as one line (`core.models.design.spec`) it is a link, and the name of the
network: `design:px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x4` is HW7's student.
"""

import codecs
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import ConfigError
from core.i18n import _, labelled, paragraph

Block = Literal["plain", "separable", "group", "basic", "bottleneck", "inverted", "resnet"]
Down = Literal["none", "pool", "stride"]
Activation = Literal["relu", "relu6", "hardswish", "silu"]
Kernel = Literal[1, 3, 5, 7]

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
    errors = error.errors()
    # pydantic counts only the stages that are right: beside a wrong one, "too short" is untrue
    inside = {wrong["loc"][:-n] for wrong in errors for n in range(1, len(wrong["loc"]))}
    true = [wrong for wrong in errors if wrong["type"] != "too_short" or wrong["loc"] not in inside]
    return paragraph(dict.fromkeys(_sentence(wrong) for wrong in true[:3]))


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
        start = labelled(field, reason) if wrong["loc"] else reason
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


# A design in one line: short enough for a link, plain enough to type.
#
#     px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x4
#
# Words are joined by hyphens. Settings come first (`px128`, an activation, `out11`, `nopad`,
# `nobias`, `func`), then the stem, then the stages in order. A stage is its block and width, then
# as needed, in any order, `x4` (repeats), `g8` (groups), `t6` (expansion), `k5` (kernel), and
# last `p` (max pool after it) or `d` (stride 2, "down"). The stem is `stem64`, then `k7`, `d`,
# `p` (2 x 2 pool) or `p3` (3 x 3 pool), `n` (no bias). What is left out is at its default.


MAX_CHARACTERS = 600
EXAMPLE = "px128-relu6-stem16p-sep32p-sep64d-sep128x2"

WORDS: dict[Block, str] = {
    "plain": "plain",
    "separable": "sep",
    "group": "group",
    "basic": "basic",
    "bottleneck": "bottle",
    "inverted": "inv",
    "resnet": "resnet",
}
_BLOCKS: dict[str, Block] = {word: block for block, word in WORDS.items()}
_NUMBER = r"(\d{1,5})"
_STAGE = re.compile(rf"({'|'.join(_BLOCKS)}){_NUMBER}((?:[xgtk]\d{{1,5}}){{0,4}})([pd]?)", re.ASCII)
_OPTION = re.compile(r"([xgtk])(\d+)", re.ASCII)
_OPTIONS = {"x": "repeats", "g": "groups", "t": "expansion", "k": "kernel"}
_STEM = re.compile(rf"stem{_NUMBER}(?:k{_NUMBER})?(d?)(p3?|)(n?)", re.ASCII)
_SETTING = re.compile(rf"(px|out){_NUMBER}", re.ASCII)
_ENDINGS: dict[Down, str] = {"none": "", "pool": "p", "stride": "d"}


def write(design: Design) -> str:
    """The design's line; `read` gives the same network back."""
    words = [f"px{design.input_px}", design.activation]
    if design.classes != 11:
        words.append(f"out{design.classes}")
    flags = {"nopad": not design.padding, "nobias": not design.bias, "func": design.functional}
    words += [word for word, is_set in flags.items() if is_set]
    words.append(_write_stem(design.stem))
    return "-".join(words + [write_stage(stage) for stage in design.stages])


def _write_stem(stem: Stem) -> str:
    return "".join(
        (
            f"stem{stem.width}",
            f"k{stem.kernel}" if stem.kernel != 3 else "",
            "d" if stem.stride == 2 else "",
            {0: "", 2: "p", 3: "p3"}[stem.pool],
            "" if stem.bias else "n",
        )
    )


def write_stage(stage: Stage) -> str:
    """One stage's word: `sep64x2d`."""
    return "".join(
        (
            f"{WORDS[stage.block]}{stage.width}",
            f"x{stage.repeats}" if stage.repeats > 1 else "",
            f"g{stage.groups}" if stage.groups > 1 else "",
            f"t{stage.expansion}" if stage.expansion != 4 else "",
            f"k{stage.kernel}" if stage.kernel != 3 else "",
            _ENDINGS[stage.down],
        )
    )


def read(data: str | bytes) -> Design:
    """The design that a line, or JSON, describes: typed, pasted, or the bytes of a file.

    A line may begin with `design:`, as a network's name does. Raises ConfigError in plain words for
    anything else.
    """
    if len(data) > MAX_JSON_BYTES:
        return from_json(data)  # which says so
    text = unwrapped(data)
    if text.startswith(("{", "｛")):
        return from_json(text)
    text = unwrapped(re.sub(r"^(design\s*:\s*)+", "", unwrapped(typed(text).lower())))
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            _("A design in one line has at most {n} characters.").format(n=MAX_CHARACTERS)
        )
    fields: dict[str, Any] = {}
    stages: list[dict[str, Any]] = []
    for word in filter(None, re.split(r"[-\s,]+", text)):
        if match := _STAGE.fullmatch(word):
            stages.append(_stage(match))
        else:
            fields |= _setting(word)
    if len(stages) > MAX_STAGES:
        raise ConfigError(_("A design has at most {most} stages.").format(most=MAX_STAGES))
    if not stages:
        raise ConfigError(
            _("A design needs at least one stage, as in {example}.").format(example=EXAMPLE)
        )
    try:
        return Design.model_validate(fields | {"stages": tuple(stages)})
    except ValidationError as error:
        raise ConfigError(in_words(error)) from None


def _stage(match: re.Match[str]) -> dict[str, Any]:
    word, width, options, ending = match.groups()
    downs = {letter: down for down, letter in _ENDINGS.items()}
    return {
        "block": _BLOCKS[word],
        "width": int(width),
        "down": downs[ending],
        **{_OPTIONS[letter]: int(number) for letter, number in _OPTION.findall(options)},
    }


def _setting(word: str) -> dict[str, Any]:
    """One word that is no stage: a setting or the stem."""
    activations: dict[str, Activation] = {name: name for name in ACTIVATIONS}
    if word in activations:
        return {"activation": activations[word]}
    flags = {"nopad": {"padding": False}, "nobias": {"bias": False}, "func": {"functional": True}}
    if word in flags:
        return flags[word]
    if match := _SETTING.fullmatch(word):
        return {"input_px" if match[1] == "px" else "classes": int(match[2])}
    if match := _STEM.fullmatch(word):
        width, kernel, down, pool, no_bias = match.groups()
        stem = {"width": int(width), "kernel": int(kernel or 3), "stride": 2 if down else 1}
        return {"stem": stem | {"pool": int(pool[1:] or 2) if pool else 0, "bias": not no_bias}}
    raise ConfigError(
        _("“{word}” is no part of a design. One looks like this: {example}").format(
            word=quoted(word), example=EXAMPLE
        )
    )


# A design as people paste it: freed from what editors, chats and word processors put around it.
#
# A byte order mark, UTF-16, quotes, code fences, zero-width characters, full-width letters and
# typographic dashes stand for nothing in a design; whoever copies one cannot see most of them.


_BOMS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MISREAD_BOMS = ("ï»¿", "ÿþ", "þÿ")
"""Byte order marks that somebody has read as Latin-1."""
_FENCES = ("```", "~~~")
_DOUBLE, _SINGLE = "“”„‟«»〝〞＂「」『』", "‘’‚‛‹›＇´"
_QUOTES = "\"'`" + _DOUBLE + _SINGLE
_TYPED = str.maketrans(dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_SINGLE, "'") | {"×": "x"})


def unwrapped(data: str | bytes) -> str:
    """The text without what stands around it: marks, spaces, a code fence, quotes.

    Bytes are UTF-8, or UTF-16 or UTF-32 by their mark or their zeros; what is none of these keeps
    replacement characters, which no design has.
    """
    text = _decoded(data) if isinstance(data, bytes) else data
    text = _stripped(text.replace("\x00", ""))  # of UTF-16 that was read as something else
    for mark in _MISREAD_BOMS:
        text = text.removeprefix(mark)
    lines = text.splitlines()
    language = lines[0].strip("`~ ") if lines else ""
    if len(lines) > 1 and lines[0].startswith(_FENCES) and (not language or language.isalnum()):
        end = -1 if lines[-1].strip() in _FENCES else None
        text = _stripped("\n".join(lines[1:end]))
    while len(text) > 1 and text[0] in _QUOTES and text.rstrip(",;")[-1:] in _QUOTES:
        text = _stripped(text.rstrip(",;")[1:-1])
    return text


def typed(text: str) -> str:
    """The text in the characters of a keyboard: no full-width letters, no typographic quotes and
    dashes, nothing without a width."""
    plain = unicodedata.normalize("NFKC", text).translate(_TYPED)
    kinds = ((letter, unicodedata.category(letter)) for letter in plain)
    return "".join(
        "-" if kind == "Pd" or letter == "−" else letter for letter, kind in kinds if kind != "Cf"
    )


def _decoded(data: bytes) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.removeprefix(mark).decode(encoding, "replace")
    if data[1:2] == b"\x00":
        return data.decode("utf-16-le", "replace")
    return data.decode("utf-16-be" if data[:1] == b"\x00" else "utf-8", "replace")


def _stripped(text: str) -> str:
    """Without spaces and characters of no width at its ends."""
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_blank(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) == "Cf"


# Changes to a design, one at a time: each gives a new, valid design or says why it cannot be.


FIRST_GROUPS = 8
"""Groups of a stage that has just become a `group` stage, or the nearest number that divides."""


def change(design: Design, field: str, value: Any, stage: int = 1) -> Design:
    """The design with one setting changed.

    `field` is a field of `Design`, of `Stem` after `stem_`, or of `Stage` for the stage of that
    number, from 1. Raises ConfigError, in plain words, if the result could not be built.
    """
    content = design.model_dump()
    if field.startswith("stem_"):
        content["stem"][field.removeprefix("stem_")] = value
    elif field in Design.model_fields:
        content[field] = value
    else:
        changed = content["stages"][stage - 1]
        changed[field] = value
        if field == "block":
            changed |= {"expansion": 4, "groups": _groups(design, stage, value)}
    return _checked(content)


def _groups(design: Design, stage: int, block: str) -> int:
    if block != "group":
        return 1
    before = design.stages[stage - 2].channels if stage > 1 else design.stem.width
    return nearest_groups(FIRST_GROUPS, before, design.stages[stage - 1].width, most=1)[0]


def add_stage(design: Design, after: int) -> Design:
    """The design with one more stage behind stage `after`: one block like it, at full side."""
    copy = design.stages[after - 1].model_copy(update={"down": "none", "repeats": 1})
    return _with_stages(design, [*design.stages[:after], copy, *design.stages[after:]])


def remove_stage(design: Design, stage: int) -> Design:
    """The design without that stage. Raises ConfigError for the only one."""
    return _with_stages(design, [*design.stages[: stage - 1], *design.stages[stage:]])


def move_stage(design: Design, stage: int, by: int) -> Design:
    """The design with that stage exchanged for the one `by` (-1 or 1) places on."""
    stages = list(design.stages)
    stages[stage - 1], stages[stage - 1 + by] = stages[stage - 1 + by], stages[stage - 1]
    return _with_stages(design, stages)


def _with_stages(design: Design, stages: list[Stage]) -> Design:
    return _checked(design.model_dump() | {"stages": tuple(s.model_dump() for s in stages)})


def _checked(content: dict[str, Any]) -> Design:
    try:
        return Design.model_validate(content)
    except ValidationError as error:
        raise ConfigError(in_words(error)) from None
