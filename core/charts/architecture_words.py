"""The architecture page's sentences: what the numbers now on the screen say."""

from collections.abc import Sequence

import pandas as pd

from core.charts import numbers
from core.charts.architecture import MEASURES, measure_text, measure_title
from core.charts.architecture_bars import budget_title, ratio_text
from core.charts.theme import glyph
from core.models.design import Activation, Block
from core.models.design_cost import Totals
from core.models.verdict import Budget, YearVerdict
from core.words import _


def block_title(block: Block) -> str:
    """What a reader calls a block."""
    return {
        "plain": _("Plain convolution"),
        "separable": _("Depthwise + pointwise"),
        "group": _("Group convolution"),
        "basic": _("BasicBlock, separable"),
        "bottleneck": _("Bottleneck, separable"),
        "inverted": _("Inverted residual"),
        "resnet": _("BasicBlock, ResNet's"),
    }[block]


def block_note(block: Block) -> str:
    """What is in a block, layer by layer, and where it comes from."""
    return {
        "plain": _("k × k convolution, BatchNorm, activation."),
        "separable": _(
            "HW7: depthwise k × k, BatchNorm, activation, pointwise 1 × 1, nothing after it."
        ),
        "group": _("As plain, its channels in groups that never meet inside the layer."),
        "basic": _("HW13's report: two depthwise + pointwise pairs, and the input added."),
        "bottleneck": _(
            "HW13's report: narrow by 1 × 1, k × k, widen four times by 1 × 1; the input added."
        ),
        "inverted": _(
            "MobileNetV2: widen by 1 × 1, depthwise k × k, narrow by 1 × 1; the input added."
        ),
        "resnet": _("He et al. 2015: two k × k convolutions, and the input added."),
    }[block]


def activation_title(activation: Activation) -> str:
    """The activation's usual name."""
    return {"relu": "ReLU", "relu6": "ReLU6", "hardswish": "Hardswish", "silu": "SiLU"}[activation]


def largest(frame: pd.DataFrame, name: str) -> tuple[str, float]:
    """The part of `parts_frame` with the most of a measure, and its share of the whole."""
    shares = frame[f"{name}_share"].tolist()
    most = max(shares)
    return str(frame["part"].iloc[shares.index(most)]), most


def stage_cost(stage: Totals, whole: Totals) -> str:
    """What one stage of a design costs, beside the whole network, in a line."""
    return _(
        "This stage: {params} parameters ({params_share}), {macs} MACs ({macs_share}). "
        "The whole: **{all_params}** and {all_macs}."
    ).format(
        params=numbers.count(stage.params),
        params_share=numbers.share(stage.params / whole.params),
        macs=measure_text("macs", stage.macs),
        macs_share=numbers.share(stage.macs / whole.macs),
        all_params=numbers.count(whole.params),
        all_macs=measure_text("macs", whole.macs),
    )


def halves(frame: pd.DataFrame, name: str) -> tuple[float, float, float]:
    """Shares of a measure of `parts_frame`: first half of the parts, second half, classifier."""
    shares = frame[f"{name}_share"]
    middle = (len(frame) - 1) // 2
    return (
        float(shares.iloc[:middle].sum()),
        float(shares.iloc[middle:-1].sum()),
        float(shares.iloc[-1]),
    )


def seen(frame: pd.DataFrame, totals: Totals, input_px: int) -> list[str]:
    """Two or three sentences on where a network's costs sit, and how far it looks."""
    (part, share), (other, other_share) = largest(frame, "params"), largest(frame, "macs")
    early, late = halves(frame, "macs"), halves(frame, "params")
    return [
        _(
            "Most parameters sit in **{part}** ({share}), most MACs in **{other}** ({other_share})."
        ).format(
            part=part,
            share=numbers.share(share),
            other=other,
            other_share=numbers.share(other_share),
        ),
        _(
            "The first half of the parts does {macs} of the MACs with {params} of the parameters; "
            "the second half holds {late} of the parameters. Early maps are large and thin, late "
            "ones small and deep."
        ).format(
            macs=numbers.share(early[0]),
            params=numbers.share(late[0]),
            late=numbers.share(late[1]),
        ),
        reach(totals, input_px),
    ]


