"""Export: one network as every file it can be shipped as, and the whole way to a 300 KB file."""

from functools import partial
from typing import Literal, NamedTuple

import streamlit as st

from core.charts import numbers
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.course import SIZE_LIMITS_BYTES
from core.errors import CheckpointError
from core.export import chart
from core.export.card import shipping_card
from core.export.chart import (
    files_frame,
    format_about,
    format_title,
    size_chart,
    stack_alt,
    stack_chart,
    stack_frame,
    stack_lines,
    stack_table,
    stack_time_lines,
    time_chart,
)
from core.export.files import RUNS, FilePoint, FileRow, Shipping, file_name, obstacle, shipped
from core.export.stack import FORMATS, RUNTIMES, STEPS, Format, Stack
from core.i18n import _, ngettext
from core.pruning.chart import method_title
from core.pruning.rows import PruningGrid
from core.source_text import source_of
from pages.kit import frame, guess, networks, url_state
from pages.kit.figure import data_button, show
from pages.kit.live import LivePoint
from pages.kit.provenance import provenance
from pages.kit.url_state import is_on, one_of

Measure = Literal["bytes", "time"]


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("export").question)
    st.markdown(
        _(
            "One trained network, five files: they differ in bytes, in speed, and a little in what "
            "they answer. Choose one knowing what was measured, and take it with you."
        )
    )
    found = networks.checkpoints()
    if not found:
        networks.explain_empty()
        st.stop()
    files(found)
    frame.foot("export")


class Known(NamedTuple):
    """Rows to show, and where they were measured: shipped with the app, or here, just now."""

    rows: tuple[FileRow, ...]
    shipping: Shipping | None
    """The shipped rows; None if the rows are from here."""


# ------------------------------------------------------------------------------------------------
# The instrument: a network, bytes or time, a guess, the files' bars.


@frame.section
def files(found: list[Checkpoint]) -> None:
    """The files of a network as bars, hidden until there is a guess; the rest in tabs."""
    with frame.instrument() as (controls, picture):
        with controls:
            one = choose_network(found)
            measures: dict[Measure, str] = {"bytes": _("Bytes"), "time": _("Time")}
            measure = one_of(
                st.segmented_control, _("What counts"), measures, "measure", default="bytes",
                required=True,
            )  # fmt: skip
        known = measured_here(one)
        with picture:
            is_open = bars(one, known, measure) if known else explain_missing(one)

    def take() -> None:
        downloads(one, known)
        st.markdown(f"**{_('Make it here')}**")
        live(one)

    def way() -> None:
        whole_way(found)

    def figures() -> None:
        if not known:
            st.caption(_("The files of this network are not measured yet."))
        elif not is_open:
            st.info(_("This gives the answer away: guess first."), icon=":material/visibility_off:")
        else:
            table(known.rows)
            data_button(files_frame(one, known.rows), "files")
            if reason := obstacle(one.id, "onnx-int8"):
                st.caption(reason)
            provenance([one])

    def bytes_and_parity() -> None:
        why(one)

    def half() -> None:
        trap(known if is_open and measure == "time" or is_on("reveal") else None)

    def limits() -> None:
        homework(known if is_open else None, first_stack(found))

    frame.tabs(
        [
            frame.Tab("take", _("Take it with you"), take),
            frame.Tab("way", _("The whole way"), way),
            frame.Tab("figures", _("Every figure"), figures),
            frame.Tab("why", _("Why"), bytes_and_parity),
            frame.Tab("trap", _("Trap: half the bytes, half the time?"), half),
            frame.Tab("homework", _("Homework"), limits),
        ]
    )


def choose_network(found: list[Checkpoint]) -> Checkpoint:
    """The menu of networks; it begins with a distilled student, if there is one."""
    by_id = {one.id: one for one in found}
    students = [one for one in found if role_of(one) == "distilled"]
    first = next((one.id for one in students if one.recipe == "distilled"), found[0].id)
    titles = {id: networks.name_of(one) for id, one in by_id.items()}
    return by_id[one_of(st.selectbox, _("Network"), titles, "network", default=first)]


def measured_here(one: Checkpoint) -> Known | None:
    """What was measured of this network's files: here, just now, or else what is shipped."""
    for job in RUNS.finished(one.id, one.weights_sha256):
        return Known(job.rows, None)
    shipping = networks.measured_rows(Shipping, [one]).get(one.id)
    return Known(shipping.rows, shipping) if shipping else None


