"""Results: what the two homeworks found, put to the networks that ship with the app."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import p_text, points, points_interval
from core.charts.theme import glyph, role_of
from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import Collected, by_stem, collect, on_one_set
from core.collection.chart import (
    claims_chart,
    curves_chart,
    drawn_frame,
    ladder_chart,
    ladder_frame,
    mean_frame,
    short_title,
)
from core.collection.homework import (
    CLAIMS,
    DWPW,
    FIGURES,
    HARDLY,
    STRONG,
    WEAK,
    ClaimKey,
    Compressed,
    FigureKey,
    Outcome,
    Tested,
    at_size,
    command_for,
    compressed,
    curves_frame,
    flattery,
    judge,
    missing_ids,
    results_frame,
    single_differences,
)
from core.collection.recipes import recipes
from core.course import FOOD11_COUNTS, REPORTED, REPORTED_Q4
from core.errors import CheckpointError
from core.export.same_size import NEAR, SIZES_BYTES, WAYS
from core.i18n import _, ngettext
from core.source_text import source_of
from pages.kit import frame, guess, networks
from pages.kit.figure import data_button, show
from pages.kit.frame import page_link
from pages.kit.provenance import (
    explain_missing_times,
    latency,
    latency_provenance,
    measured_elsewhere,
    provenance,
)
from pages.kit.url_state import one_of, texts

Groups = Mapping[str, Collected]
STRONG_TEACHER, WEAK_TEACHER = "efficientnet_lite0-imagenet", "resnet18-scratch"
GUESSED: ClaimKey = "kd_passes_big"
SPOILING: tuple[FigureKey, ...] = ("4", "9")
"""Figures that show the networks that the guess is about."""
QUESTIONS = ("HW7 Q1", "HW7 Q2", "HW7 Q4", "HW13 Q2")
NAME_PX, ROW_PX, HEIGHT_PX = 205, 74, 640
"""Of the table of networks: a name in up to three lines; wider, a column that stays would leave a
phone nothing to scroll."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("results").question)
    st.markdown(
        _(
            "Two reports handed in for a course say what a teacher and the kind of convolution do "
            "for a small network. Here their findings meet networks trained for this app, several "
            "times each where luck could matter."
        )
    )
    shipped = networks.checkpoints()
    same, others = on_one_set(collect(shipped))
    every = by_stem(same)
    groups = {stem: group for stem, group in every.items() if group.is_trained}
    if not groups:
        networks.explain_empty()
        st.stop()
    explore([judge(claim, groups) for claim in CLAIMS], groups, every, shipped, others)
    provenance([one for group in every.values() for one in group.seeds])
    frame.foot("results")


# -- the instrument --------------------------------------------------------------------------------


@frame.section
def explore(
    answers: Sequence[Tested],
    groups: Groups,
    every: Groups,
    shipped: Sequence[Checkpoint],
    others: Sequence[Collected],
) -> None:
    """All findings in one picture, theirs and ours; a guess about one of them; everything else."""
    by_key = {one.claim.key: one for one in answers}
    with frame.instrument() as (controls, picture):
        with picture:
            asked = guess.ask(
                _(
                    "First, a guess. Taught by a strong teacher, the small student passed a plain "
                    "network 8 times its size. Will it here, on other photographs?"
                ),
                {
                    "agrees": _("yes, it passes"),
                    "differs": _("no, it stays behind"),
                    "unclear": _("not enough data"),
                },
                "guess_results",
            )
        with controls:
            titles = {key: claim_title(key) for key in by_key}
            chosen = by_key[
                one_of(st.selectbox, _("A finding"), titles, "finding", default=GUESSED)
            ]
            st.markdown("  \n".join(finding_text(chosen, asked.is_open)))
        with picture:
            rows = [claim_row(one) for one in answers]
            show(
                claims_chart(rows, chosen.claim.key, asked.is_open),
                claims_alt(rows, asked.is_open),
                key="claims",
            )
    guessed = by_key[GUESSED]
    guess.verdict(
        asked,
        asked.value == guessed.outcome(),
        f"{outcome_title(guessed.outcome())}: {contrast_line(guessed)}",
    )
    st.markdown(_("**What you see.** {lines}").format(lines=counts_line(answers, asked.is_open)))
    st.caption(
        _(
            "Grey bar and stroke: the report, one training each, on Food-11. Marks: ours, with the "
            "95 % interval over photographs and training. Other photographs: compare signs and "
            "sizes, not accuracies."
        )
    )
    frame.tabs(
        [
            frame.Tab("findings", _("Findings"), partial(list_findings, answers, asked)),
            frame.Tab("size", _("Same size"), partial(same_size, list(every.values()), shipped)),
            frame.Tab("curves", _("Curves"), partial(figures, groups, asked), ("figure",)),
            frame.Tab("table", _("Every network"), partial(final_table, every, others, asked)),
            frame.Tab("why", _("Why"), partial(why, groups)),
            frame.Tab("trap", _("Trap"), partial(trap, answers, groups, asked)),
            frame.Tab("homework", _("Homework"), homework),
        ]
    )


