"""Results: the two homeworks' figures and tables again, from the runs that ship with the app."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import p_text, points, points_interval
from core.charts.theme import glyph, role_of
from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import Collected, by_stem, collect, on_one_set
from core.collection.chart import (
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
    STRONG,
    WEAK,
    FigureKey,
    Outcome,
    Tested,
    curves_frame,
    flattery,
    judge,
    missing_ids,
    results_frame,
    single_differences,
)
from core.collection.latency import LatencyTable
from core.collection.recipes import recipes
from core.course import FOOD11_COUNTS, REPORTED, REPORTED_Q4
from core.i18n import _
from core.source_text import source_of
from pages.kit import frame, networks
from pages.kit.figure import data_button, show
from pages.kit.frame import foot, page_link
from pages.kit.provenance import (
    explain_missing_times,
    latency,
    latency_provenance,
    measured_elsewhere,
    provenance,
)
from pages.kit.url_state import guess, one_of

# ------------------------------------------------------------------------------------------------
# What the results page says: every sentence is made from the numbers it speaks of.


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
            "ours {gain} points (mean of {seeds} seeds, 95 % interval over seeds and photographs "
            "{interval}, the same {n} test photographs)"
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


# ------------------------------------------------------------------------------------------------
# What the reports found, one sentence each, put to our networks.


GUESSED = "kd_passes_big"
ORDER = ("HW7 Q1", "HW7 Q2", "HW7 Q4", "HW13 Q2")


def guess_title(guess: Outcome) -> str:
    """What a guess is called."""
    return {
        "agrees": _("yes, it passes"),
        "differs": _("no, it stays behind"),
        "unclear": _("nobody could tell from this"),
    }[guess]


def predict_first() -> Outcome | None:
    """One tap before looking."""
    guessed: Outcome | None = guess(
        _(
            "First, a guess. The report says: taught by a strong teacher, the small student passes "
            "a plain network eight times its size. Will it here, on other photographs?"
        ),
        ("agrees", "differs", "unclear"),
        format_func=guess_title,
        key="guess_results",
    )
    return guessed


def list_claims(answers: Sequence[Tested], guess: Outcome | None) -> None:
    """All claims by question, each with its verdict; those without runs say which are missing."""
    told: dict[Outcome, str] = {
        "agrees": _("our networks agree with {n}"),
        "differs": _("they disagree with {n}"),
        "unclear": _("{n} cannot be told here"),
        "answers": _("{n} the reports left open"),
        "missing": _("{n} wait for a training"),
    }
    counts = Counter(one.outcome() for one in answers)
    parts = [text.format(n=counts[key]) for key, text in told.items() if counts[key]]
    st.markdown(
        _("Of the {n} lines below, {parts}.").format(n=len(answers), parts="; ".join(parts))
    )
    for question in ORDER:
        st.markdown(f"**{question}**")
        for one in answers:
            if one.claim.question == question:
                st.markdown(_line(one))
                if one.claim.key == GUESSED and guess is not None:
                    _tell(one, guess)


def _line(one: Tested) -> str:
    said = [f"- **{outcome_title(one.outcome())}** · {claim_title(one)}"]
    details = list(filter(None, (reported_text(one), contrast_line(one))))
    if one.missing:
        details.append(
            _("missing: {names}").format(names=", ".join(f"`{stem}`" for stem in one.missing))
        )
    elif one.found is None:
        details.append(_("no seed is shared, or the stored answers are missing"))
    return "  \n  ".join([*said, "; ".join(details)])


def _tell(one: Tested, guess: Outcome) -> None:
    if one.found is None:
        st.caption(_("Your guess waits for these networks."))
        return
    told = _("Well seen.") if one.outcome() == guess else _("Not quite.")
    st.caption(told + " " + _("You guessed “{guess}”.").format(guess=guess_title(guess)))


# ------------------------------------------------------------------------------------------------
# One figure of the reports at a time: our curves, then our test accuracies beside theirs.


Groups = Mapping[str, Collected]


def choose_figure() -> FigureKey:
    """Which figure, kept in the link."""
    titles: dict[FigureKey, str] = {key: figure_title(key) for key in FIGURES}
    return one_of(
        st.segmented_control, _("Figure of the report"), titles, "figure", default="9",
        required=True,
    )  # fmt: skip


def planned() -> dict[str, str]:
    """Ids that `python -m core reproduce` makes -> their stems."""
    return {one.id: one.id.removesuffix(f"-s{one.config.seed}") for one in recipes("quick")}


def curves(key: FigureKey, groups: Groups) -> None:
    """Accuracy per epoch, every seed; what is missing, and the command that makes it."""
    figure = FIGURES[key]
    st.markdown(f"**{figure_question(key)}**")
    frame, without = curves_frame(groups, figure)
    if len(frame):
        drawn = drawn_frame(frame, groups)
        show(curves_chart(drawn), curves_alt(mean_frame(drawn)), key=f"curves-{key}")
        said = [
            _("Training accuracy is on augmented photographs, while the weights still change.")
            if figure.both_splits
            else _("Right on the validation split, epoch by epoch.")
        ]
        if frame.groupby("stem")["seed"].nunique().max() > 1:
            said.insert(0, _("Thin lines: one seed each; thick: their mean."))
        st.caption(" ".join(said))
        st.markdown("\n".join(f"- {line}" for line in curves_lines(mean_frame(drawn))))
        data_button(frame, f"curves-{key}")
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


def ladder(key: FigureKey, groups: Groups) -> pd.DataFrame:
    """Our test accuracies and the reported ones of the figure's networks."""
    figure = FIGURES[key]
    frame = ladder_frame(groups, figure)
    if frame.empty:
        st.caption(_("Neither side has a figure for this one yet."))
        return frame
    show(ladder_chart(frame, groups), ladder_alt(frame), key=f"ladder-{key}")
    st.caption(
        _(
            "Filled mark: ours, on the test split, with its 95 % interval; faint: its seeds. "
            "Upright stroke: theirs, one training, measured on the real Food-11. Compare the "
            "order, not the heights: the photographs are not the same."
        )
    )
    data_button(frame.drop(columns=["text", "row"]), f"ladder-{key}")
    return frame


