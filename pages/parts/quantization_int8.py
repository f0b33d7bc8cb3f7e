"""Real int8, the dynamic int8 that changes next to nothing, and training for few bits."""

from collections.abc import Sequence

import streamlit as st

from core.charts import numbers, quantization_words
from core.charts.numbers import points, points_interval
from core.charts.pruning_words import column_title
from core.charts.quantization import Measured, scheme_title
from core.charts.quantization_int8 import (
    FORMS,
    form_row,
    int8_chart,
    int8_frame,
    timed_columns,
)
from core.measure.quantization_grid import Comparison, QuantizationGrid, QuantRow, RowKey
from core.words import _, ngettext
from pages.parts.figure import data_button, show
from pages.parts.linked import one_of
from pages.parts.quantization_controls import Guess, Setting, speed_title
from pages.parts.quantization_curves import figures


def int8(at: Setting, guess: Guess, reveal: bool) -> None:
    """Bytes and times of the ONNX forms, their accuracy, and the guess beside them."""
    st.markdown(
        _(
            "So far only the file became smaller: the network still computes with floats. *Static "
            "int8* turns the numbers that flow between the layers into integers, too. Their ranges "
            "are measured once on training photographs, and every convolution runs in int8."
        )
    )
    columns = timed_columns(at.grid) if at.grid else []
    if at.grid is None or not columns:
        st.info(_("Not measured yet for this network. This does it:"), icon=":material/timer_off:")
        st.code(f"python -m core quantize-grid {at.checkpoint.id} --stages int8", language="bash")
        return
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    column = one_of(
        st.segmented_control,
        _("Measured with"),
        {name: column_title(name) for name in columns},
        "time_with",
        default=columns[0],
        required=True,
    )
    frame = int8_frame(at.grid, column)
    show(
        int8_chart(frame),
        _("Bytes and time of each form as shares of float32's. {rows}.").format(
            rows="; ".join(
                _("{name}: {text}").format(name=name, text=text)
                for name, text in zip(frame["name"], frame["text"], strict=True)
            )
        ),
        key="int8",
    )
    data_button(frame, "int8")
    st.caption(
        ngettext(
            "Squares: bytes of the file. Triangles: median time of a call, quartiles as bars, "
            "{threads} thread, on {device}; all forms took turns.",
            "Squares: bytes of the file. Triangles: median time of a call, quartiles as bars, "
            "{threads} threads, on {device}; all forms took turns.",
            at.grid.threads,
        ).format(threads=at.grid.threads, device=at.grid.device)
        + " "
        + _(
            "Two kinds of file: float32 is weighed as safetensors, which holds the weights and "
            "nothing else; the int8 forms as ONNX, which also holds the plan of the network."
        )
    )
    _told(at.grid, column, guess)
    figures([row for scheme in FORMS if (row := form_row(at.grid, scheme)) is not None])


def _told(grid: QuantizationGrid, column: str, guess: Guess) -> None:
    whole, small = form_row(grid, "float32"), form_row(grid, "ort_int8")
    if whole is None or small is None:
        return
    base, time = whole.latency[column], small.latency[column]
    st.markdown(f"**{_('What you see')}**")
    lines = [
        _(
            "**static int8** is {verdict} ({share} of float32's time, {column}), and its ONNX file "
            "has {size} of the bytes of float32's safetensors file."
        ).format(
            verdict=quantization_words.speed_word(time, base),
            share=numbers.share(time.median / base.median),
            column=column_title(column),
            size=numbers.share(small.size_bytes / whole.size_bytes),
        )
    ]
    if small.difference is not None:
        gap, low, high = small.difference
        lines.append(
            _(
                "Its accuracy: {score}, against float32 {verdict} ({gap} points, 95 % interval "
                "{interval}, same photographs)."
            ).format(
                score=quantization_words.score_text(small),
                verdict=quantization_words.verdict(low, high),
                gap=points(gap),
                interval=points_interval(low, high),
            )
        )
    if time.against(base) != "faster":
        lines.append(
            _(
                "Fewer bits are not faster by themselves: a convolution in int8 needs a kernel and "
                "a processor that are quicker with integers, and every change of format costs time."
            )
        )
    st.markdown("\n".join(f"- {line}" for line in lines))
    if guess.speed:
        truth = time.against(base)
        told = _("Well seen.") if truth == guess.speed else _("Not quite.")
        st.markdown(
            told
            + " "
            + _("You guessed “{guess}”; static int8 measured “{truth}”.").format(
                guess=speed_title(guess.speed), truth=speed_title(truth)
            )
        )