def explain_missing(one: Checkpoint) -> bool:
    """Say that nothing was measured yet and how to get it, and what each file is."""
    st.info(
        _(
            "The files of this network are not measured yet. “Make it here” does it now, and so "
            "does this line, for all networks:"
        ),
        icon=":material/query_stats:",
    )
    st.code("python -m core reproduce --steps shipping", language="bash")
    lines = [f"- **{format_title(format)}**: {format_about(format)}" for format in FORMATS]
    st.markdown("\n".join(lines))
    return False


def bars(one: Checkpoint, known: Known, measure: Measure) -> bool:
    """The guess, the bars that answer it, what they say; whether the answer is open."""
    rows = known.rows
    fastest = chart.fastest(rows)
    if measure == "time" and not fastest:
        st.info(_("These files were not timed: python -m core reproduce --steps shipping"))
        return True
    if measure == "bytes":
        offered, wanted, what = FORMATS, [chart.smallest(rows)], "smallest"
        question = _("First, a guess: which of these files is the smallest?")
    else:
        offered = tuple(format for format in FORMATS if RUNTIMES[format] != "none")
        wanted, what = fastest, "fastest"
        question = _("First, a guess: which one answers fastest, one photo at a time?")
    asked = guess.ask(question, {format: format_title(format) for format in offered},
                      f"guess_{what}")  # fmt: skip
    asked = asked._replace(is_open=asked.is_open or is_on("reveal"))
    guess.verdict(asked, asked.value in wanted, chart.guess_answer(rows, asked.value, wanted, what))
    data = files_frame(one, rows)
    shown = FORMATS if asked.is_open else ("onnx",)
    seen = data[data["format"].isin(shown)]
    if measure == "bytes":
        show(size_chart(data, shown), chart.size_alt(seen), key="sizes")
        lines = chart.size_lines(rows)
    else:
        show(time_chart(data, shown), chart.time_alt(seen), key="times")
        lines = chart.time_lines(rows)
    if not asked.is_open:
        st.caption(_("Only float32 ONNX is shown until you guess."))
        return False
    st.markdown(_("**What you see.** {lines}").format(lines=" ".join(lines)))
    device = known.shipping.device if known.shipping else _("this machine")
    if measure == "bytes":
        st.caption(_("Dashed: HW7's limits for a file."))
    else:
        st.caption(
            _(
                "Median and quartiles of repeated calls for one photo; one thread, all in turn, on "
                "{device}. safetensors by torch, the others by ONNX Runtime; HW7's file is decoded "
                "to float32 first and has no time of its own."
            ).format(device=device)
        )
    return True


# ------------------------------------------------------------------------------------------------
# Tab "Take it with you": a button for each file and its model card; files made here.


def downloads(one: Checkpoint, known: Known | None) -> None:
    """The chosen file and its card; where it cannot be made here, why."""
    titles = {format: format_title(format) for format in FORMATS}
    format: Format = one_of(
        st.pills, _("Which file?"), titles, "file", default="onnx", required=True
    )
    name = file_name(one.id, format)
    st.markdown(format_about(format))
    if reason := obstacle(one.id, format):
        st.caption(reason)
    else:
        with st.container(horizontal=True):  # side by side on a phone, too
            st.download_button(
                _("File"),
                partial(shipped, one.id, format),
                file_name=name,
                mime="application/octet-stream",
                icon=":material/download:",
                key=f"file_{format}",
                on_click="ignore",
                help=name,
            )
            st.download_button(
                _("Model card"),
                partial(card, one, format, known.shipping if known else None),
                file_name=f"{name}.md",
                mime="text/markdown",
                icon=":material/description:",
                key=f"card_{format}",
                on_click="ignore",
            )
    st.caption(
        _(
            "A file is made when somebody first asks for it, then kept for everybody. Its model "
            "card says what the network was trained on, how often it is right, and its licence."
        )
    )
    st.code(f"python -m core export {one.id} --format {format}", language="bash")


def card(one: Checkpoint, format: Format, measured: Shipping | None) -> bytes:
    name = file_name(one.id, format)
    return shipping_card(one, format, name, shipped(one.id, format), measured).encode()


