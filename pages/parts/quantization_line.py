"""The number line: a layer's weights, the levels they are rounded to, and what that costs."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.charts.pruning_surgery import layer_title
from core.charts.quantization_line import HEIGHT_PX, INPUTS_PX, line_chart, line_data, line_lines
from core.compression.quantize import SCHEMES, quantisable
from core.errors import UserError
from core.serving.quantize_view import LINE_BITS, LayerError, Line, layer_errors, line, middle_layer
from core.words import _
from pages.parts.figure import data_button, show_with_slider
from pages.parts.linked import one_of
from pages.parts.quantization_controls import Setting, tensors

START = 4


@st.cache_resource(max_entries=24, show_spinner=False)
def _errors(id: str, sha256: str, layer: str) -> tuple[LayerError, ...]:
    return layer_errors(tensors(id, sha256)[layer])


@st.cache_resource(max_entries=24, show_spinner=False)
def _line(id: str, sha256: str, layer: str, scheme: str, _weight: NDArray[np.float32]) -> Line:
    chosen = next(one for one in SCHEMES if one == scheme)
    return line(_weight, chosen, _errors(id, sha256, layer))


def number_line(at: Setting) -> None:
    """Choose a layer, then move the bits; the buttons work in the browser alone."""
    try:
        values = tensors(at.checkpoint.id, at.sha256)
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        return
    names = quantisable(values)
    if not names:
        st.info(_("This network has no weights to quantise."))
        return
    layer = one_of(
        st.selectbox,
        _("Layer"),
        {name: layer_title(name) for name in names},
        "layer",
        default=middle_layer(values, names),
    )
    try:
        with st.spinner(_("Quantising {layer} ...").format(layer=layer_title(layer))):
            drawn = _line(at.checkpoint.id, at.sha256, layer, at.scheme, values[layer])
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        return
    show_with_slider(
        line_chart(drawn, _start()),
        # the same words for every layer: other words would make the chart, and its buttons, anew
        _(
            "The weights of a layer as a histogram, the levels of the chosen scheme and bits over "
            "it, and the signal-to-noise ratio against the bits. The text below gives the numbers."
        ),
        "number_line",
        HEIGHT_PX + INPUTS_PX,
    )
    said = _(
        "Grey: the layer's weights. Blue: the values left to them. The three strips are the "
        "channels with the largest, a middling and the smallest reach. MSE: the mean squared error "
        "of the rounding. SQNR: how far the weights stand above that error, in decibels; more is "
        "better. Worked out here, from the shipped weights."
    )
    if at.checkpoint.weights_dtype == "float16":
        said += " " + _("Those are stored in 16 bits already, so 16 bits lose nothing more.")
    st.caption(said)
    data_button(line_data(drawn), "number-line")
    st.markdown(f"**{_('What you see')}**")
    errors = _errors(at.checkpoint.id, at.sha256, layer)
    lines = line_lines(errors, at.scheme, int(values[layer].size))
    st.markdown("\n".join(f"- {one}" for one in lines))


def _start() -> int:
    """Where the buttons begin: the address bar's, if that is a number of bits, else 4."""
    wanted = st.query_params.get("line_bits", "")
    return next((bits for bits in LINE_BITS if str(bits) == wanted), START)