def claim_title(key: ClaimKey) -> str:
    """What the report found, in a few words."""
    return {
        "depthwise_loses": _("Plain, 8 times the size, beats depthwise"),
        "kd_helps": _("A strong teacher helps the student"),
        "weak_helps": _("A weak teacher helps it, too"),
        "weak_is_enough": _("A strong teacher is hardly better than a weak one"),
        "kd_passes_big": _("The distilled student passes plain, 8 times its size"),
        "plain_depthwise": _("At 1 MB, plain and depthwise are nearly equal"),
        "depthwise_group": _("At 1 MB, depthwise beats group"),
        "small_kd": _("Distillation helps below 100,000 parameters (left open)"),
    }[key]


def outcome_title(outcome: Outcome) -> str:
    """The verdict in two or three words, with a mark that needs no colour."""
    return {
        "agrees": _("✓ Agrees"),
        "differs": _("✗ Does not agree"),
        "unclear": _("≈ Not distinguishable here"),
        "answers": _("→ Our answer"),
        "missing": _("… Not trained yet"),
    }[outcome]


def claim_row(one: Tested) -> dict[str, object]:
    """A finding as the picture draws it, in points."""
    outcome, theirs = one.outcome(), one.claim.reported or (None, None)
    ours = one.found.interval() if one.found else (None, None, None)
    theirs_low, theirs_high, mean, low, high = (
        None if value is None else 100 * value for value in (*theirs, *ours)
    )
    return {
        "key": one.claim.key,
        "name": claim_title(one.claim.key),
        "theirs_low": theirs_low,
        "theirs_high": theirs_high,
        "mean": mean,
        "low": low,
        "high": high,
        "slot": {"agrees": "correct", "differs": "wrong"}.get(outcome, "text"),
        "mark": {"agrees": "triangle-right", "differs": "triangle-left"}.get(outcome, "circle"),
        "text": " ".join(filter(None, (outcome_title(outcome), points_text(one)))),
    }


def points_text(one: Tested) -> str:
    """Our difference and its interval; empty without runs."""
    if one.found is None:
        return ""
    mean, low, high = one.found.interval()
    return _("{gain} points ({interval})").format(
        gain=points(mean), interval=points_interval(low, high)
    )


def claims_alt(rows: Sequence[Mapping[str, object]], revealed: bool) -> str:
    """The picture in words."""
    hidden = _("hidden until you guess")
    lines = [f"{row['name']}: {row['text'] if revealed else hidden}" for row in rows]
    return _("Differences of accuracy, theirs and ours. {lines}.").format(lines="; ".join(lines))


# -- what you see ----------------------------------------------------------------------------------


def finding_text(one: Tested, revealed: bool) -> list[str]:
    """What the report says of a finding, and after the guess what our networks say."""
    theirs = reported_text(one) or _("no number given")
    lines = [_("**The report:** {theirs}").format(theirs=theirs)]
    if revealed:
        lines.append(f"**{outcome_title(one.outcome())}:** {contrast_line(one)}")
    else:
        lines.append(_("**Here:** after your guess"))
    return lines


def counts_line(answers: Sequence[Tested], revealed: bool) -> str:
    """How many findings hold here."""
    if not revealed:
        return _("Of the reports, {n} of {of} findings come with a number.").format(
            n=sum(one.claim.reported is not None for one in answers), of=len(answers)
        )
    parts: dict[Outcome, str] = {
        "agrees": _("our networks agree with {n}"),
        "differs": _("they disagree with {n}"),
        "unclear": _("{n} are unclear"),
        "answers": _("{n} the reports left open"),
        "missing": _("{n} wait for a training"),
    }
    counts = Counter(one.outcome() for one in answers)
    said = [text.format(n=counts[key]) for key, text in parts.items() if counts[key]]
    return _("Of {n} findings, {parts}.").format(n=len(answers), parts="; ".join(said))


