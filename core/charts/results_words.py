"""What the results page says: every sentence is made from the numbers it speaks of."""

from collections.abc import Mapping, Sequence

import pandas as pd

from core.charts import numbers
from core.charts.numbers import p_text, points, points_interval
from core.checkpoints import Checkpoint
from core.course import FOOD11_COUNTS, REPORTED, REPORTED_Q4
from core.serving.collected import Collected
from core.serving.results import DWPW, STRONG, WEAK, FigureKey, Outcome, Tested
from core.words import _

STRONG_TEACHER, WEAK_TEACHER = "efficientnet_lite0-imagenet", "resnet18-scratch"


def figure_title(key: FigureKey) -> str:
    """What a figure is called in the menu."""
    return {
        "1": _("1: depthwise"),
        "4": _("4: plain, 2.2 M"),
        "9": _("9: distillation"),
        "16": _("16: about 1 MB"),
        "hw13": _("HW13: under 100 k"),
        "best": _("HW13: the best"),
        "first": _("more photographs"),
    }[key]


def figure_question(key: FigureKey) -> str:
    """What a figure was drawn to answer."""
    return {
        "1": _("HW7 Q1: how well does the small depthwise + pointwise student learn?"),
        "4": _("HW7 Q1: and the plain network that is eight times its size?"),
        "9": _("HW7 Q2: does a teacher help, and does it matter which?"),
        "16": _("HW7 Q4: at about one megabyte, which kind of convolution is best?"),
        "hw13": _("HW13 Q1 and Q2: which student under 100,000 parameters learns most?"),
        "best": _("HW13 Q1 and Q2: how far does the best one get, with and without a teacher?"),
        "first": _("Beyond the homeworks: what do other photographs of food, seen first, add?"),
    }[key]


def claim_title(one: Tested) -> str:
    """What the report found, in a few words."""
    return {
        "depthwise_loses": _("The plain network of 8 times the size beats the depthwise student."),
        "kd_helps": _("Distilling from the strong teacher helps the depthwise student."),
        "weak_helps": _("Distilling from the weak teacher helps it, too."),
        "weak_is_enough": _("The strong teacher's student is hardly better than the weak one's."),
        "kd_passes_big": _("The distilled student passes the plain network of 8 times its size."),
        "plain_depthwise": _("At 1 MB, plain and depthwise convolutions are as good as equal."),
        "depthwise_group": _("At 1 MB, depthwise beats group convolution."),
        "small_kd": _("Does distillation help a student under 100,000 parameters?"),
    }[one.claim.key]


def outcome_title(outcome: Outcome) -> str:
    """The verdict in two or three words, with a mark that needs no colour."""
    return {
        "agrees": _("✓ Agrees"),
        "differs": _("✗ Does not agree"),
        "unclear": _("≈ Not distinguishable here"),
        "answers": _("→ Our answer"),
        "missing": _("… Not trained yet"),
    }[outcome]


def reported_text(one: Tested) -> str:
    """Their difference: "theirs +12.8 points"; empty where they gave none."""
    if one.claim.reported is None:
        return ""
    low, high = one.claim.reported
    if low == high:
        return _("theirs {points} points").format(points=points(low))
    return _("theirs {interval} points").format(interval=points_interval(low, high))


def contrast_line(one: Tested) -> str:
    """Ours: the difference, its interval and what the interval is over. Empty without runs."""
    found = one.found
    if found is None:
        return ""
    mean, low, high = found.interval()
    about = {
        "gain": points(mean),
        "interval": points_interval(low, high),
        "n": numbers.count(found.pairs[0].n),
    }
    if found.over_seeds:
        said = _(
            "ours {gain} points (mean of {seeds} seeds, 95 % interval over seeds {interval}, the "
            "same {n} test photographs)"
        ).format(seeds=len(found.pairs), **about)
    else:
        said = _(
            "ours {gain} points (one seed, 95 % interval over {n} test photographs {interval}, "
            "McNemar {p}; what luck of training adds takes more seeds)"
        ).format(p=p_text(found.pairs[0].p), **about)
    if one.outcome() == "unclear":
        said += ". " + (
            _("The interval holds 0: no difference is shown, and none is ruled out")
            if one.claim.expects == "same"
            else _("The interval holds 0: this does not show that one is better")
        )
    if differs := found.also_differs():
        said += ". " + _("The trainings also differ in {names}").format(names=", ".join(differs))
    return said + "."


