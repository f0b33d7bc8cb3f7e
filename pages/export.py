"""Export: one network as every file it can be shipped as, and the whole way to a 300 KB file."""

from functools import partial
from typing import NamedTuple

import streamlit as st

from core.charts import numbers
from core.charts.theme import role_of
from core.checkpoints import WEIGHTS, Checkpoint
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
    time_chart,
)
from core.export.files import RUNS, FilePoint, FileRow, Shipping, file_name, obstacle, shipped
from core.export.stack import FORMATS, RUNTIMES, STEPS, Format, Stack
from core.i18n import _, ngettext
from core.pruning.chart import method_title
from core.source_text import source_of
from pages.kit import frame, networks, url_state
from pages.kit.figure import data_button, show
from pages.kit.frame import foot
from pages.kit.live import LivePoint
from pages.kit.provenance import provenance
from pages.kit.url_state import guess, one_of, toggle

# ------------------------------------------------------------------------------------------------
# The export page's files: the guess, the network, what was measured of its five files.


class Guess(NamedTuple):
    """What the reader expects; None where nothing was tapped."""

    smallest: Format | None
    fastest: Format | None


class Known(NamedTuple):
    """Rows to show, and where they were measured: shipped with the app, or here, just now."""

    rows: tuple[FileRow, ...]
    shipping: Shipping | None
    """The shipped rows; None if the rows are from here."""


def predict_first() -> Guess:
    """Two taps before looking."""
    smallest = guess(
        _("First, a guess: which of these files is the smallest?"),
        FORMATS,
        format_func=format_title,
        key="guess_smallest",
    )
    fastest = guess(
        _("And which one answers fastest, one photo at a time?"),
        [format for format in FORMATS if RUNTIMES[format] != "none"],
        format_func=format_title,
        key="guess_fastest",
    )
    return Guess(smallest, fastest)


def preferred(found: list[Checkpoint]) -> Checkpoint:
    """The menu of networks; it begins with a distilled student, if there is one."""
    by_id = {one.id: one for one in found}
    students = [one for one in found if role_of(one) == "distilled"]
    first = next((one.id for one in students if one.recipe == "distilled"), found[0].id)
    titles = {id: networks.name_of(one) for id, one in by_id.items()}
    return by_id[one_of(st.selectbox, _("Network"), titles, "network", default=first)]


def known(one: Checkpoint) -> Known | None:
    """What was measured of this network's files: here, just now, or else what is shipped."""
    sha256 = one.files[WEIGHTS].sha256
    shipping = _shipping_of(one)
    for job in RUNS.finished(one.id, sha256):
        return Known(job.rows, None)
    return Known(shipping.rows, shipping) if shipping else None


def _shipping_of(one: Checkpoint) -> Shipping | None:
    """The shipped rows, if they belong to these weights; damage is said."""
    try:
        state = Shipping.path(one.id).stat()
    except OSError:
        return None
    try:
        found = _loaded(one.id, str(Shipping.path(one.id)), state.st_mtime_ns, state.st_size)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None
    if found is None or found.weights_sha256 != one.files[WEIGHTS].sha256:
        return None
    return found


@st.cache_resource(max_entries=32, show_spinner=False)
def _loaded(id: str, file: str, changed_ns: int, size: int) -> Shipping | None:
    del file, changed_ns, size  # only the key of the cache
    return Shipping.load(id)


def explain_missing(one: Checkpoint) -> None:
    """Say that nothing was measured yet and how to get it; the files are told of all the same."""
    st.info(
        _(
            "The files of this network are not measured yet. “Make it here” does it now, and so "
            "does this line, for all networks:"
        ),
        icon=":material/query_stats:",
    )
    st.code("python -m core reproduce --steps shipping", language="bash")
    listed(one)


def listed(one: Checkpoint) -> None:
    """What each file is, without a number."""
    lines = [f"- **{format_title(format)}**: {format_about(format)}" for format in FORMATS]
    st.markdown("\n".join(lines))
    if told := obstacle(one.id, "onnx-int8"):
        st.caption(told)


def measured(one: Checkpoint, found: Known, guess: Guess) -> None:
    """Bytes, times, the guess beside them, sentences, and every figure."""
    rows = found.rows
    frame = files_frame(one, rows)
    show(size_chart(frame), chart.size_alt(frame), key="sizes")
    fastest = chart.fastest(rows)
    if fastest:
        show(time_chart(frame), chart.time_alt(frame), key="times")
        st.caption(
            _(
                "Dashed: HW7's limits for a file. Below: the median of repeated calls for one "
                "photo, quartiles as bars; one thread, all in "
                "turn in one sitting, on {device}. safetensors by torch, the others by ONNX "
                "Runtime. HW7's file has no time of its own: it is decoded to float32 first."
            ).format(device=found.shipping.device if found.shipping else _("this machine"))
        )
    smallest = chart.smallest(rows)
    told = []
    if guess.smallest:
        told.append(chart.guess_line(rows, guess.smallest, [smallest], "smallest"))
    if guess.fastest and fastest:
        told.append(chart.guess_line(rows, guess.fastest, fastest, "fastest"))
    if told:
        st.markdown("\n".join(f"- {line}" for line in told))
    st.markdown(f"**{_('What you see')}**")
    lines = [
        *chart.size_lines(rows),
        *chart.time_lines(rows),
        *chart.parity_lines(rows),
    ]
    st.markdown("\n".join(f"- {line}" for line in lines))
    table(rows)
    if told := obstacle(one.id, "onnx-int8"):  # type: ignore[assignment]
        st.caption(str(told))


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