def reported_text(one: Tested) -> str:
    """Their difference: "+12.8 points"; empty where they gave none."""
    if one.claim.reported is None:
        return ""
    low, high = one.claim.reported
    text = points(low) if low == high else points_interval(low, high)
    return _("{points} points").format(points=text)


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
            "ours {gain} points (mean of {seeds} seeds, 95 % interval over seeds and photographs "
            "{interval}, the same {n} test photographs)"
        ).format(seeds=len(found.pairs), **about)
    else:
        said = _(
            "ours {gain} points (one seed, 95 % interval over {n} test photographs {interval}, "
            "McNemar {p}; what luck of training adds takes more seeds)"
        ).format(p=p_text(found.pairs[0].p), **about)
    if one.claim.expects == "same":
        said += ". " + _("“Nearly equal” here means within ±{points} points").format(
            points=f"{100 * HARDLY:.1f}"
        )
    elif one.outcome() == "unclear":
        said += ". " + _("If the interval includes 0, we cannot tell which one is better")
    if differs := found.also_differs():
        said += ". " + _("The trainings also differ in {names}").format(names=", ".join(differs))
    return said + "."


# -- findings --------------------------------------------------------------------------------------


def list_findings(answers: Sequence[Tested], asked: guess.Guess[str]) -> None:
    """All findings by question, each with its verdict; those without runs say what is missing."""
    if guess.waits(asked):
        return
    for question in QUESTIONS:
        st.markdown(f"**{question}**")
        st.markdown(
            "\n".join(finding_line(one) for one in answers if one.claim.question == question)
        )


def finding_line(one: Tested) -> str:
    """A finding with its verdict and both differences."""
    details = [contrast_line(one)]
    if theirs := reported_text(one):
        details.insert(0, _("theirs {points};").format(points=theirs))
    if one.missing:
        stems = ", ".join(f"`{stem}`" for stem in one.missing)
        details.append(_("missing: {names}").format(names=stems))
    elif one.found is None:
        details.append(_("no seed is shared, or the stored answers are missing"))
    title = f"**{outcome_title(one.outcome())}** · {claim_title(one.claim.key)}"
    return f"- {title}  \n  {' '.join(filter(None, details))}"


# -- HW7 Q1: the same size by several methods ------------------------------------------------------


def same_size(every: Sequence[Collected], shipped: Sequence[Checkpoint]) -> None:
    """One big network brought to about 1 MB and 300 KB by several methods, from what is here."""
    st.markdown(
        _(
            "**HW7 Q1: compress one big model by two methods to the same size, and compare their "
            "accuracy.** Sizes are weights files in float16, or in fewer bits where that is the "
            "method, within {near} of the size."
        ).format(near=numbers.share(NEAR))
    )
    try:
        rows = compressed(every)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return
    titles = {one.id: _(one.title) for one in shipped}
    whole = {one.id: one.test.accuracy for one in shipped if one.test}
    missing: list[str] = []
    for size in SIZES_BYTES:
        st.markdown(f"**{_('About {size}').format(size=numbers.size(size))}**")
        found = at_size(rows, size)
        if not found:
            st.caption(_("Nothing of this size was measured yet."))
            continue
        bigs = sorted({big for big, _way in found}, key=lambda big: -whole.get(big, 0))
        table = [
            size_row(found[big, way], titles, whole)
            for big in bigs
            for way in WAYS
            if (big, way) in found
        ]
        st.dataframe(
            pd.DataFrame(table),
            column_config={
                "big": _("Big network"),
                "way": _("Made smaller by"),
                "size": _("File"),
                "right": _("Right (95 % interval)"),
                "lost": _("Change, points"),
            },
            hide_index=True,
            alt=_("Networks of about {size}, by big network and method.").format(
                size=numbers.size(size)
            ),
        )
        for big in bigs:
            if line := pair_line([found[big, way] for way in WAYS if (big, way) in found], titles):
                st.markdown(line)
            lacks = [way for way in WAYS if (big, way) not in found]
            if lacks and len(lacks) < len(WAYS):
                missing += [command_for(big, way, size) for way in lacks]
    if missing:
        with st.expander(_("Missing at these sizes: what makes them"), on_change="rerun") as box:
            if box.open:
                st.code("\n".join(dict.fromkeys(missing)), language="bash")