def _teachers(groups: Mapping[str, Collected]) -> list[str]:
    strong, weak = groups.get(STRONG_TEACHER), groups.get(WEAK_TEACHER)
    theirs_strong = numbers.percent(REPORTED["resnet18-imagenet"].accuracy)
    theirs_weak = numbers.percent(REPORTED["resnet18-scratch"].accuracy)
    lines = []
    if strong:
        lines.append(
            _(
                "The teacher: theirs was a ResNet-18 fine-tuned from ImageNet, {theirs} on "
                "Food-11; ours is {name}, {ours} on our test split."
            ).format(
                theirs=theirs_strong,
                name=_(strong.first.title),
                ours=numbers.percent(strong.interval()[0], strong.n),
            )
        )
    if weak:
        lines.append(
            _(
                "The weak teacher: a ResNet-18 from scratch in both, {theirs} theirs, {ours} ours."
            ).format(theirs=theirs_weak, ours=numbers.percent(weak.interval()[0], weak.n))
        )
    return lines


def why_lines(groups: Mapping[str, Collected], shown: Sequence[Checkpoint]) -> list[str]:
    """In what our runs differ from theirs: what may lie behind a disagreement, in numbers."""
    if not shown:
        return []
    one = shown[0]
    lines = []
    if not one.data.is_food11:
        lines.append(
            _(
                "Other photographs: {data}. {ours} to train on instead of Food-11's {theirs}, so a "
                "large network has {ratio} fewer to learn from."
            ).format(
                data=one.data.name,
                ours=numbers.count(one.data.training),
                theirs=numbers.count(FOOD11_COUNTS["training"]),
                ratio=numbers.ratio(FOOD11_COUNTS["training"] / max(1, one.data.training)),
            )
        )
    epochs = sorted({each.epochs for each in shown})
    lines.append(
        _(
            "Other schedules: ours are {epochs} epochs at {px} px, the same for every run that is "
            "compared; the reports' runs lasted as long as their authors let them."
        ).format(
            epochs=" / ".join(str(each) for each in epochs),
            px=" / ".join(str(px) for px in sorted({each.input_px for each in shown})),
        )
    )
    counts = sorted({len(group.seeds) for group in groups.values()})
    lines.append(
        _(
            "Luck: a figure of theirs is one training. Their own depthwise network stands in the "
            "report twice, with {a} and {b}. Ours are trained with {counts} seeds."
        ).format(
            a=numbers.percent(REPORTED[DWPW].accuracy),
            b=numbers.percent(REPORTED_Q4[DWPW].accuracy),
            counts=" / ".join(str(count) for count in counts),
        )
    )
    if STRONG in groups or WEAK in groups:
        lines += _teachers(groups)
    return lines


def curves_lines(mean: pd.DataFrame) -> list[str]:
    """A sentence per curve of `core.charts.results.mean_frame`: its best epoch and its last."""
    lines = []
    for series, curve in mean.groupby("series", sort=False):
        ordered = curve.sort_values("epoch")
        last, best = ordered.iloc[-1], ordered.iloc[int(ordered["accuracy"].argmax())]
        lines.append(
            _("**{name}**: {last} after {epochs} epochs, best {best} (epoch {at}).").format(
                name=series,
                last=numbers.percent(last["accuracy"]),
                epochs=last["epoch"],
                best=numbers.percent(best["accuracy"]),
                at=best["epoch"],
            )
        )
    return lines


def curves_alt(mean: pd.DataFrame) -> str:
    """The curves in words."""
    said = " ".join(line.replace("**", "") for line in curves_lines(mean))
    return _("Accuracy per epoch. {curves}").format(curves=said)


def ladder_alt(frame: pd.DataFrame) -> str:
    """`core.charts.results.ladder_frame` in words."""
    rows = "; ".join(
        f"{row}: {text}" for row, text in zip(frame["row"], frame["text"], strict=True)
    )
    return _("Test accuracy, ours and theirs. {rows}.").format(rows=rows)