# ------------------------------------------------------------------------------------------------
# Around the results: why studies differ, the trap of a single training, where questions live.


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
            "cancels what both share."
        )
    )
    st.code(source_of("core.stats", "accuracy_interval"), language="python",
            wrap_lines=True)  # fmt: skip


def trap(answers: Sequence[Tested], groups: Groups) -> None:
    """What single trainings could have reported; what the best epoch flatters. From our runs."""
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
                "*{claim}* {n} pairs of trainings: from {low} to {high} points; {against} of them "
                "say the opposite of the others."
            ).format(
                claim=claim_title(one), n=len(could), low=points(could[0]), high=points(could[-1]),
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
    here = _("Above: figure {key}.")
    return [
        ("HW7 Q1", _("Compress by depthwise convolutions; name four families of compression.")
         + " " + here.format(key="1, 4"),
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


# ------------------------------------------------------------------------------------------------
# The final table: a row a recipe, what it costs and how often it is right.


NAME_PX, ROW_PX, HEIGHT_PX = 205, 74, 640
"""A name in up to three lines: wider, a column that stays would leave a phone nothing to scroll."""


def final_table(groups: Mapping[str, Collected], times: LatencyTable | None) -> pd.DataFrame:
    """Draw the table; returns every figure in it, for the CSV."""
    frame = results_frame(groups, times)
    shown = pd.DataFrame(
        {
            "network": [
                f"{glyph(role_of(groups[stem].first))} {_(title)}"
                for stem, title in zip(frame["stem"], frame["title"], strict=True)
            ],
            "right": [numbers.percent(p, n) for p, n in zip(frame["accuracy"], frame["n"],
                                                            strict=True)],
            "interval": [
                numbers.interval(low, high, n)
                for low, high, n in zip(frame["low"], frame["high"], frame["n"], strict=True)
            ],
            "n": frame["n"],
            "seeds": frame["seeds"],
            "params": frame["params"],
            "bytes": [numbers.size(value) for value in frame["size_bytes"]],
            "macs": [f"{value / 1e6:,.1f}{numbers.THIN}M" for value in frame["macs"]],
            "ms": [None if pd.isna(ms) else numbers.milliseconds(ms) for ms in frame["latency_ms"]],
            "reported": [
                None if pd.isna(theirs) else numbers.percent(theirs) for theirs in frame["reported"]
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
        "bytes": _("File"),
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
        ).format(q4=_q4())
    )
    if frame["latency_ms"].isna().any():
        explain_missing_times()
    return frame


def _q4() -> str:
    from core.course import REPORTED_Q4

    return numbers.percent(REPORTED_Q4["dwpw_256k-scratch"].accuracy)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("results").question)
    st.markdown(
        _(
            "Two reports handed in for a course found that a teacher helps a small network, "
            "and that "
            "the kind of convolution matters. Here are their figures again, from networks that "
            "were "
            "trained for this app, several times each where luck could matter."
        )
    )

    found = networks.checkpoints()
    same, others = on_one_set(collect(found))
    every = by_stem(same)
    groups = {stem: group for stem, group in every.items() if group.is_trained}
    if not groups:
        networks.explain_empty()
        st.stop()

    guess = predict_first()

    st.subheader(_("The figures, again"))
    chosen = choose_figure()
    with st.container(border=True):
        curves(chosen, groups)
    st.subheader(_("Theirs and ours, side by side"))
    ladder(chosen, groups)

    st.subheader(_("What agrees with the reports, and what does not"))
    answers = [judge(claim, groups) for claim in CLAIMS]
    list_claims(answers, guess)

    st.subheader(_("Every network"))
    times = latency()
    table = final_table(every, times)
    measured_elsewhere(others)

    with st.expander(
        _("Why it may not agree, and what the intervals mean"), icon=":material/function:"
    ):
        why(groups)

    with st.expander(_("Trap: one training each"), icon=":material/warning:"):
        trap(answers, groups)

    with st.expander(
        _("From the homework: every question, and its page"), icon=":material/school:"
    ):
        homework()

    provenance([one for group in every.values() for one in group.seeds])
    latency_provenance(times)
    foot("results", table)


if __name__ == "__main__":
    main()