def way_title(row: Compressed, titles: Mapping[str, str]) -> str:
    """What was done to a network; of a distilled student, which one it is."""
    if row.way == "distilled":
        return _("distilled: {network}").format(network=titles.get(row.network, row.network))
    bits = ngettext("{n} bit", "{n} bits", row.bits).format(n=row.bits)
    text = {
        "lowrank": _("low rank"),
        "pruned": _("channels cut"),
        "quantised": bits,
    }[row.way]
    if not row.epochs:
        return _("{method}, no training after").format(method=text)
    after = ngettext("{n} epoch after", "{n} epochs after", row.epochs).format(n=row.epochs)
    return _("{method}, {after}").format(method=text, after=after)


def size_row(
    row: Compressed, titles: Mapping[str, str], whole: Mapping[str, float]
) -> dict[str, object]:
    """A line of the table."""
    big = whole.get(row.big)
    return {
        "big": titles.get(row.big, row.big),
        "size": numbers.size(row.size_bytes),
        "right": _("{accuracy} ({interval})").format(
            accuracy=numbers.percent(row.accuracy, row.n),
            interval=numbers.interval(row.low, row.high, row.n),
        ),
        "lost": "–" if big is None else points(row.accuracy - big),
        "way": way_title(row, titles),  # the longest: last, where it may be cut off
    }


def pair_line(rows: Sequence[Compressed], titles: Mapping[str, str]) -> str:
    """The answer for one big network: its methods by accuracy; empty for a single one."""
    if len(rows) < 2:
        return ""
    best, *rest = sorted(rows, key=lambda row: -row.accuracy)
    apart = best.low > rest[0].high
    text = (
        _("From *{big}*, {best} keeps most: {accuracy}, against {others}.")
        if apart
        else _(
            "From *{big}*, {best} measured most: {accuracy}, against {others}; the intervals "
            "overlap, so the first two are unclear."
        )
    )
    return text.format(
        big=titles.get(best.big, best.big),
        best=way_title(best, titles),
        accuracy=numbers.percent(best.accuracy, best.n),
        others=", ".join(
            f"{numbers.percent(row.accuracy, row.n)} ({way_title(row, titles)})" for row in rest
        ),
    )


# -- the reports' figures --------------------------------------------------------------------------


def figures(groups: Groups, asked: guess.Guess[str]) -> None:
    """One figure of the reports at a time: our curves, our test accuracies beside theirs."""
    named = bool(texts("figure"))  # a link asks for that figure: it is not the page that tells
    keys: dict[FigureKey, str] = {key: figure_title(key) for key in FIGURES}
    key = one_of(
        st.segmented_control, _("Figure of the report"), keys, "figure", default="9", required=True
    )
    if key in SPOILING and not named and guess.waits(asked):
        return
    curves(key, groups)
    ladder(key, groups)


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


def planned() -> dict[str, str]:
    """Ids that `python -m core reproduce` makes -> their stems."""
    return {one.id: one.id.removesuffix(f"-s{one.config.seed}") for one in recipes("quick")}


def curves(key: FigureKey, groups: Groups) -> None:
    """Accuracy per epoch, every seed; what is missing, and the command that makes it."""
    figure = FIGURES[key]
    st.markdown(f"**{figure_question(key)}**")
    epochs, without = curves_frame(groups, figure)
    if len(epochs):
        drawn = drawn_frame(epochs, groups)
        show(curves_chart(drawn), curves_alt(mean_frame(drawn)), key=f"curves-{key}")
        said = [
            _("Training accuracy is on augmented photographs, while the weights still change.")
            if figure.both_splits
            else _("Right on the validation split, epoch by epoch.")
        ]
        if epochs.groupby("stem")["seed"].nunique().max() > 1:
            said.insert(0, _("Thin lines: one seed each; thick: their mean."))
        st.caption(" ".join(said))
        st.markdown("\n".join(f"- {line}" for line in curves_lines(mean_frame(drawn))))
        data_button(epochs, f"curves-{key}")
    _say_missing(figure.stems, groups, without)


def _say_missing(stems: tuple[str, ...], groups: Groups, without: list[str]) -> None:
    plan = planned()
    stems = tuple(stem for stem in stems if stem in plan.values() or stem in groups) or stems
    missing = [id for stem in stems for id in missing_ids(stem, plan, groups)]
    if missing:
        names = [short_title(stem) for stem in stems if missing_ids(stem, plan, groups)]
        st.info(
            _("Not trained yet, in part or at all: {names}. This line makes them:").format(
                names="; ".join(names)
            ),
            icon=":material/hourglass_empty:",
        )
        st.code(f"python -m core reproduce --only {' '.join(missing)}", language="bash",
                wrap_lines=True)  # fmt: skip
    if without:
        st.info(
            _(
                "The curves of {names} did not ship with them. On the machine that trained them, "
                "this line adds them; elsewhere it trains them again:"
            ).format(names=", ".join(f"`{name}`" for name in without)),
            icon=":material/show_chart:",
        )
        st.code(
            f"python -m core reproduce --steps training --only {' '.join(without)}",
            language="bash", wrap_lines=True,
        )  # fmt: skip


