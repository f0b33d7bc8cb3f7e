"""A design in one line: short enough for a link, plain enough to type.

    px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x4

Words are joined by hyphens. Settings come first (`px128`, an activation, `out11`, `nopad`,
`nobias`, `func`), then the stem, then the stages in order. A stage is its block and width, then as
needed, in any order, `x4` (repeats), `g8` (groups), `t6` (expansion), `k5` (kernel), and last `p`
(max pool after it) or `d` (stride 2, "down"). The stem is `stem64`, then `k7`, `d`, `p` (2 x 2
pool) or `p3` (3 x 3 pool), `n` (no bias). What is left out is at its default.
"""

import re
from typing import Any

from pydantic import ValidationError

from core.errors import ConfigError
from core.models.design import (
    ACTIVATIONS,
    MAX_JSON_BYTES,
    MAX_STAGES,
    Activation,
    Block,
    Design,
    Down,
    Stage,
    Stem,
    from_json,
    in_words,
    quoted,
)
from core.models.design_text import typed, unwrapped
from core.words import _

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
        if found := _STAGE.fullmatch(word):
            stages.append(_stage(found))
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


def _stage(found: re.Match[str]) -> dict[str, Any]:
    word, width, options, ending = found.groups()
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
    if found := _SETTING.fullmatch(word):
        return {"input_px" if found[1] == "px" else "classes": int(found[2])}
    if found := _STEM.fullmatch(word):
        width, kernel, down, pool, no_bias = found.groups()
        stem = {"width": int(width), "kernel": int(kernel or 3), "stride": 2 if down else 1}
        return {"stem": stem | {"pool": int(pool[1:] or 2) if pool else 0, "bias": not no_bias}}
    raise ConfigError(
        _("“{word}” is no part of a design. One looks like this: {example}").format(
            word=quoted(word), example=EXAMPLE
        )
    )
