"""Changes to a design, one at a time: each gives a new, valid design or says why it cannot be."""

from typing import Any

from pydantic import ValidationError

from core.errors import ConfigError
from core.models.design import MAX_WIDTH, Design, Stage, in_words, nearest_groups

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


def widened(design: Design, factor: int) -> Design | None:
    """The design with every width `factor` times as large; None where that is too wide."""
    content = design.model_dump()
    for part in (content["stem"], *content["stages"]):
        part["width"] *= factor
        if part["width"] > MAX_WIDTH:
            return None
    return _checked(content)


def _with_stages(design: Design, stages: list[Stage]) -> Design:
    return _checked(design.model_dump() | {"stages": tuple(s.model_dump() for s in stages)})


def _checked(content: dict[str, Any]) -> Design:
    try:
        return Design.model_validate(content)
    except ValidationError as error:
        raise ConfigError(in_words(error)) from None
