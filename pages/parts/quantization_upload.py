"""Open a homework's 8-bit file: what it holds, whose network it is, or why it is refused."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.quantization import LIMIT_BYTES
from core.checkpoints import Checkpoint
from core.data import food11_available
from core.errors import UserError
from core.measure.accuracy import Score
from core.serving.quantize_upload import (
    HOSTILE,
    Fit,
    Holdings,
    Upload,
    open_upload,
    score_upload,
)
from core.serving.quantized import quantized_file
from core.words import _, ngettext
from pages.parts.linked import one_of
from pages.parts.quantization_controls import Setting

NAMED = 3
"""Networks named in a sentence; of the others only the number is given."""


class _Read(NamedTuple):
    """What a session keeps of a file: not the file, and none of its arrays."""

    mark: str
    upload: Upload | None
    refusal: str


def upload(found: list[Checkpoint], at: Setting) -> None:
    """A file of the visitor's, or one of two made here, and what it is."""
    st.caption(
        _(
            "HW7's 8-bit files are pickles, and a pickle can run any program when it is opened. "
            "So this page does not unpickle: a process of its own, with little time and memory, "
            "reads arrays and plain numbers instruction by instruction and refuses everything "
            "else. The file stays in memory."
        )
    )
    file = st.file_uploader(
        _("Drop a network's file here: HW7's 8-bit one (.pkl), or another"),
        key="hw7_file",
        help=_(
            "Pickles of NumPy arrays (8-bit codes, 16 or 32 bits), PyTorch state dicts, .npz and "
            "safetensors; also compressed with gzip, bz2, xz or zip."
        ),
    )
    sample = ""
    if file is None:
        sources = {
            "own": _("The one written for the network above"),
            "hostile": _("One that would run a program"),
        }
        sample = one_of(
            st.segmented_control, _("No file at hand?"), sources, "hw7_sample", default=""
        )
        if not sample:
            st.session_state.pop("hw7_read", None)
            return
    mark = f"{sample}/{at.sha256}" if file is None else file.file_id

    def data() -> bytes:
        return _made(sample, at) if file is None else file.getvalue()

    read = _read(mark, data, sorted(found, key=lambda one: one.id != at.checkpoint.id))
    if read.upload is None:
        st.error(read.refusal, icon=":material/security:")
        return
    _holdings(read.upload.held)
    _whose(read.upload)
    if read.upload.fits and read.upload.problem:
        st.error(read.upload.problem, icon=":material/error:")
    elif read.upload.fits:
        _accuracy(mark, data, read.upload.fits[0])


def _read(mark: str, data: Callable[[], bytes], found: list[Checkpoint]) -> _Read:
    """What the file is; opened once, however often the page is drawn."""
    kept: _Read | None = st.session_state.get("hw7_read")
    if kept is None or kept.mark != mark:
        try:
            kept = _Read(mark, open_upload(data(), found), "")
        except UserError as error:
            kept = _Read(mark, None, str(error))
        st.session_state["hw7_read"] = kept
    return kept


def _whose(read: Upload) -> None:
    if not read.fits:
        st.info(
            _("None of the networks here has these shapes in this order."), icon=":material/help:"
        )
        return
    ids = [f"`{fit.checkpoint.id}`" for fit in read.fits]
    names = ", ".join(ids[:NAMED])
    if len(ids) > NAMED:
        names = _("{names} and {n} more").format(names=names, n=len(ids) - NAMED)
    renamed = {ours: theirs for ours, theirs in read.fits[0].names.items() if ours != theirs}
    if not renamed:
        st.markdown(_("It has the tensors of {names}.").format(names=names))
        return
    ours, theirs = next(iter(renamed.items()))
    st.markdown(
        _(
            "It has the shapes of {names}, in their order, under other names: `{theirs}` is taken "
            "for `{ours}`, and so on."
        ).format(names=names, theirs=theirs[:100].replace("`", "'"), ours=ours)
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _own_file(id: str, sha256: str) -> bytes:
    del sha256  # only the key of the cache
    return quantized_file(id, "hw7_8bit")


def _made(sample: str, at: Setting) -> bytes:
    return HOSTILE if sample == "hostile" else _own_file(at.checkpoint.id, at.sha256)


def _holdings(held: Holdings) -> None:
    inside = _("under") if held.n_bytes < LIMIT_BYTES else _("over")
    st.success(
        ngettext(
            "Read: {bytes} bytes ({inside} {limit}), {n} array, {params} weights and biases, "
            "{counters} counters.",
            "Read: {bytes} bytes ({inside} {limit}), {n} arrays, {params} weights and biases, "
            "{counters} counters.",
            len(held.tensors),
        ).format(
            bytes=numbers.count(held.n_bytes),
            inside=inside,
            limit=numbers.size(LIMIT_BYTES),
            n=numbers.count(len(held.tensors)),
            params=numbers.count(held.params),
            counters=numbers.count(held.counters),
        ),
        icon=":material/task_alt:",
    )
    table = pd.DataFrame(
        [
            {
                "name": tensor.name[:100],
                "shape": " × ".join(map(str, tensor.shape)),
                "low": tensor.low,
                "high": tensor.high,
            }
            for tensor in held.tensors
        ]
    )
    with st.expander(_("Its arrays"), icon=":material/table:"):
        st.dataframe(
            table,
            column_config={
                "name": _("Name"),
                "shape": _("Shape"),
                "low": st.column_config.NumberColumn(_("Smallest"), format="%.4f"),
                "high": st.column_config.NumberColumn(_("Largest"), format="%.4f"),
            },
            hide_index=True,
            alt=_("Each array of the file: name, shape, smallest and largest value."),
        )


def _accuracy(mark: str, data: Callable[[], bytes], fit: Fit) -> None:
    if not food11_available():
        st.caption(_("No photographs here to ask it about. See: python -m core data"))
        return
    if st.button(_("Ask it about test photographs"), icon=":material/quiz:", key="hw7_ask"):
        bar = st.progress(0.0, _("Starting ..."))

        def heard(done: int, of: int) -> None:
            bar.progress(
                done / of,
                _("Looking at test photograph {done} of {of} ...").format(done=done, of=of),
            )

        try:
            score = score_upload(data(), fit, heard)
        except UserError as error:
            st.error(str(error), icon=":material/error:")
            return
        finally:
            bar.empty()
        st.session_state["hw7_score"] = (mark, score)
    kept: tuple[str, Score | None] = st.session_state.get("hw7_score", ("", None))
    known, right = kept
    if known == mark and right is not None:
        px = fit.checkpoint.input_px
        st.markdown(
            _(
                "It is right on {accuracy} ({interval}) of {n} test photographs. Each was shown "
                "at {px} x {px} px."
            ).format(
                accuracy=numbers.percent(right.accuracy, right.n),
                interval=numbers.interval(*right.ci95, right.n),
                n=numbers.count(right.n),
                px=px,
            )
        )