def live(one: Checkpoint) -> None:
    """The button, the running measurement, its end; the rows are shown above it."""
    LivePoint(
        RUNS,
        FilePoint(one.id, one.weights_sha256),
        _(
            "Makes the files of {network} now, in a process of its own, compares each with the "
            "original (on all test photographs, where they are on this machine) and times them. "
            "One run at a time; whoever asks for the same network shares it."
        ).format(network=_(one.title)),
        start=_("Make it here"),
        again=_("Measured already: shown above"),
        steps={
            "start": (0.02, _("Starting ...")),
            "calibrate": (0.06, _("Measuring the ranges that int8 needs ...")),
            "make": (0.2, _("Making the files ...")),
            "compare": (0.25, _("Comparing file {at} of {of} with the original ...")),
            "time": (0.85, _("Timing each file ...")),
        },
        told=lambda job: _("{n} files, shown above").format(n=len(job.rows)),
        asked=reveal,
        key="make_live",
    ).draw()


def reveal() -> None:
    """Who asks for the files wants to see what was measured of them."""
    url_state.say("reveal", "true")


# ------------------------------------------------------------------------------------------------
# Tab "The whole way": teacher, distilled, cut, fine-tuned, 8 bits, each step measured.


def first_stack(found: list[Checkpoint]) -> Stack | None:
    """The first way that was measured for a student that is here; damage is said."""

    def say(error: CheckpointError) -> None:
        st.error(str(error), icon=":material/error:")

    return Stack.first_of(found, say)


def whole_way(found: list[Checkpoint]) -> None:
    """The chart, what it says, and every figure."""
    stack = first_stack(found)
    if stack is None:
        st.info(
            _("Nobody has gone this way yet: distil, cut, fine-tune, 8 bits. It takes "
              "photographs."),
            icon=":material/route:",
        )  # fmt: skip
        st.code("python -m core reproduce --steps stack", language="bash")
        return
    epochs = stack.key.finetune_epochs * stack.key.rounds
    st.caption(
        _(
            "`{student}` learned from `{teacher}`. Then {ratio} % of its channels are cut out "
            "({method}); training goes on ({epochs}); and its numbers are written in 8 bits, in "
            "two ways."
        ).format(
            student=stack.student,
            teacher=stack.teacher,
            ratio=f"{100 * stack.key.ratio:.3g}",
            method=method_title(stack.key.method),
            epochs=ngettext("{n} epoch", "{n} epochs", epochs).format(n=epochs),
        )
    )
    frame = stack_frame(stack.rows)
    if frame.empty or frame["accuracy"].isna().all():
        st.info(_("These steps were taken without photographs: no accuracy, so no picture."))
    else:
        show(stack_chart(frame), stack_alt(frame), key="stack")
        data_button(frame.drop(columns=["role", "aside"]), "whole-way")
        st.caption(
            _(
                "Bars: 95 % interval, n = {n}. The dashed way goes from 1 to {last}; step 3 is a "
                "short cut beside it. Times: one photo by ONNX Runtime, one thread, in one "
                "sitting, on {device}."
            ).format(n=f"{int(frame['n'].max()):,}", last=len(STEPS), device=stack.device)
        )
    students = [one for one in found if one.id == stack.student]
    grid = networks.measured_rows(PruningGrid, students).get(stack.student)
    if lines := [*stack_lines(stack), *stack_time_lines(stack, grid)]:
        st.markdown("\n".join(f"- {line}" for line in lines))
    table = stack_table(stack.rows)
    titles = {
        "step": _("Step"),
        "file": _("File"),
        "right": _("Right (95 % interval)"),
        "bytes": _("Bytes"),
        "time": _("One photo"),
        "params": _("Parameters"),
        "macs": _("MACs"),
    }
    st.dataframe(
        table,
        column_config={name: titles[name] for name in table.columns},
        hide_index=True,
        alt=_("Each step: file, accuracy, bytes, time, parameters, MACs."),
    )
    if len(stack.rows) < len(STEPS):
        st.caption(_("The way was not gone to its end: python -m core reproduce --steps stack"))
    kept = {row.checkpoint for row in stack.rows}
    provenance([one for one in found if one.id in kept])


# ------------------------------------------------------------------------------------------------
# Tabs "Every figure", "Why", "Trap", "Homework".


