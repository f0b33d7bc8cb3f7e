"""The three ways to use the architecture page: look inside one network, compare two, design one."""

import pandas as pd
import streamlit as st

from core.charts import architecture, architecture_bars, architecture_words
from core.charts.theme import RoleKey, role_of
from core.models import described
from core.models.described import Described
from core.models.design import Design
from core.models.design_cost import layer_rows, totals
from core.models.design_plan import plan
from core.models.design_source import pytorch_source
from core.models.registry import PREFIX
from core.models.verdict import budgets, years
from core.words import _
from pages.parts import address, architecture_guesses, contents, design_editor, network_view
from pages.parts.foot import page_link

SIDES = (64, 96, 128, 160, 192, 224)
"""Photo sides offered, in pixels; every registered network fits all of them."""


def look() -> pd.DataFrame:
    """Open one registered network; returns its layer table."""
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        found = _choose(_("Network"), "model", "dwpw_256k")
        px = _side(found.input_px, f"px_{found.key}")
    guess = architecture_guesses.guess_half()
    rows = layer_rows(found.parts, px)
    network_view.metrics(totals(rows))
    network_view.picture(found.title, rows, found.parts, _role(found), "parts")
    architecture_guesses.reveal_half(guess, rows, found)
    st.subheader(_("What you see"))
    network_view.sentences(rows, found.parts, px)
    if found.design is not None:
        st.button(
            _("Change it in the designer"),
            icon=":material/design_services:",
            on_click=_to_designer,
            args=(found.design,),
        )
    st.subheader(_("Layer by layer"))
    network_view.table(rows, px, "look")
    return architecture.layers_frame(rows, px)


def side_by_side() -> pd.DataFrame:
    """Two registered networks at the same photo side; returns what each costs."""
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        first = _choose(_("First network"), "model_a", "plain_2m")
        second = _choose(_("Second network"), "model_b", "dwpw_256k")
        px = _side(128, "px_both")
    guess = architecture_guesses.guess_memory()
    pair = (first, second)
    tables = [layer_rows(one.parts, px) for one in pair]
    frame = architecture_bars.ratios_frame(totals(tables[0]), totals(tables[1]))
    network_view.drawn(
        architecture_bars.ratio_chart(frame, _role(second)),
        architecture_words.ratios_alt(first.title, second.title, frame),
        "ratios",
    )
    architecture_guesses.reveal_memory(guess, frame)
    st.subheader(_("What you see"))
    lines = architecture_words.ratios_seen(first.title, second.title, frame)
    st.markdown("\n".join(f"- {line}" for line in lines))
    for number, column in enumerate(st.columns(2, gap="large")):
        with column:
            one = pair[number]
            st.markdown(f"**{one.title}**")
            network_view.picture(
                one.title, tables[number], one.parts, _role(one), f"parts_{number}"
            )
    st.subheader(_("Layer by layer"))
    for number, tab in enumerate(st.tabs([one.title for one in pair])):
        with tab:
            network_view.table(tables[number], px, f"side_{number}")
    return frame.rename(columns={"first": first.key, "second": second.key})


def design() -> pd.DataFrame:
    """Design a student; returns its layer table."""
    on_top = st.container()
    with st.container(border=True):
        made = design_editor.edit()
    rows, parts = layer_rows(made), plan(made)
    sums = totals(rows)
    used = budgets(sums)
    with on_top:  # so that it stays in sight while the controls below are used
        network_view.metrics(sums)
        st.markdown(architecture_words.budgets_line(used))
    guess = architecture_guesses.guess_wider()
    architecture_guesses.reveal_wider(guess, made, sums.params)
    st.subheader(_("Would the course take it?"))
    network_view.drawn(
        architecture_bars.budget_chart(used),
        architecture_words.budgets_alt(
            [
                f"{architecture_bars.budget_title(b)}: {architecture_bars.budget_text(b)}"
                for b in used
            ]
        ),
        "budgets",
    )
    for column, verdict in zip(st.columns(3), years(sums), strict=True):
        baselines = ", ".join(
            f"{name} {value:.5f}" for name, value in verdict.baseline._asdict().items()
        )
        column.markdown(f"**{verdict.year}**  \n{architecture_words.verdict_words(verdict)}")
        column.caption(_("Accuracy asked on that year's split: {list}.").format(list=baselines))
    st.subheader(_("What you see"))
    network_view.picture(_("your design"), rows, parts, "scratch", "parts")
    network_view.sentences(rows, parts, made.input_px)
    st.subheader(_("Layer by layer"))
    network_view.table(rows, made.input_px, "design")
    st.subheader(_("Take it with you, train it"))
    exports(made)
    return architecture.layers_frame(rows, made.input_px)


def exports(made: Design) -> None:
    """The design as a file, as PyTorch source, and handed to training: a link and a command."""
    with st.container(horizontal=True):
        st.download_button(
            _("Design (JSON)"),
            made.to_json(),
            file_name=f"{made.slug}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            _("PyTorch source"),
            pytorch_source(made),
            file_name=f"{made.slug}.py",
            mime="text/x-python",
            icon=":material/code:",
            on_click="ignore",
        )
    page_link(
        contents.entry("training"),
        _("Train this student"),
        {"model": f"{PREFIX}{made.line}", "px": str(made.input_px)},
    )
    st.markdown(_("Or at a command line in the app's folder, on the photographs that you have:"))
    st.code(
        f"python -m core train --model {PREFIX}{made.line} --px {made.input_px}",
        language="bash",
        wrap_lines=True,
    )


def _choose(label: str, key: str, first: str) -> Described:
    chosen = address.choose(
        st.selectbox,
        label,
        described.known(),
        first,
        key,
        format_func=lambda one: described.describe(one).title,
        width=300,
    )
    return described.describe(chosen)


def _side(own: int, key: str) -> int:
    sides = sorted({own, *SIDES})
    return address.choose(st.selectbox, _("Photo side, px"), sides, own, key, width=110)


def _role(one: Described) -> RoleKey:
    return role_of(one.family, "scratch")


def _to_designer(made: Design) -> None:
    st.session_state["mode"] = "design"
    design_editor.take(made)