# ------------------------------------------------------------------------------------------------
# A button for each file and its model card; a file is made when somebody first asks for it.


def downloads(one: Checkpoint, known: Known | None) -> None:
    """Five files and their cards; what cannot be made here says why."""
    st.caption(
        _(
            "A file is made when somebody first asks for it, then kept for everybody. Take its "
            "model card along: it says what the network was trained on, how often it is right, "
            "and under which licence you may use it."
        )
    )
    measured = known.shipping if known else None
    for format in FORMATS:
        _offer(one, format, measured)
    st.caption(_("The same on the command line:"))
    st.code(f"python -m core export {one.id} --format onnx", language="bash")


def _offer(one: Checkpoint, format: Format, measured: Shipping | None) -> None:
    name = file_name(one.id, format)
    reason = obstacle(one.id, format)
    with st.container(border=True):
        said, right = st.columns([6, 3.2], vertical_alignment="center")
        said.markdown(f"**{format_title(format)}**  \n{format_about(format)}")
        if reason:
            said.caption(reason)
            return
        buttons = right.container(horizontal=True)  # side by side on a phone, too
        buttons.download_button(
            _("File"),
            partial(shipped, one.id, format),
            file_name=name,
            mime="application/octet-stream",
            icon=":material/download:",
            key=f"file_{format}",
            on_click="ignore",
            help=name,
        )
        buttons.download_button(
            _("Model card"),
            partial(_card, one, format, measured),
            file_name=f"{name}.md",
            mime="text/markdown",
            icon=":material/description:",
            key=f"card_{format}",
            on_click="ignore",
        )


def _card(one: Checkpoint, format: Format, measured: Shipping | None) -> bytes:
    name = file_name(one.id, format)
    return shipping_card(one, format, name, shipped(one.id, format), measured).encode()


# ------------------------------------------------------------------------------------------------
# "Make it here" of the export page: all files of a network, made and measured.


def live(one: Checkpoint) -> None:
    """The button, the running measurement, its end; the rows are shown above it."""
    LivePoint(
        RUNS,
        FilePoint(one.id, one.files[WEIGHTS].sha256),
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
        asked=_reveal,
        key="make_live",
    ).draw()


def _reveal() -> None:
    """Who asks for the files wants to see what was measured of them."""
    url_state.say("reveal", "true")


# ------------------------------------------------------------------------------------------------
# The whole way as one picture: teacher, distilled, cut, fine-tuned, 8 bits, each step measured.


def choose_stack(found: list[Checkpoint]) -> Stack | None:
    """The first way that was measured for a student that is here; damage is said."""
    for one in found:
        try:
            stack = Stack.load(one.id) if Stack.path(one.id).is_file() else None
        except CheckpointError as error:
            st.error(str(error), icon=":material/error:")
            continue
        if stack is not None and stack.weights_sha256 == one.files[WEIGHTS].sha256:
            return stack
    return None


def stack_explain_missing() -> None:
    """Say how to take the way."""
    st.info(
        _("Nobody has gone this way yet: distil, cut, fine-tune, 8 bits. It takes photographs."),
        icon=":material/route:",
    )
    st.code("python -m core reproduce --steps stack", language="bash")


def way(stack: Stack) -> None:
    """The chart, what it says, and every figure."""
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
    if lines := stack_lines(stack):
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


# ------------------------------------------------------------------------------------------------
# The export page's formula and source, its trap in measured figures, and the homework.


def why(one: Checkpoint, known: Known | None) -> None:
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
        st.caption(_("Not measured yet: “Make it here” does it."))
    st.markdown(
        _(
            "How to notice: time both files in one sitting, on the very device they are for. A "
            "phone's kernels are not this machine's."
        )
    )


def homework(one: Checkpoint, known: Known | None, stack: Stack | None) -> None:
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
        st.caption(_("The files of this network are not measured yet."))
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
                "The way above ends at {size} and {right}. The best 8-bit file published for HW7 "
                "has 263 KB and 0.85475, on the real Food-11 (self-reported): its photographs are "
                "not ours, so the two figures do not belong in one column."
            ).format(size=numbers.count(last.size_bytes) + " B", right=right)
        )


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

    guess = predict_first()
    with st.container(border=True):
        one = preferred(found)
        reveal = toggle(_("Show what was measured"), "reveal")

    st.subheader(_("Five files of one network"))
    export_known = known(one)
    if export_known is None:
        explain_missing(one)
    elif reveal:
        measured(one, export_known, guess)
    else:
        st.caption(_("Make your guess, then switch on “Show what was measured”."))
        listed(one)

    st.subheader(_("Take it with you"))
    downloads(one, export_known)

    st.subheader(_("Make it here"))
    live(one)

    st.subheader(_("The whole way: from the teacher to a file for a phone"))
    stack = choose_stack(found)
    if stack is None:
        stack_explain_missing()
    else:
        way(stack)

    with st.expander(
        _("Why: what is in the bytes, and what parity means"), icon=":material/function:"
    ):
        why(one, export_known)

    with st.expander(_("Trap: half the bytes, half the time?"), icon=":material/warning:"):
        trap(export_known)

    with st.expander(_("From the homework: HW7's limits"), icon=":material/school:"):
        homework(one, export_known, stack)

    shown = {one.id, *(row.checkpoint for row in (stack.rows if stack else ()) if row.checkpoint)}
    provenance([each for each in found if each.id in shown])
    foot(
        "export",
        files_frame(one, export_known.rows) if export_known is not None and reveal else None,
    )


if __name__ == "__main__":
    main()
