"""Results: what the two homeworks found, put to the networks that ship with the app."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import p_text, points, points_interval
from core.charts.theme import glyph
from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import Collected, by_stem, collect, on_one_set
from core.collection.chart import (
    accuracy_text,
    claims_chart,
    curves_chart,
    ladder_chart,
    ladder_rows,
    mean_curves,
    short_title,
)
from core.collection.homework import (
    CLAIMS,
    DWPW,
    FIGURES,
    HARDLY,
    ClaimKey,
    Compressed,
    FigureKey,
    Outcome,
    Tested,
    at_size,
    compressed,
    curves,
    flattery,
    is_better,
    judge,
    missing_ids,
    network_rows,
    single_differences,
)
from core.collection.recipes import recipes
from core.course import FOOD11_COUNTS, REPORTED, REPORTED_Q4
from core.errors import CheckpointError
from core.export.same_size import BIG, NEAR, SIZES_BYTES, WAYS, SameSize
from core.i18n import _, bracketed, labelled, ngettext, paragraph
from core.report import QUESTIONS, question_text
from core.source_text import source_of
from pages.kit import frame, guess, networks, quiz
from pages.kit.figure import data_button, show, source, table
from pages.kit.provenance import (
    explain_missing_times,
    latency,
    latency_provenance,
    measured_elsewhere,
    provenance,
)
from pages.kit.url_state import one_of, texts

Groups = Mapping[str, Collected]
GUESSED: ClaimKey = "kd_passes_big"
SPOILING: tuple[FigureKey, ...] = ("4", "9")
"""Figures that show the networks that the guess is about."""
TABLE_PX = 640
"""Of the table of networks."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("results").question)
    st.markdown(
        _(
            "Two homework reports compared teachers and kinds of convolution, with one training "
            "each. Do our networks, trained several times on other photographs, agree?"
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
    provenance([seed for group in every.values() for seed in group.seeds])
    frame.foot("results")


@frame.section
def explore(
    answers: Sequence[Tested],
    groups: Groups,
    every: Groups,
    shipped: Sequence[Checkpoint],
    others: Sequence[Collected],
) -> None:
    """All findings in one picture, theirs and ours; a guess about one of them; everything else."""
    by_key = {answer.claim.key: answer for answer in answers}
    rows = {answer.claim.key: claim_row(answer) for answer in answers}
    names = {key: claim_name(key) for key in by_key}
    hidden = _("hidden until you guess")
    with frame.instrument() as (controls, picture):
        with controls:
            chosen = by_key[one_of(st.selectbox, _("Finding"), names, "finding", default=GUESSED)]
            texts = st.container()
            st.caption(
                _(
                    "Grey: the reports, one training each, on Food-11. Marks: ours, with 95 % "
                    "intervals over photographs and seeds."
                )
            )
        with picture:
            place = st.container()
            guessed = guess.ask(
                _(
                    "Guess: in the report, the distilled student beats a plain network 8 times "
                    "larger. Does ours?"
                ),
                {
                    "agrees": _("yes"),
                    "differs": _("no, it is worse"),
                    "unclear": _("not distinguishable"),
                },
                "guess_results",
            )
            answer = by_key[GUESSED]
            _mark, _space, outcome = outcome_title(answer.outcome()).partition(" ")
            text = labelled(outcome, contrast_text(answer, basis_text(answer)))
            guess.verdict(guessed, guessed.value == answer.outcome(), text)
        with texts:
            reported = reported_text(chosen) or _("no number given")
            ours = rows[chosen.claim.key]["text"] if guessed.is_open else hidden
            lines = [
                _("{sentence}.").format(sentence=claim_title(chosen.claim.key)),
                _("**The report:** {reported}").format(reported=reported),
                _("**Here:** {text}").format(text=ours),
            ]
            st.markdown("  \n".join(lines))
        with place:
            lines = [
                labelled(str(row["name"]), str(row["text"]) if guessed.is_open else hidden)
                for row in rows.values()
            ]
            show(
                claims_chart(list(rows.values()), chosen.claim.key, guessed.is_open),
                _("Differences of accuracy, theirs and ours. {lines}.").format(
                    lines=_("; ").join(lines)
                ),
                key="claims",
            )
    sentence = counts_text(answers, guessed.is_open)
    st.markdown(_("**What you see.** {sentence}").format(sentence=sentence))
    frame.tabs(
        [
            frame.Tab("findings", _("Findings"), partial(list_findings, answers, guessed)),
            frame.Tab("size", _("Same size"), partial(same_size, list(every.values()), shipped)),
            frame.Tab("curves", _("Curves"), partial(figures, groups, guessed), ("figure",)),
            frame.Tab("table", _("Every network"), partial(every_network, every, others, guessed)),
            frame.Tab("why", _("Why"), partial(why, groups)),
            frame.Tab("trap", _("Trap"), partial(trap, answers, groups, guessed)),
            frame.Tab("homework", _("Homework"), homework),
            quiz.tab(partial(_quiz, answers), "", guessed),
        ]
    )


def claim_title(key: ClaimKey) -> str:
    """What the report found, in a few words."""
    return {
        "depthwise_loses": _("Plain (8 times larger) beats depthwise"),
        "kd_helps": _("A strong teacher helps the student"),
        "weak_helps": _("A weak teacher helps the student"),
        "weak_is_enough": _("A strong teacher is hardly better than a weak one"),
        "stronger_helps": _("A still stronger teacher helps more (left open)"),
        "kd_passes_big": _("The distilled student beats plain (8 times larger)"),
        "plain_depthwise": _("At 1 MB, plain and depthwise are nearly equal"),
        "depthwise_group": _("At 1 MB, depthwise beats group"),
        "small_kd": _("Distillation helps below 100,000 parameters (left open)"),
    }[key]


def claim_name(key: ClaimKey) -> str:
    """What the menu calls a finding: it is narrow; the whole title stands below it."""
    return {
        "depthwise_loses": _("Plain beats depthwise"),
        "kd_helps": _("A strong teacher helps"),
        "weak_helps": _("A weak teacher helps"),
        "weak_is_enough": _("Strong hardly beats weak"),
        "stronger_helps": _("A still stronger teacher helps"),
        "kd_passes_big": _("The distilled student beats plain"),
        "plain_depthwise": _("1 MB: plain equals depthwise"),
        "depthwise_group": _("1 MB: depthwise beats group"),
        "small_kd": _("Distillation helps the smallest"),
    }[key]


def outcome_title(outcome: Outcome) -> str:
    """The verdict in two or three words, with a mark that needs no colour."""
    return {
        "agrees": _("✓ Agrees"),
        "differs": _("✗ Does not agree"),
        "unclear": _("≈ Not distinguishable"),
        "undecided": _("≈ Undecided"),
        "answers": _("→ Our answer"),
        "missing": _("… Not trained yet"),
    }[outcome]


def claim_row(answer: Tested) -> dict[str, object]:
    """A finding as the picture draws it, in points."""
    outcome, reported = answer.outcome(), answer.claim.reported or (None, None)
    ours = answer.contrast.interval() if answer.contrast else (None, None, None)
    keys = ("theirs_low", "theirs_high", "mean", "low", "high")
    text = outcome_title(outcome)
    if answer.contrast:
        gain, *interval = answer.contrast.interval()
        difference = _("{gain} points ({interval})").format(
            gain=points(gain), interval=points_interval(*interval)
        )
        text = f"{text} {difference}"
    return {
        "key": answer.claim.key,
        "name": claim_title(answer.claim.key),
        **{
            key: None if value is None else 100 * value
            for key, value in zip(keys, (*reported, *ours), strict=True)
        },
        "slot": {"agrees": "correct", "differs": "wrong"}.get(outcome, "text"),
        "mark": {"agrees": "triangle-right", "differs": "triangle-left"}.get(outcome, "circle"),
        "text": text,
    }


def counts_text(answers: Sequence[Tested], revealed: bool) -> str:
    """How many findings hold here."""
    if not revealed:
        return _("For {n} of these {of} findings, the reports give a number.").format(
            n=sum(answer.claim.reported is not None for answer in answers), of=len(answers)
        )
    parts: dict[Outcome, str] = {
        "agrees": _("our networks agree with {n}"),
        "differs": _("disagree with {n}"),
        "unclear": _("not distinguishable: {n}"),
        "undecided": _("undecided: {n}"),
        "answers": _("left open by the reports: {n}"),
        "missing": _("not trained yet: {n}"),
    }
    counts = Counter(answer.outcome() for answer in answers)
    texts = [text.format(n=counts[key]) for key, text in parts.items() if counts[key]]
    return _("Of {n} findings, {parts}.").format(n=len(answers), parts=_("; ").join(texts))


def reported_text(answer: Tested) -> str:
    """Their difference: "+12.8 points"; empty where they gave none."""
    if answer.claim.reported is None:
        return ""
    low, high = answer.claim.reported
    text = points(low) if low == high else points_interval(low, high)
    return _("{points} points").format(points=text)


def basis_text(answer: Tested) -> str:
    """What our interval is over; empty without runs."""
    if answer.contrast is None:
        return ""
    pairs = answer.contrast.pairs
    text = (
        _("mean of {seeds} seeds, 95 % interval over seeds and {n} test photographs")
        if answer.contrast.over_seeds
        else _(
            "one seed, 95 % interval over {n} test photographs, McNemar {p}; the luck of training "
            "takes more seeds"
        )
    )
    return text.format(n=numbers.count(pairs[0].n), seeds=len(pairs), p=p_text(pairs[0].p))


def contrast_text(answer: Tested, basis: str = "") -> str:
    """Ours: the difference with its interval, `basis`, and how to read it. Empty without runs."""
    if answer.contrast is None:
        return ""
    gain, low, high = answer.contrast.interval()
    text = _("ours {gain} points ({interval})").format(
        gain=points(gain), interval=points_interval(low, high)
    )
    sentences = [_("{text}, {basis}").format(text=text, basis=basis) if basis else text]
    if answer.claim.expects == "same":
        nearly = _("“Nearly equal” here means within ±{points} points")
        sentences.append(nearly.format(points=f"{100 * HARDLY:.1f}"))
    elif answer.outcome() == "unclear":
        sentences.append(_("The interval includes 0: they are not distinguishable"))
    if differs := answer.contrast.also_differs():
        sentences.append(
            _("The trainings also differ in {names}").format(names=_(", ").join(differs))
        )
    return paragraph(_("{sentence}.").format(sentence=each) for each in sentences)


def list_findings(answers: Sequence[Tested], guessed: guess.Guess[str]) -> None:
    """All findings by question, each with its verdict; those without runs say what is missing."""
    if guess.waits(guessed):
        return
    bases = [basis for answer in answers if (basis := basis_text(answer))]
    usual = max(bases, key=bases.count, default="")
    by_question: dict[str, list[str]] = {}
    for answer in answers:
        basis = basis_text(answer)
        details = [contrast_text(answer, basis if basis != usual else "")]
        if reported := reported_text(answer):
            details.insert(0, _("theirs {points};").format(points=reported))
        if answer.missing:
            stems = _(", ").join(f"`{stem}`" for stem in answer.missing)
            details.append(_("missing: {names}").format(names=stems))
        elif answer.contrast is None:
            details.append(_("no seed is shared, or the stored answers are missing"))
        title = f"**{outcome_title(answer.outcome())}** · {claim_title(answer.claim.key)}"
        by_question.setdefault(answer.claim.question, []).append(
            f"- {title}  \n  {paragraph(filter(None, details))}"
        )
    for question, lines in by_question.items():
        st.markdown(f"**{question}**")
        st.markdown("\n".join(lines))
    if usual:
        st.caption(_("Ours, where nothing else is said: {basis}.").format(basis=usual))


def same_size(every: Sequence[Collected], shipped: Sequence[Checkpoint]) -> None:
    """HW7 Q1: one big network brought to about 1 MB and 300 KB by several methods."""
    st.markdown(
        _(
            "**HW7 Q1: compress one big model by two methods to the same size, and compare their "
            "accuracy.** Sizes, within {near}: weights in float16, or in the bits of the method."
        ).format(near=numbers.share(NEAR))
    )
    try:
        rows = compressed(every)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return
    titles = {checkpoint.id: _(checkpoint.title) for checkpoint in shipped}
    whole = {each.id: each.test.accuracy for each in shipped if each.test}
    params = {each.id: each.params for each in shipped}
    for size_bytes in SIZES_BYTES:
        near, size = at_size(rows, size_bytes), numbers.size(size_bytes)
        if not near:
            st.caption(_("**About {size}**: nothing was measured yet.").format(size=size))
        bigs = sorted({big for big, _way in near}, key=lambda big: -whole.get(big, 0))
        for big in bigs:
            ways = [near[big, way] for way in WAYS if (big, way) in near]
            times = [row.measured.latency.get("onnx_1") if row.measured else None for row in ways]
            title = titles.get(big, big)
            st.markdown(_("**About {size}**, from *{big}*").format(size=size, big=title))
            columns = {
                _("Method"): [way_title(row, titles) for row in ways],
                _("File"): [numbers.size(row.size_bytes) for row in ways],
                _("Right (95 % interval)"): [right_text(row) for row in ways],
                _("Change, points"): [
                    points(row.accuracy - whole[big]) if big in whole else "–" for row in ways
                ],
                _("MACs"): [
                    numbers.short_count(row.measured.macs) if row.measured else "–" for row in ways
                ],
                _("Time"): [numbers.milliseconds(time.median) if time else "–" for time in times],
            }
            table(columns, 1, [_("MACs"), _("Time")], f"size-{size_bytes}-{big}")
            if len(ways) > 1:
                st.markdown(same_size_text(ways, titles))
            one_bit_bytes = params.get(big, 0) // 8
            if (big, "quantised") not in near and one_bit_bytes > size_bytes * (1 + NEAR):
                st.caption(
                    _("Not quantised: its {n} weights would take {size} with one bit each.").format(
                        n=numbers.short_count(params[big]), size=numbers.size(one_bit_bytes)
                    )
                )
    lengths = {row.epochs for row in rows if row.measured}
    if len(lengths) == 1:
        st.caption(
            _(
                "Networks with a time: trained for {n} epochs after compression, a distilled "
                "student from random weights; one training each."
            ).format(n=lengths.pop())
        )
    tried = {row.big for row in rows if row.measured}
    if untried := [id for id in BIG if id in whole and id not in tried]:
        with st.expander(
            _("Commands that train every method equally long"), on_change="rerun"
        ) as box:
            if box.open:
                st.code("\n".join(SameSize.command.format(name=id) for id in untried), "bash")


def right_text(row: Compressed) -> str:
    """Accuracy with its interval."""
    return bracketed(
        numbers.percent(row.accuracy, row.n), numbers.interval(row.low, row.high, row.n)
    )


def way_title(row: Compressed, titles: Mapping[str, str]) -> str:
    """What was done to a network; of a distilled student, which one it is."""
    if row.way == "distilled":
        network = titles.get(row.network, row.network) or _("a smaller design")
        return _("distilled: {network}").format(network=network)
    method = {
        "lowrank": _("low rank"),
        "pruned": _("channels cut"),
        "quantised": ngettext("{n} bit", "{n} bits", row.bits).format(n=row.bits),
    }[row.way]
    if row.measured is not None:  # said once: all of them learned for as long
        return method
    if not row.epochs:
        return _("{method}, no training after").format(method=method)
    after = ngettext("{n} epoch after", "{n} epochs after", row.epochs).format(n=row.epochs)
    return _("{method}, {after}").format(method=method, after=after)


def same_size_text(rows: Sequence[Compressed], titles: Mapping[str, str]) -> str:
    """The answer for one big network: its methods (two at least) by accuracy."""
    best, *others = sorted(rows, key=lambda row: -row.accuracy)
    text = (
        _("Best: {best}, {accuracy}; then {others}.")
        if is_better(best, others[0])
        else _("Highest: {best}, {accuracy}; then {others}. The first two are not distinguishable.")
    )
    words = text.format(
        best=way_title(best, titles),
        accuracy=numbers.percent(best.accuracy, best.n),
        others=_(", ").join(
            _("{value} ({detail})").format(
                value=numbers.percent(row.accuracy, row.n), detail=way_title(row, titles)
            )
            for row in others
        ),
    )
    return paragraph([words])


def figure_titles() -> dict[FigureKey, tuple[str, str]]:
    """What a figure is called in the menu, and what it was drawn to answer."""
    return {
        "1": (_("1: depthwise"),
              _("HW7 Q1: how well does the small depthwise + pointwise student learn?")),
        "4": (_("4: plain, 2.2 M"),
              _("HW7 Q1: how well does a plain network of 8 times the size learn?")),
        "9": (_("9: distillation"),
              _("HW7 Q2: does a teacher help, and does it matter which?")),
        "16": (_("16: about 1 MB"),
               _("HW7 Q4: at about one megabyte, which kind of convolution is best?")),
        "hw13": (_("HW13: under 100 k"),
                 _("HW13 Q1 and Q2: which student under 100,000 parameters learns most?")),
        "best": (_("HW13: the best"),
                 _("HW13 Q1 and Q2: how far does the best one get, with and without a teacher?")),
        "first": (_("more photographs"),
                  _("Beyond the homeworks: does it help to learn other food photographs first?")),
    }  # fmt: skip


def figures(groups: Groups, guessed: guess.Guess[str]) -> None:
    """One figure of the reports: our curves, our test accuracies beside theirs, what is missing."""
    titles = figure_titles()
    is_linked = bool(texts("figure"))  # a link asks for that figure: it is not the page that tells
    key = one_of(
        st.segmented_control, _("Figure of the report"),
        {key: title for key, (title, _question) in titles.items()}, "figure", default="9",
        required=True,
    )  # fmt: skip
    if key in SPOILING and not is_linked and guess.waits(guessed):
        return
    figure = FIGURES[key]
    st.markdown(f"**{titles[key][1]}**")
    trainings, without = curves(groups, figure)
    if trainings:
        means = mean_curves(trainings)
        lines = [
            _("**{name}**: {last} after {epochs} epochs, best {best} (epoch {at}).").format(
                name=mean.name,
                last=numbers.percent(mean.accuracies[-1]),
                epochs=mean.epochs[-1],
                best=numbers.percent(max(mean.accuracies)),
                at=mean.epochs[mean.accuracies.index(max(mean.accuracies))],
            )
            for mean in means
        ]
        alt = _("Accuracy per epoch. {curves}").format(curves=paragraph(lines).replace("**", ""))
        show(curves_chart(means), alt, key=f"curves-{key}")
        caption = (
            _("Training accuracy is on augmented photographs, while the weights still change.")
            if figure.both_splits
            else _("Right on the validation split, by epoch.")
        )
        if any(len(mean.seeds) > 1 for mean in means):
            caption = paragraph([_("Thin lines: single seeds. Thick: their mean."), caption])
        st.caption(caption)
        st.markdown("\n".join(f"- {line}" for line in lines))
        data_button(
            lambda: pd.DataFrame(trainings).explode(["epochs", "accuracies"]), f"curves-{key}"
        )
    explain_missing(figure.stems, groups, without)
    ladder = ladder_rows(groups, figure)
    if not ladder:
        st.caption(_("There is no test accuracy for this figure yet."))
        return
    rungs = _("; ").join(labelled(row["row"], row["text"]) for row in ladder)
    alt = _("Test accuracy, ours and theirs. {rows}.").format(rows=rungs)
    show(ladder_chart(ladder), alt, key=f"ladder-{key}")
    st.caption(
        _(
            "Filled mark: ours, on the test split, with its 95 % interval; faint marks: its seeds. "
            "Stroke: theirs, one training, on the real Food-11. The photographs are not the same: "
            "compare the order, not the values."
        )
    )
    data_button(lambda: pd.DataFrame(ladder).drop(columns=["text", "row"]), f"ladder-{key}")


def explain_missing(stems: Sequence[str], groups: Groups, without: Sequence[str]) -> None:
    """Say which trainings of a figure are not here, and whose curves; the commands that help."""
    planned = {r.id: r.id.removesuffix(f"-s{r.config.seed}") for r in recipes("quick")}
    of_plan = [stem for stem in stems if stem in planned.values() or stem in groups] or stems
    missing = {stem: missing_ids(stem, planned, groups) for stem in of_plan}
    if any(missing.values()):
        names = _("; ").join(short_title(stem) for stem, ids in missing.items() if ids)
        st.info(
            _("Not trained yet, in part or at all: {names}. This line makes them:").format(
                names=names
            ),
            icon=":material/hourglass_empty:",
        )
        ids = " ".join(id for of_stem in missing.values() for id in of_stem)
        st.code(f"python -m core reproduce --only {ids}", language="bash", wrap_lines=True)
    if without:
        st.info(
            _(
                "The curves of {names} did not ship with them. On the machine that trained them, "
                "this line adds them; elsewhere it trains them again:"
            ).format(names=_(", ").join(f"`{id}`" for id in without)),
            icon=":material/show_chart:",
        )
        command = f"python -m core reproduce --steps training --only {' '.join(without)}"
        st.code(command, language="bash", wrap_lines=True)


def every_network(every: Groups, others: Sequence[Collected], guessed: guess.Guess[str]) -> None:
    """A row a recipe, teachers first: what it costs and how often it is right."""
    if guess.waits(guessed):
        return
    times = latency()
    rows = sorted(network_rows(every.values(), times), key=lambda row: row.family != "teacher")
    columns = {
        _("Network"): [f"{glyph(row.role)} {_(row.title)}" for row in rows],
        _("Right (95 % interval)"): [accuracy_text(row) for row in rows],
        _("Seeds"): [_(", ").join(map(str, row.seeds)) for row in rows],
        _("Parameters"): [numbers.count(row.params) for row in rows],
        _("File"): [numbers.size(row.size_bytes) for row in rows],
        _("MACs"): [f"{row.macs / 1e6:,.1f}{numbers.THIN}M" for row in rows],
        _("Time"): [
            numbers.milliseconds(row.latency_ms) if row.latency_ms else "–" for row in rows
        ],
        _("Theirs"): [numbers.percent(row.reported) if row.reported else "–" for row in rows],
    }
    extra = [_("Seeds"), _("File"), _("MACs"), _("Time"), _("Theirs")]
    table(columns, 1, extra, "networks", TABLE_PX)
    st.caption(
        _(
            "Right: test split, mean of the seeds. File: float16. Time: one picture, median, "
            "lowest seed. Theirs: test accuracy in the reports, on Food-11; depthwise as in Q1 "
            "(in Q4 {q4})."
        ).format(q4=numbers.percent(REPORTED_Q4[DWPW].accuracy))
    )
    if any(row.latency_ms is None for row in rows):
        explain_missing_times()
    data_button(lambda: pd.DataFrame(rows), "results")
    measured_elsewhere(others)
    latency_provenance(times)


def why_lines(groups: Groups) -> list[str]:
    """In what our runs differ from theirs: what may lie behind a disagreement, in numbers."""
    students = [s for group in groups.values() for s in group.seeds if s.family != "teacher"]
    if not students:
        return []
    data, lines = students[0].data, []
    if not data.is_food11:
        text = _(
            "Other photographs: {data}. There are {ours} to train on, {ratio} fewer than Food-11's "
            "{theirs}."
        )
        theirs = FOOD11_COUNTS["training"]
        lines.append(
            text.format(
                data=_(data.name),
                ours=numbers.count(data.training),
                theirs=numbers.count(theirs),
                ratio=numbers.ratio(theirs / max(1, data.training)),
            )
        )

    def listed(values: set[int]) -> str:
        return " / ".join(map(str, sorted(values)))

    lines.append(
        _(
            "Another schedule: ours is {epochs} epochs at {px} px, the same for all networks of a "
            "comparison."
        ).format(
            epochs=listed({s.epochs for s in students}), px=listed({s.input_px for s in students})
        )
    )
    lines.append(
        _(
            "Luck: each of their numbers is one training. Their depthwise network is in the report "
            "twice, with {a} and {b}. Ours are trained with {counts} seeds."
        ).format(
            a=numbers.percent(REPORTED[DWPW].accuracy),
            b=numbers.percent(REPORTED_Q4[DWPW].accuracy),
            counts=listed({len(group.seeds) for group in groups.values()}),
        )
    )
    teachers = {
        "efficientnet_lite0-imagenet": ("resnet18-imagenet", _(
            "Another teacher: theirs was a ResNet-18 from ImageNet, right on {theirs} of Food-11; "
            "ours is {name}, right on {ours} of our test split."
        )),
        "resnet18-scratch": ("resnet18-scratch", _(
            "The weak teacher is a ResNet-18 from scratch in both: theirs is right on {theirs}, "
            "ours on {ours}."
        )),
    }  # fmt: skip
    return lines + [
        text.format(
            name=_(groups[stem].first.title),
            theirs=numbers.percent(REPORTED[reported].accuracy),
            ours=numbers.percent(groups[stem].interval()[0], groups[stem].n),
        )
        for stem, (reported, text) in teachers.items()
        if stem in groups
    ]


def why(groups: Groups) -> None:
    """What differs between their runs and ours, and how the intervals are made."""
    st.markdown("\n".join(f"- {line}" for line in why_lines(groups)))
    st.markdown(
        _(
            "The interval of an accuracy covers two independent kinds of luck: which photographs "
            "are tested, and how a training goes. Their squares add:"
        )
    )
    st.latex(
        r"w = \sqrt{w_{\mathrm{pictures}}^2 + w_{\mathrm{seeds}}^2}, \qquad "
        r"w_{\mathrm{seeds}} = t_{k-1}\, s / \sqrt{k}"
    )
    source(
        _(
            "$w_{\\mathrm{pictures}}$ is Wilson's interval for $n$ test photographs, $s$ the "
            "standard deviation of $k$ seeds, $t$ Student's. With one seed the second part is "
            "unknown and left out. Two networks are compared on the same photographs and the same "
            "seed: what both share cancels."
        ),
        source_of("core.stats", "accuracy_interval"),
    )


def trap(answers: Sequence[Tested], groups: Groups, guessed: guess.Guess[str]) -> None:
    """What single trainings could have reported; what the best epoch flatters. From our runs."""
    if guess.waits(guessed):
        return
    st.markdown(
        _(
            "**One training each gives one difference.** With our seeds, a report could have found "
            "any of these:"
        )
    )
    lines = []
    for answer in answers:
        differences = single_differences(answer.contrast) if answer.contrast else []
        if len(differences) > 1:
            lines.append(
                _(
                    "*{claim}.* {n} pairs of trainings: from {low} to {high} points, {against} of "
                    "the opposite sign"
                ).format(
                    claim=claim_title(answer.claim.key),
                    n=len(differences),
                    low=points(differences[0]),
                    high=points(differences[-1]),
                    against=opposite(differences) or _("none"),
                )
            )
    if not lines:
        lines.append(_("No network has a second seed yet, so this trap cannot be shown."))
    st.markdown("\n".join(f"- {line}" for line in lines))
    if flattered := flattery(groups):
        gaps = {row.checkpoint: row.best - row.typical for row in flattered}
        most = max(gaps, key=lambda id: gaps[id])
        st.markdown(
            _(
                "**The best epoch is also the luckiest.** Over {n} runs, the epoch that is best on "
                "the validation split is {gap} points above the median of the five epochs around "
                "it; most in `{id}` ({most}). So we report the test split, which chose nothing."
            ).format(
                n=len(gaps), gap=points(sum(gaps.values()) / len(gaps)), id=most,
                most=points(gaps[most]),
            )
        )  # fmt: skip


def homework() -> None:
    """Every question of the two homeworks, and where its answer can be seen."""
    tabs = {
        "HW7 Q1": _("Here: “Same size”; “Curves”, figures 1 and 4."),
        "HW7 Q2": _("Here: “Curves”, figure 9."),
        "HW7 Q4": _("Here: “Curves”, figure 16."),
        "HW13 Q1": _("Here: “Curves”, figure HW13."),
    }
    for key, pages in QUESTIONS.items():
        asked = filter(None, [question_text(key), tabs.get(key)])
        st.markdown(f"**{key}** {paragraph(asked)}")
        with st.container(horizontal=True):
            for entry in map(frame.entry, pages):
                if entry.key != "results":
                    frame.page_link(entry, entry.name)


def _quiz(answers: Sequence[Tested]) -> list[quiz.Question]:
    """On the findings: how many hold, what an interval says, what a single training would say."""
    outcomes = Counter(answer.outcome() for answer in answers)
    questions = [
        quiz.Question(
            "agree",
            _("With how many of these {n} findings do our networks agree?").format(n=len(answers)),
            *quiz.among(outcomes["agrees"], {0, len(answers), *outcomes.values()}, numbers.count),
            _("Disagree: {differs}. Not distinguishable, undecided or left open: {rest}.").format(
                differs=outcomes["differs"],
                rest=len(answers) - outcomes["agrees"] - outcomes["differs"],
            ),
        )
    ]  # fmt: skip
    contrasts = {answer.claim.key: answer.contrast for answer in answers if answer.contrast}
    if not contrasts:
        return questions
    # the finding whose interval is hardest to read: one end is the nearest to 0
    key = min(contrasts, key=lambda key: min(map(abs, contrasts[key].interval()[1:])))
    _mean, low, high = contrasts[key].interval()
    sides = {
        "more": _("the first is better"),
        "less": _("the second is better"),
        "unclear": _("they are not distinguishable"),
    }
    single = {key: single_differences(contrast) for key, contrast in contrasts.items()}
    luck = max(single, key=lambda key: opposite(single[key]))
    n = len(single[luck])
    return [
        *questions,
        quiz.Question(
            "interval",
            _("“{finding}”: first minus second, the 95 % interval is {interval} points. What "
              "follows?").format(finding=claim_title(key), interval=points_interval(low, high)),
            list(sides.values()),
            sides[contrasts[key].side()],
            _("If the interval includes 0, they are not distinguishable; else its sign decides."),
        ),
        quiz.Question(
            "luck",
            _("“{finding}”: with one training each, how many of the {n} possible comparisons point "
              "the other way than the rest?").format(finding=claim_title(luck), n=n),
            *quiz.among(opposite(single[luck]), (0, n // 4, n // 2, n), numbers.count),
            _("One training each is partly luck, so we train several seeds."),
        ),
    ]  # fmt: skip


def opposite(differences: Sequence[float]) -> int:
    """How many of them have the rarer sign."""
    below = sum(difference < 0 for difference in differences)
    return min(below, len(differences) - below)


if __name__ == "__main__":
    main()