def ladder(key: FigureKey, groups: Groups) -> None:
    """Our test accuracies and the reported ones of the figure's networks."""
    rungs = ladder_frame(groups, FIGURES[key])
    if rungs.empty:
        st.caption(_("Neither side has a figure for this one yet."))
        return
    show(ladder_chart(rungs, groups), ladder_alt(rungs), key=f"ladder-{key}")
    st.caption(
        _(
            "Filled mark: ours, on the test split, with its 95 % interval; faint: its seeds. "
            "Upright stroke: theirs, one training, measured on the real Food-11. Compare the "
            "order, not the heights: the photographs are not the same."
        )
    )
    data_button(rungs.drop(columns=["text", "row"]), f"ladder-{key}")


def curves_lines(mean: pd.DataFrame) -> list[str]:
    """A sentence per curve of `core.collection.chart.mean_frame`: its best epoch and its last."""
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
    """`core.collection.chart.ladder_frame` in words."""
    rows = "; ".join(
        f"{row}: {text}" for row, text in zip(frame["row"], frame["text"], strict=True)
    )
    return _("Test accuracy, ours and theirs. {rows}.").format(rows=rows)


# -- every network ---------------------------------------------------------------------------------


def final_table(groups: Groups, others: Sequence[Collected], asked: guess.Guess[str]) -> None:
    """A row a recipe: what it costs and how often it is right."""
    if guess.waits(asked):
        return
    times = latency()
    table = results_frame(groups, times)
    shown = pd.DataFrame(
        {
            "network": [
                f"{glyph(role_of(groups[stem].first))} {_(title)}"
                for stem, title in zip(table["stem"], table["title"], strict=True)
            ],
            "right": [numbers.percent(p, n) for p, n in zip(table["accuracy"], table["n"],
                                                            strict=True)],
            "interval": [
                numbers.interval(low, high, n)
                for low, high, n in zip(table["low"], table["high"], table["n"], strict=True)
            ],
            "n": table["n"],
            "seeds": table["seeds"],
            "params": table["params"],
            "bytes": [numbers.size(value) for value in table["size_bytes"]],
            "macs": [f"{value / 1e6:,.1f}{numbers.THIN}M" for value in table["macs"]],
            "ms": [None if pd.isna(ms) else numbers.milliseconds(ms) for ms in table["latency_ms"]],
            "reported": [
                None if pd.isna(theirs) else numbers.percent(theirs) for theirs in table["reported"]
            ],
        }
    )  # fmt: skip
    titles = {
        "network": _("Network"),
        "right": _("Right, test split"),
        "interval": _("95 % interval"),
        "n": _("Photographs"),
        "seeds": _("Seeds"),
        "params": _("Parameters"),
        "bytes": _("File, float16"),
        "macs": _("MACs"),
        "ms": _("Time"),
        "reported": _("Theirs, on Food-11"),
    }
    st.dataframe(
        shown,
        column_config={
            **titles,
            "network": st.column_config.TextColumn(titles["network"], pinned=True, width=NAME_PX),
            "params": st.column_config.NumberColumn(titles["params"], format="localized"),
            "n": st.column_config.NumberColumn(titles["n"], format="localized"),
        },
        hide_index=True,
        row_height=ROW_PX,
        height=HEIGHT_PX,
        alt=_("Every network with accuracy, interval, seeds, parameters, bytes, MACs and time."),
    )
    st.caption(
        _(
            "Accuracy: mean over seeds. Time: one picture, ONNX Runtime, median, lowest seed. "
            "Theirs: the reports' test accuracies, another set of photographs; the depthwise "
            "network's is that of Q1, in Q4 it is {q4}."
        ).format(q4=numbers.percent(REPORTED_Q4["dwpw_256k-scratch"].accuracy))
    )
    if table["latency_ms"].isna().any():
        explain_missing_times()
    data_button(table, "results")
    measured_elsewhere(others)
    latency_provenance(times)


