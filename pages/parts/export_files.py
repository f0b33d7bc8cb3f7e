"""The export page's files: the guess, the network, what was measured of its five files."""

from typing import NamedTuple

import streamlit as st

from core.charts import shipping_words
from core.charts.shipping import files_frame, format_about, format_title, size_chart, time_chart
from core.charts.theme import role_of
from core.checkpoints import WEIGHTS, Checkpoint
from core.errors import CheckpointError
from core.measure.shipping_table import FORMATS, RUNTIMES, FileRow, Format, Shipping
from core.serving.shipping import obstacle
from core.training.shipping_live import RUNS
from core.words import _
from pages.parts import shelf
from pages.parts.figure import show
from pages.parts.linked import one_of


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
    smallest = st.pills(
        _("First, a guess: which of these files is the smallest?"),
        FORMATS,
        format_func=format_title,
        key="guess_smallest",
    )
    fastest = st.pills(
        _("And which one answers fastest, one photo at a time?"),
        [format for format in FORMATS if RUNTIMES[format] != "none"],
        format_func=format_title,
        key="guess_fastest",
    )
    return Guess(smallest, fastest)


def preferred(found: list[Checkpoint]) -> Checkpoint:
    """The menu of networks; it begins with a distilled student, if there is one."""
    by_id = {one.id: one for one in found}
    students = [one for one in found if role_of(one.family, one.recipe) == "distilled"]
    first = next((one.id for one in students if one.recipe == "distilled"), found[0].id)
    titles = {id: shelf.name_of(one) for id, one in by_id.items()}
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
    show(size_chart(frame), shipping_words.size_alt(frame), key="sizes")
    fastest = shipping_words.fastest(rows)
    if fastest:
        show(time_chart(frame), shipping_words.time_alt(frame), key="times")
        st.caption(
            _(
                "Dashed: HW7's limits for a file. Below: the median of repeated calls for one "
                "photo, quartiles as bars; one thread, all in "
                "turn in one sitting, on {device}. safetensors by torch, the others by ONNX "
                "Runtime. HW7's file has no time of its own: it is decoded to float32 first."
            ).format(device=found.shipping.device if found.shipping else _("this machine"))
        )
    smallest = shipping_words.smallest(rows)
    told = []
    if guess.smallest:
        told.append(shipping_words.guess_line(rows, guess.smallest, [smallest], "smallest"))
    if guess.fastest and fastest:
        told.append(shipping_words.guess_line(rows, guess.fastest, fastest, "fastest"))
    if told:
        st.markdown("\n".join(f"- {line}" for line in told))
    st.markdown(f"**{_('What you see')}**")
    lines = [
        *shipping_words.size_lines(rows),
        *shipping_words.time_lines(rows),
        *shipping_words.parity_lines(rows),
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
    frame = shipping_words.files_table(rows)
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
