"""Open a homework's 8-bit file: what it holds, whose network it is, or why it is refused."""

import hashlib

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
    fits,
    read_upload,
    score_upload,
)
from core.serving.quantized import quantized_file
from core.words import _, ngettext
from pages.parts.linked import one_of
from pages.parts.quantization_controls import Setting


def upload(found: list[Checkpoint], at: Setting) -> None:
    """A file of the visitor's, or one of two made here, and what it is."""
    st.caption(
        _(
            "HW7's 8-bit files are pickles, and a pickle can run any program when it is opened. "
            "So this page does not unpickle: it reads arrays and plain numbers instruction by "
            "instruction, and refuses everything else. The file stays in memory."
        )
    )
    file = st.file_uploader(_("Drop an 8-bit file of HW7 here (.pkl)"), key="hw7_file")
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
            return
    try:
        data = file.getvalue() if file is not None else _made(sample, at)
        held = read_upload(data)
    except UserError as error:
        st.error(str(error), icon=":material/security:")
        return
    _holdings(held)
    fitting = fits(held, found)
    if not fitting:
        st.info(_("None of the networks here has these shapes."), icon=":material/help:")
        return
    best = fitting[0]
    names = ", ".join(f"`{fit.checkpoint.id}`" for fit in fitting)
    if not best.same_names:
        st.info(
            _("It has the shapes of {names}, under other names; so it is not asked here.").format(
                names=names
            )
        )
        return
    st.markdown(_("It has the tensors of {names}.").format(names=names))
    _accuracy(data, best)


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


def _accuracy(data: bytes, fit: Fit) -> None:
    if not food11_available():
        st.caption(_("No photographs here to ask it about. See: python -m core data"))
        return
    mark = hashlib.sha256(data).hexdigest()
    if st.button(_("Ask it about test photographs"), icon=":material/quiz:", key="hw7_ask"):
        bar = st.progress(0.0, _("Starting ..."))

        def heard(done: int, of: int) -> None:
            bar.progress(
                done / of,
                _("Looking at test photograph {done} of {of} ...").format(done=done, of=of),
            )

        try:
            score = score_upload(data, fit, heard)
        except UserError as error:
            st.error(str(error), icon=":material/error:")
            return
        finally:
            bar.empty()
        st.session_state["hw7_score"] = (mark, score)
    kept: tuple[str, Score | None] = st.session_state.get("hw7_score", ("", None))
    known, right = kept
    if known == mark and right is not None:
        st.markdown(
            _("It is right on {accuracy} ({interval}) of {n} test photographs.").format(
                accuracy=numbers.percent(right.accuracy, right.n),
                interval=numbers.interval(*right.ci95, right.n),
                n=numbers.count(right.n),
            )
        )