# -- why, trap, homework ---------------------------------------------------------------------------


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


def why(groups: Groups) -> None:
    """What differs between their runs and ours, and how the intervals are made."""
    shown = [one for group in groups.values() for one in group.seeds if one.family != "teacher"]
    st.markdown("\n".join(f"- {line}" for line in why_lines(groups, shown)))
    st.markdown(
        _(
            "The interval of an accuracy $\\hat p$ holds two kinds of luck, which know nothing of "
            "each other, so their squares add:"
        )
    )
    st.latex(
        r"w = \sqrt{w_{\mathrm{pictures}}^2 + w_{\mathrm{seeds}}^2}, \qquad "
        r"w_{\mathrm{seeds}} = t_{k-1}\, s / \sqrt{k}"
    )
    st.markdown(
        _(
            "$w_{\\mathrm{pictures}}$ is Wilson's interval for $n$ test photographs, $s$ the "
            "spread of $k$ seeds, $t$ Student's. With one seed the second part is not known, and "
            "left out. Two networks are compared on the same photographs and the same seed, which "
            "cancels what both share; its interval holds what is left of both kinds of luck."
        )
    )
    st.code(source_of("core.stats", "accuracy_interval"), language="python",
            wrap_lines=True)  # fmt: skip


def trap(answers: Sequence[Tested], groups: Groups, asked: guess.Guess[str]) -> None:
    """What single trainings could have reported; what the best epoch flatters. From our runs."""
    if guess.waits(asked):
        return
    st.markdown(
        _(
            "A report with one training each states one difference. These are all the differences "
            "that our seeds could have given it:"
        )
    )
    lines = []
    for one in answers:
        if one.found is None:
            continue
        could = single_differences(one.found)
        if len(could) < 2:
            continue
        against = sum(value < 0 for value in could)
        lines.append(
            _(
                "*{claim}.* {n} pairs of trainings: from {low} to {high} points; {against} of them "
                "say the opposite of the others."
            ).format(
                claim=claim_title(one.claim.key),
                n=len(could),
                low=points(could[0]),
                high=points(could[-1]),
                against=min(against, len(could) - against),
            )
        )  # fmt: skip
    if not lines:
        lines.append(_("No network here has a second seed yet, so this trap cannot be shown."))
    st.markdown("\n".join(f"- {line}" for line in lines))
    flattered = flattery(groups)
    if flattered:
        gap = sum(one.best - one.typical for one in flattered) / len(flattered)
        most = max(flattered, key=lambda one: one.best - one.typical)
        st.markdown(
            _(
                "The second half of the trap: the epoch that is best on the validation split is "
                "also the luckiest. Over {n} runs it stands {gap} points above the median of the "
                "five epochs around it; most in `{id}` ({most}). That is why accuracies here are "
                "those of the test split, which chose nothing."
            ).format(
                n=len(flattered), gap=points(gap), id=most.checkpoint,
                most=points(most.best - most.typical),
            )
        )  # fmt: skip


def homework() -> None:
    """Every question of the two homeworks, and where its answer can be seen."""
    known = {one.key: one for one in frame.entries()}
    for question, what, pages in _questions():
        st.markdown(f"**{question}** {what}")
        with st.container(horizontal=True):
            for key in pages:
                if key in known:
                    page_link(known[key], known[key].name)


def _questions() -> list[tuple[str, str, tuple[str, ...]]]:
    here = _("“Curves”, figure {key}.")
    return [
        ("HW7 Q1", _("Compress one big model by two methods to the same size, and compare their "
                     "accuracy: “Same size”.") + " " + here.format(key="1, 4"),
         ("convolutions", "pruning", "quantization", "distillation", "low_rank")),
        ("HW7 Q2", _("Distil, from a teacher and from a better one.") + " " + here.format(key="9"),
         ("distillation",)),
        ("HW7 Q4", _("Three kinds of convolution at about 1 MB.") + " " + here.format(key="16"),
         ("convolutions",)),
        ("HW13 Q1", _("A student of at most 100,000 parameters.") + " " + here.format(key="HW13"),
         ("architecture", "training")),
        ("HW13 Q2.1", _("Write the distillation loss."), ("distillation",)),
        ("HW13 Q2.2", _("What does a higher temperature do?"), ("temperature",)),
        ("HW13 Q3.1", _("Pruning ratio against accuracy, teacher and student."), ("pruning",)),
        ("HW13 Q3.2", _("Does that pruning save time?"), ("pruning",)),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
