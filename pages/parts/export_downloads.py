"""A button for each file and its model card; a file is made when somebody first asks for it."""

from functools import partial

import streamlit as st

from core.charts.shipping import format_about, format_title
from core.checkpoints import Checkpoint
from core.measure.shipping_table import FORMATS, Format, Shipping
from core.serving.shipping import file_name, obstacle, shipped
from core.training.shipping_card import shipping_card
from core.words import _
from pages.parts.export_files import Known


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