def trap(at: Setting) -> None:
    """Dynamic int8 on a convolutional network: which of its operators changed, and its bytes."""
    st.markdown(
        _(
            "“Quantise the model to int8” is one line with *dynamic* quantisation, and it runs "
            "without a word of warning. But as it is usually called it only touches linear layers, "
            "and a convolutional network has one of those, at its very end."
        )
    )
    whole = form_row(at.grid, "float32") if at.grid else None
    dynamic = form_row(at.grid, "ort_dynamic") if at.grid else None
    if whole is None or dynamic is None:
        st.caption(_("What it changes in this network is shown here once it is measured."))
        st.code(f"python -m core quantize-grid {at.checkpoint.id} --stages int8", language="bash")
        return
    rows = [row for scheme in FORMS if at.grid and (row := form_row(at.grid, scheme)) is not None]
    for row in rows:
        st.markdown(_operators(row))
    st.markdown(
        _(
            "Dynamic int8 leaves {share} of the bytes: an ONNX file of {after}, where the float32 "
            "weights take {before} as safetensors. How to notice: weigh the file, and count the "
            "operators: a `Conv` is still a float convolution; `QLinearConv` or `ConvInteger`, or "
            "a `Conv` between `DequantizeLinear` and `QuantizeLinear`, is one in int8."
        ).format(
            share=numbers.share(dynamic.size_bytes / whole.size_bytes),
            after=numbers.count(dynamic.size_bytes),
            before=numbers.count(whole.size_bytes),
        )
    )


def _operators(row: QuantRow) -> str:
    interesting = ("Conv", "Gemm", "MatMul", "Linear", "Quant")
    counts = [
        f"{n} `{name}`"
        for name, n in sorted((row.operators or {}).items())
        if any(word in name for word in interesting)
    ]
    told = ", ".join(counts) or _("its operators were not counted")
    return f"- **{scheme_title(row.scheme)}**: {told}"


def aware(at: Setting, known: Sequence[Measured], reveal: bool) -> None:
    """Training for few bits against rounding afterwards: the paired verdict in words."""
    st.markdown(
        _(
            "*Post-training* quantisation rounds a finished network. *Quantisation-aware* "
            "fine-tuning rounds in every forward pass, so that the network learns to live with it; "
            "the gradient passes straight through the rounding as if it were not there."
        )
    )
    told = [(one, found) for one in known for found in one.grid.comparisons]
    if not told:
        st.info(
            _("Not measured yet. This fine-tunes a student at 4 bits:"),
            icon=":material/fitness_center:",
        )
        names = [one.grid.checkpoint for one in known if one.role != "teacher"]
        st.code(
            f"python -m core quantize-grid {(names or [at.checkpoint.id])[0]} --stages aware",
            language="bash",
        )
        return
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    for one, found in told:
        for line in quantization_words.comparison_lines(found, _names(found)):
            st.markdown(f"- {one.title}, {_scheme_and_bits(found)}: {line}")
    rows = [row for one in known for row in one.grid.tuned]
    with st.expander(_("Every fine-tuned network"), icon=":material/table:"):
        figures(rows)
    st.caption(
        _(
            "One training each: the interval covers which photographs happened to be in the test "
            "split, not the luck of training. The control was fine-tuned as long, in float32, and "
            "rounded afterwards: it shows what training longer does by itself."
        )
    )


def _scheme_and_bits(found: Comparison) -> str:
    return _("{scheme}, {bits}").format(
        scheme=scheme_title(found.a.scheme), bits=quantization_words.bits_text(found.a.bits)
    )


def _names(found: Comparison) -> tuple[str, str]:
    return _name(found.a), _name(found.b)


def _name(key: RowKey) -> str:
    if key.scheme == "float32":
        return _("the network in float32")
    return {
        "none": _("rounding afterwards"),
        "plain": _("fine-tuning in float32 ({n} epochs), then rounding"),
        "aware": _("quantisation-aware fine-tuning ({n} epochs)"),
    }[key.training].format(n=key.epochs)