def reach(totals: Totals, input_px: int) -> str:
    """How much of the picture one value of the last map sees."""
    field, area = totals.receptive_field, (totals.receptive_field / input_px) ** 2
    if area >= 1:
        return _(
            "One value of the last map sees a square of {field} px, as much as the {px} px of the "
            "photo or more: in the middle of the map it sees all of it."
        ).format(field=numbers.count(field), px=input_px)
    narrow = _(
        "One value of the last map sees a square of {field} px of the {px} px photo, {share} of "
        "its area."
    ).format(field=field, px=input_px, share=numbers.share(area))
    if area > 0.5:
        return narrow
    return f"{narrow} " + _(
        "No part of this network ever sees a whole plate: the average pool at the end can only "
        "take the mean of what many such squares say."
    )


def parts_alt(name: str, frame: pd.DataFrame, totals: Totals) -> str:
    """The parts chart in words."""
    lines = [
        _("{measure} {total}, most in {part} ({share})").format(
            measure=measure_title(measure),
            total=measure_text(measure, getattr(totals, measure)),
            part=largest(frame, measure)[0],
            share=numbers.share(largest(frame, measure)[1]),
        )
        for measure in MEASURES
    ]
    return _("Bars for each part of {name}, from the stem to the classifier. {costs}.").format(
        name=name, costs="; ".join(lines)
    )


def ratios_seen(first: str, second: str, frame: pd.DataFrame) -> list[str]:
    """What the second network saves, and what it does not."""
    ratio = dict(zip(frame["measure"], frame["ratio"], strict=True))
    lines = [
        _("**{second}** against **{first}**: parameters {params}, MACs {macs}.").format(
            first=first,
            second=second,
            params=ratio_text(ratio["params"]),
            macs=ratio_text(ratio["macs"]),
        ),
        _("Memory for the feature maps: {memory}.").format(
            memory=ratio_text(ratio["activation_bytes"])
        ),
    ]
    if ratio["params"] > 2 and ratio["activation_bytes"] < ratio["params"] / 2:
        lines.append(
            _(
                "Fewer parameters do not mean smaller maps: a map's size is its channels and its "
                "side, whatever convolution made it. Memory traffic is one reason why time does "
                "not fall as parameters do."
            )
        )
    if ratio["layers"] < 0.95:
        lines.append(
            _(
                "It has more layers ({ratio}): each is little work, but each has to be started, "
                "and its map written and read."
            ).format(ratio=ratio_text(ratio["layers"]))
        )
    return lines


def ratios_alt(first: str, second: str, frame: pd.DataFrame) -> str:
    """The comparison chart in words."""
    said = [
        f"{measure_title(line['measure'])} {ratio_text(line['ratio'])}"
        for line in frame.to_dict("records")
    ]
    return _("What {second} needs, compared with {first}: {said}.").format(
        first=first, second=second, said=", ".join(said)
    )


def verdict_words(verdict: YearVerdict) -> str:
    """One year's verdict in a line."""
    spare = verdict.limit - verdict.params
    if verdict.counts:
        return _("✓ **may be handed in**: {n} of {limit}, {spare} to spare").format(
            n=numbers.count(verdict.params),
            limit=numbers.count(verdict.limit),
            spare=numbers.count(spare),
        )
    return _("✗ **scores 0**: {n}, {over} over the limit of {limit}").format(
        n=numbers.count(verdict.params),
        limit=numbers.count(verdict.limit),
        over=numbers.count(-spare),
    )


def budgets_line(budgets: Sequence[Budget]) -> str:
    """Every limit with its mark, in one line."""
    marks = {"within": glyph("correct"), "over": glyph("wrong"), "about": "≈"}
    return " · ".join(f"{marks[one.answer]} {budget_title(one)}" for one in budgets if one.strict)


def budgets_alt(texts: Sequence[str]) -> str:
    """The budget bars in words."""
    return _("How much of each of the course's limits this network uses. {lines}.").format(
        lines="; ".join(texts)
    )