def table(rows: tuple[FileRow, ...]) -> None:
    """Every figure of every file."""
    titles = {
        "file": _("File"),
        "bytes": _("Bytes"),
        "time": _("One photo"),
        "quartiles": _("Quartiles, ms"),
        "runs": _("Timed with"),
        "difference": _("Largest logit difference"),
        "agreement": _("Same class as the original"),
        "right": _("Right (95 % interval)"),
    }
    frame = chart.files_table(rows)
    st.dataframe(
        frame,
        column_config={name: titles[name] for name in frame.columns},
        hide_index=True,
        alt=_("Each file: bytes, time, parity with the original, accuracy."),
    )
    made = any(row.parity and row.parity.pictures == "made" for row in rows)
    n = next((row.parity.n for row in rows if row.parity), 0)
    st.caption(
        _("Compared on {n} made-up pictures: there were no photographs, so no accuracy.").format(
            n=n
        )
        if made
        else _("Compared on the test split: {n} photographs.").format(n=f"{n:,}")
    )


def why(one: Checkpoint) -> None:
    """Bytes from parameters, parity from logits, and the functions that made and compared."""
    st.latex(r"B = \sum_t \frac{n_t\, b_t}{8} + H")
    st.markdown(
        _(
            "$B$ bytes of a file: $n_t$ are the numbers in tensor $t$, $b_t$ their bits (32, 16 or "
            "8), $H$ what describes them: names, shapes, scales, the graph. {params} parameters in "
            "8 bits are {least} at least."
        ).format(params=numbers.count(one.params), least=numbers.size(one.params))
    )
    # two formulas, not one line of both: that is wider than a phone
    st.latex(r"\Delta = \max_{x, i} |z'_i(x) - z_i(x)|")
    st.latex(r"a = \frac{1}{N} \sum_x [\hat{y}'(x) = \hat{y}(x)]")
    st.markdown(
        _(
            "Parity: $z$ are the original's logits, $z'$ the file's, $\\hat{y}$ the class with the "
            "largest, on $N$ photos $x$. A file that only moves numbers to another place should "
            "agree to the last digits (elsewhere, float arithmetic adds up in another order); 8 "
            "bits may not. Equal accuracy is not parity: two networks can be right equally often "
            "on different photos."
        )
    )
    st.markdown(_("This function compared them:"))
    st.code(source_of("core.export.measure", "parity_of"), language="python")
    st.markdown(_("And this one put graph and weights into one file, without torch:"))
    st.code(source_of("core.export.files", "as_stored"), language="python")


def trap(known: Known | None) -> None:
    """Bytes are not time: what the two smaller ONNX files measured."""
    st.markdown(
        _(
            "“Half the bytes, so half the time.” A file is read once; after that the arithmetic "
            "counts. Float16 weights are widened to float32 when the file is opened, so nothing "
            "is gained by then. Int8 is faster only where the processor has fast kernels for these "
            "very layers: depthwise convolutions often have none, and every step between 8 bits "
            "and float costs time. Measured:"
        )
    )
    lines = chart.time_lines(known.rows) if known else []
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
    else:
        st.caption(_("Measured times stand here once you have guessed the fastest file above."))
    st.markdown(
        _(
            "How to notice: time both files in one sitting, on the very device they are for. A "
            "phone's kernels are not this machine's."
        )
    )


def homework(known: Known | None, stack: Stack | None) -> None:
    """HW7's two limits, and which files of this network keep them."""
    st.markdown(
        _(
            "**HW7** weighs the file that is handed in: about {one} for the architectures of "
            "question 4, and {three} for the compressed student in 8 bits."
        ).format(
            one=numbers.size(SIZE_LIMITS_BYTES["HW7 2020, about 1 MB"]),
            three=numbers.size(SIZE_LIMITS_BYTES["HW7 2020, 8 bit"]),
        )
    )
    if known is None:
        st.caption(_("Which files keep them stands here once you have guessed above."))
    else:
        small, large = sorted(SIZE_LIMITS_BYTES.values())
        for row in known.rows:
            kept = (
                _("under both limits")
                if row.size_bytes <= small
                else _("under {limit}").format(limit=numbers.size(large))
                if row.size_bytes <= large
                else _("over both limits")
            )
            st.markdown(f"- {format_title(row.format)}: {numbers.count(row.size_bytes)} B, {kept}")
    if stack is not None and (last := stack.row("tuned_8bit")) is not None:
        right = chart.accuracy_text(last.score) or _("accuracy not measured")
        st.markdown(
            _(
                "The whole way ends at {size} and {right}. The best 8-bit file published for HW7 "
                "has 263 KB and 0.85475, on the real Food-11 (self-reported): its photographs are "
                "not ours, so the two figures do not belong in one column."
            ).format(size=numbers.count(last.size_bytes) + " B", right=right)
        )


if __name__ == "__main__":
    main()
