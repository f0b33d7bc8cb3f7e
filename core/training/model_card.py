"""A model card in Markdown: what a checkpoint is, where it comes from, what it can and cannot.

The headings follow Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from collections.abc import Sequence
from typing import Any

from core.checkpoints import Checkpoint, load_manifest
from core.course import CLASSES


def model_card(one: Checkpoint, report: dict[str, Any] | None = None) -> str:
    """The card, in English. `report`: the run's report.json, for the accuracy of each class."""
    lines = [
        f"# {one.title}",
        "",
        f"`{one.id}`, made {one.date} with Small Plates on {one.device}, commit {one.commit}.",
        "",
        "## Model",
        f"- network `{one.model}`, {one.params:,} parameters",
        f"- {one.macs:,} MACs for a picture of {one.input_px} px",
        f"- weights: safetensors, {one.size_bytes:,} bytes, {one.weights_dtype}",
        f"- recipe {one.recipe}, seed {one.seed}, {one.epochs} epochs, {one.wall_s:,.0f} s",
        f"- teacher: {f'`{one.teacher}`' if one.teacher else 'none'}",
        *_start(one),
        "",
        "## Data",
        f"- {one.data.name}{'' if _is_said(one) else ' (this is not Food-11)'}",
        f"- fingerprint `{one.data.fingerprint}`; {one.data.training:,} training, "
        f"{one.data.validation:,} validation, {one.data.testing:,} test photographs",
        *_more(one),
        "",
        "## Measured",
    ]
    for split, score in (("validation", one.validation), ("test", one.test)):
        if score is not None:
            low, high = score.ci95
            lines.append(
                f"- {split}: {score.correct:,} of {score.n:,} right, {score.accuracy:.2%} "
                f"(95 % interval {low:.2%} to {high:.2%})"
            )
    lines.append("- the validation split chose the epoch, so its figure flatters a little")
    if report:
        lines += ["", f"| class ({report['split']}) | right | of |", "|---|---|---|"]
        lines += _classes(report["confusion"])
    lines += [
        "",
        "## Use",
        "For teaching. It knows eleven kinds of food and answers with one of them whatever it is "
        "shown; do not decide by it what somebody may eat.",
        "",
        "## Settings",
        *(f"- {name}: {value}" for name, value in one.config.items()),
        "",
    ]
    return "\n".join(lines)


def _start(one: Checkpoint) -> list[str]:
    """Where its weights began, and with them what else it learned from."""
    name = one.config.get("start_from")
    if not name:
        return []
    first = load_manifest().get(name)
    return [
        f"- started from `{name}`" + (f", which learned from: {first.data.name}" if first else "")
    ]


def _more(one: Checkpoint) -> list[str]:
    more = one.data.more
    if more is None:
        return []
    said = "" if more.is_food11 or "not food-11" in more.name.lower() else " (not Food-11)"
    return [
        f"- learned from besides: {more.training:,} photographs of {more.name}{said}, fingerprint "
        f"`{more.fingerprint}`; not measured on them"
    ]


def _is_said(one: Checkpoint) -> bool:
    """Whether the name of the data leaves no doubt."""
    return one.data.is_food11 or "not food-11" in one.data.name.lower()


def _classes(confusion: Sequence[Sequence[int]]) -> list[str]:
    return [
        f"| {name} | {row[i]:,} | {sum(row):,} |"
        for i, (name, row) in enumerate(zip(CLASSES, confusion, strict=True))
    ]
