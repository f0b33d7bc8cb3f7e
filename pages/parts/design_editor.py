"""The student designer's controls. One line of text is the design; every control rewrites it.

The line is a text field bound to the link, so a link, a typed line, an uploaded file and the
controls can never disagree. A change that cannot be built is explained and not made.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.charts.architecture_words import activation_title, block_note, block_title, stage_cost
from core.errors import ConfigError
from core.models import described
from core.models.design import (
    ACTIVATIONS,
    BLOCKS,
    KERNELS,
    MAX_GROUPS,
    MAX_JSON_BYTES,
    MAX_REPEATS,
    MAX_STAGES,
    MAX_WIDTH,
    Design,
    Stage,
)
from core.models.design_cost import layer_rows, stage_totals, totals
from core.models.design_edit import add_stage, change, move_stage, remove_stage
from core.models.design_line import MAX_CHARACTERS, read
from core.models.design_plan import plan
from core.words import _

LINE, GOOD, PROBLEM, STAGE = "design", "design_good", "design_problem", "design_stage"
FIRST = "px128-relu6-stem16p-sep32p-sep64p-sep128p-sep128x2"
"""What the designer opens with: HW7's student, made narrower until it fits HW13's limits."""


def current() -> Design:
    """The last design that could be read in this session."""
    return read(st.session_state.get(GOOD, FIRST))


def take(design: Design) -> None:
    """Make `design` the one on the page (from a callback, before the page runs again)."""
    st.session_state[LINE] = st.session_state[GOOD] = design.line
    st.session_state.pop(PROBLEM, None)


def edit() -> Design:
    """Draw the controls and return the design they now describe."""
    more = st.container(horizontal=True, vertical_alignment="bottom")
    with more:
        _starts()
    if LINE not in st.session_state and LINE not in st.query_params:
        st.session_state[LINE] = st.session_state.get(GOOD, FIRST)
    line = st.text_input(
        _("The design in one line"),
        max_chars=MAX_CHARACTERS,
        key=LINE,
        bind="query-params",
        live=True,
        help=_(
            "Type here or use the controls below: both are the same design. A stage is its block "
            "(plain, sep, group, basic, bottle, inv, resnet) and width, then x repeats, g groups, "
            "t expansion, k kernel, and p for a pool after it or d for stride 2."
        ),
    )
    try:
        design = read(line or "")
        st.session_state[GOOD] = design.line
    except ConfigError as error:
        st.warning(
            _("{problem} Below is the last design that worked.").format(problem=error),
            icon=":material/rule:",
        )
        design = current()
    if problem := st.session_state.pop(PROBLEM, None):
        st.warning(problem, icon=":material/rule:")
    with more:
        _more(design)
    _whole(design)
    _stages(design)
    return design


def _starts() -> None:
    keys = [key for key in described.known() if described.describe(key).design is not None]
    st.selectbox(
        _("Start from"),
        keys,
        index=None,
        placeholder=_("a network of the homeworks"),
        format_func=lambda key: described.describe(key).title,
        key="design_start",
        on_change=_start,
        width=330,
    )
    with st.popover(_("Open a file"), icon=":material/folder_open:"):
        st.file_uploader(
            _("A design saved here (JSON)"),
            type="json",
            key="design_file",
            max_upload_size=1,
            on_change=_open,
        )


def _start() -> None:
    chosen = st.session_state["design_start"]
    found = described.describe(chosen).design if chosen else None
    if found is not None:
        take(found)
        st.session_state[STAGE] = 1


def _open() -> None:
    file = st.session_state["design_file"]
    if file is None:
        return
    try:
        take(read(file.getvalue()[: MAX_JSON_BYTES + 1]))
        st.session_state[STAGE] = 1
    except ConfigError as error:
        st.session_state[PROBLEM] = str(error)


def _control(draw: Callable[..., Any], label: str, key: str, value: Any, **more: Any) -> None:
    """A widget that shows `value` and, when touched, asks `_change` to rewrite the line."""
    name = f"edit_{key}"
    st.session_state[name] = value
    draw(label, key=name, on_change=_change, args=(key,), **more)


def _whole(design: Design) -> None:
    stem = design.stem
    halvings = {
        (1, 0): _("no"),
        (2, 0): _("stride 2"),
        (1, 2): _("pool 2 × 2"),
        (2, 2): _("stride 2, pool 2 × 2"),
        (1, 3): _("pool 3 × 3"),
        (2, 3): _("stride 2, pool 3 × 3"),
    }
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _control(
            st.number_input, _("Photo side, px"), "input_px", design.input_px,
            min_value=32, max_value=512, step=16, width=140,
        )  # fmt: skip
        _control(
            st.selectbox, _("Activation"), "activation", design.activation,
            options=ACTIVATIONS, format_func=activation_title, width=125,
        )  # fmt: skip
        _control(
            st.number_input, _("Stem width"), "stem_width", stem.width,
            min_value=1, max_value=MAX_WIDTH, step=8, width=140,
        )  # fmt: skip
        _control(
            st.selectbox, _("Stem kernel"), "stem_kernel", stem.kernel,
            options=KERNELS, format_func=lambda k: f"{k} × {k}", width=95,
        )  # fmt: skip
        _control(
            st.selectbox, _("Stem halves the side"), "stem_halving", (stem.stride, stem.pool),
            options=list(halvings), format_func=halvings.__getitem__, width=190,
        )  # fmt: skip


def _more(design: Design) -> None:
    stem = design.stem
    with st.popover(_("More"), icon=":material/tune:"):
        _control(st.toggle, _("Stem: bias"), "stem_bias", stem.bias)
        _control(st.toggle, _("Stages: biases"), "bias", design.bias,
                 help=_("A BatchNorm behind a convolution makes its bias idle."))  # fmt: skip
        _control(st.toggle, _("Padding"), "padding", design.padding,
                 help=_("Off, convolutions lose a border of k // 2 pixels."))  # fmt: skip
        _control(st.toggle, _("Outer activations and last pool as function calls"),
                 "functional", design.functional,
                 help=_("torchsummary does not list those: see the trap."))  # fmt: skip


def _stages(design: Design) -> None:
    numbers = list(range(1, len(design.stages) + 1))
    chosen = st.session_state.get(STAGE)
    st.session_state[STAGE] = min(chosen, len(numbers)) if chosen else 1
    st.pills(
        _("Stages, in order. Choose one to change it:"),
        numbers,
        format_func=lambda n: _stage_title(n, design.stages[n - 1]),
        key=STAGE,
        required=True,
    )
    stage = design.stages[st.session_state[STAGE] - 1]
    _stage(design, stage)
    st.caption(f"{block_title(stage.block)}: {block_note(stage.block)}")
    rows = layer_rows(design)
    st.markdown(stage_cost(stage_totals(rows, plan(design), _place()), totals(rows)))
    full, only = len(numbers) >= MAX_STAGES, len(numbers) == 1
    with st.container(horizontal=True):
        for label, icon, step, given, off in (
            (_("Add after"), "add", _add, (), full),
            (_("Remove"), "delete", _remove, (), only),
            (_("Earlier"), "arrow_back", _move, (-1,), _place() == 1),
            (_("Later"), "arrow_forward", _move, (1,), _place() == len(numbers)),
        ):
            st.button(label, icon=f":material/{icon}:", on_click=step, args=given, disabled=off,
                      key=f"stage_{icon}")  # fmt: skip


def _stage_title(number: int, stage: Stage) -> str:
    repeats = f" ×{stage.repeats}" if stage.repeats > 1 else ""
    return f"{number} · {block_title(stage.block)} {stage.width}{repeats}" + (
        "" if stage.down == "none" else " ↓"
    )


def _stage(design: Design, stage: Stage) -> None:
    downs = {"none": _("no"), "pool": _("pool after it"), "stride": _("stride 2")}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _control(
            st.selectbox, _("Block"), "block", stage.block,
            options=BLOCKS, format_func=block_title, width=200,
        )  # fmt: skip
        _control(
            st.number_input, _("Width"), "width", stage.width,
            min_value=1, max_value=MAX_WIDTH, step=8, width=140,
        )  # fmt: skip
        _control(
            st.number_input, _("Repeats"), "repeats", stage.repeats,
            min_value=1, max_value=MAX_REPEATS, step=1, width=130,
        )  # fmt: skip
        _control(
            st.selectbox, _("Halves the side"), "down", stage.down,
            options=list(downs), format_func=downs.__getitem__, width=140,
        )  # fmt: skip
        _control(
            st.selectbox, _("Kernel"), "kernel", stage.kernel,
            options=KERNELS, format_func=lambda k: f"{k} × {k}", width=95,
        )  # fmt: skip
        if stage.block == "group":
            _control(
                st.number_input, _("Groups"), "groups", stage.groups,
                min_value=1, max_value=MAX_GROUPS, step=1, width=130,
            )  # fmt: skip
        if stage.block == "inverted":
            _control(
                st.number_input, _("Expansion"), "expansion", stage.expansion,
                min_value=1, max_value=8, step=1, width=130,
            )  # fmt: skip


def _change(key: str) -> None:
    """Put one control's value into the design, or say why that cannot be."""
    value = st.session_state[f"edit_{key}"]
    if value is None:  # an emptied field
        return
    if key == "stem_halving":
        stride, pool = value
        _try(lambda design: change(change(design, "stem_stride", stride), "stem_pool", pool))
    else:
        _try(lambda design: change(design, key, value, _place()))


def _place() -> int:
    """Number of the stage that is being changed, from 1."""
    return st.session_state.get(STAGE) or 1


def _try(make: Callable[[Design], Design]) -> None:
    try:
        take(make(current()))
    except ConfigError as error:
        st.session_state[PROBLEM] = str(error)


def _add() -> None:
    _try(lambda design: add_stage(design, _place()))
    st.session_state[STAGE] = _place() + 1


def _remove() -> None:
    _try(lambda design: remove_stage(design, _place()))


def _move(by: int) -> None:
    _try(lambda design: move_stage(design, _place(), by))
    st.session_state[STAGE] = _place() + by
