"""A checkpoint's files side by side: how many bytes each takes on the phone, how long a photo."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_data, with_rows
from core.charts.names import place_labels
from core.charts.theme import (
    RoleKey,
    finish,
    glyph,
    ink_text,
    layered,
    painted,
    role_color,
    role_of,
    role_shape,
)
from core.checkpoints import Checkpoint
from core.course import SIZE_LIMITS_BYTES
from core.export.stack import FORMATS, STEPS, Format, Runtime, Stack, StackRow, Step
from core.i18n import _
from core.pruning.rows import PruningGrid, RowKey
from core.stats import Score
from core.timing import Spread

if TYPE_CHECKING:  # not at run time: Home draws the way and does without ONNX Runtime
    from core.export.files import FileRow

EIGHT_BITS: tuple[Format, ...] = ("onnx-int8", "hw7-8bit")
ROW_PX, AXIS_PX = 58, 64


def format_title(format: Format) -> str:
    """What a format is called."""
    return {
        "safetensors": _("safetensors"),
        "onnx": _("ONNX, float32"),
        "onnx-fp16": _("ONNX, float16 weights"),
        "onnx-int8": _("ONNX, int8"),
        "hw7-8bit": _("HW7's 8-bit file"),
    }[format]


def format_about(format: Format) -> str:
    """What is in it and who can open it, in a line."""
    return {
        "safetensors": _("The weights alone, as they were published; torch loads them."),
        "onnx": _("Graph and weights in one file; any ONNX runtime runs it."),
        "onnx-fp16": _("The same, weights stored in half; computed in float32 all the same."),
        "onnx-int8": _("Weights and arithmetic in 8 bits, by ONNX Runtime."),
        "hw7-8bit": _("The weights alone, a byte each, as HW7 hands them in: a pickle."),
    }[format]


def role_of_file(one: Checkpoint, format: Format) -> RoleKey:
    """8-bit files are quantised; the others are what their checkpoint is."""
    return "quantised" if format in EIGHT_BITS else role_of(one)


def files_frame(one: Checkpoint, rows: Iterable["FileRow"]) -> pd.DataFrame:
    """One row a file, in the order of FORMATS: bytes, milliseconds (quartiles), parity, accuracy.

    What was not measured, or has no time of its own, is missing.
    """
    by_format = {row.format: row for row in rows}
    found = []
    for format in FORMATS:
        row = by_format.get(format)
        if row is None:
            continue
        time, parity = row.latency, row.parity
        score = parity.score if parity else None
        found.append(
            {
                "format": format,
                "title": format_title(format),
                "role": role_of_file(one, format),
                "size_bytes": row.size_bytes,
                "median": time and time.median,
                "p25": time and time.p25,
                "p75": time and time.p75,
                "runtime": row.runtime,
                "max_logit_difference": parity and parity.max_logit_difference,
                "agreement": parity and parity.agreement,
                "n": parity and parity.n,
                "accuracy": score and score.accuracy,
                "low": score and score.ci95[0],
                "high": score and score.ci95[1],
            }
        )
    return pd.DataFrame(found)


def size_chart(frame: pd.DataFrame, known: Collection[Format] = FORMATS) -> Spec:
    """Bytes as bars, the format's name over its bar; HW7's two limits as lines where they fit.

    Of formats that are not `known` yet the name alone; the axis fits all of them.
    """
    most = float(frame["size_bytes"].max())
    limits = [limit for limit in sorted(SIZE_LIMITS_BYTES.values()) if limit <= 1.15 * most]
    rows = [
        {"place": place, **{key: row[key] for key in ("title", "role")}, "size_bytes": size,
         "text": "?" if size is None else numbers.size(size)}
        for place, row in enumerate(frame.to_dict("records"))
        for size in [row["size_bytes"] if row["format"] in known else None]
    ]  # fmt: skip
    return with_rows(
        _sizes(len(rows), most),
        files=rows,
        limits=[{"size_bytes": limit, "text": numbers.size(limit)} for limit in limits],
    )


_SIZES = (
    "datum.value >= 1e6 ? format(datum.value / 1e6, '.3~g') + ' MB' : "
    "format(datum.value / 1e3, '.3~g') + ' KB'"
)


@compiled
def _sizes(n: int, most: float) -> Any:
    x = alt.X(
        "size_bytes:Q",
        title=_("Size of the file"),
        scale=alt.Scale(domain=[0, 1.25 * most], nice=False),
        axis=alt.Axis(labelExpr=_SIZES, tickCount=4, grid=False),
    )
    base, names, figures = _rows(x)
    bars = base.mark_bar(cornerRadiusEnd=3, height=18).encode(color=role_color())
    edge = alt.Chart(alt.NamedData("limits"))
    lines = edge.mark_rule(strokeDash=[5, 4], strokeWidth=1.5, opacity=0.7).encode(x=x)
    labels = ink_text(edge.encode(x=x, y=alt.value(0)), "text:N", "muted", dy=-8)
    parts = [painted(lines, "muted"), bars, labels, figures, names]
    return finish(layered(*parts), height=ROW_PX * n + AXIS_PX)


def time_chart(frame: pd.DataFrame, known: Collection[Format] = FORMATS) -> Spec:
    """Median milliseconds for one photo, quartiles as bars; files with no runtime are left out.

    `known` as of `size_chart`.
    """
    timed = frame.dropna(subset=["median"])
    rows = [
        {
            "place": place,
            **{key: row[key] for key in ("title", "role", "format")},
            **{key: row[key] if is_known else None for key in ("median", "p25", "p75")},
            "text": numbers.milliseconds(row["median"]) if is_known else "?",
        }
        for place, row in enumerate(timed.to_dict("records"))
        for is_known in [row["format"] in known]
    ]
    return with_rows(_times(len(rows), float(timed["p75"].max())), files=rows)


@compiled
def _times(n: int, most: float) -> Any:
    x = alt.X(
        "median:Q",
        title=_("Milliseconds for one photo"),
        scale=alt.Scale(domain=[0, 1.3 * most], nice=False),
        axis=alt.Axis(tickCount=5, grid=False),
    )
    base, names, figures = _rows(x)
    spans = base.mark_rule(strokeWidth=3).encode(
        alt.X("p25:Q", title=x["title"], scale=x["scale"], axis=x["axis"]),
        x2="p75:Q",
        color=role_color(),
    )
    marks = base.mark_point(size=150, filled=True, opacity=1).encode(
        color=role_color(), shape=role_shape()
    )
    return finish(layered(spans, marks, figures, names), height=ROW_PX * n + AXIS_PX)


def _rows(x: alt.X) -> tuple[alt.Chart, alt.Chart, alt.Chart]:
    """Rows from top to bottom, their names over them (beside them a phone has no room), and their
    figures."""
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    files = alt.Chart(alt.NamedData("files")).encode(y=y)
    base = files.encode(
        x=x,
        tooltip=[alt.Tooltip("title:N", title=_("File")), alt.Tooltip("text:N", title=x["title"])],
    )
    names = ink_text(files.encode(x=alt.value(0)), "title:N", align="left", dy=-19)
    column = x["shorthand"].removesuffix(":Q")
    end = f"isValid(datum.{column}) ? scale('x', datum.{column}) + 14 : 4"
    figures = ink_text(files.encode(x=alt.XValue(alt.expr(end))), "text:N", align="left")
    return base, names, figures


# ------------------------------------------------------------------------------------------------
# What the files' bytes and times say, in sentences; differences only where they can be told.


def runtime_title(runtime: Runtime) -> str:
    """What computes with a file."""
    return {
        "torch": "torch",
        "onnxruntime": "ONNX Runtime",
        "none": _("none: decoded to float32 first"),
    }[runtime]


def smallest(rows: Sequence["FileRow"]) -> Format:
    """The format with the fewest bytes."""
    return min(rows, key=lambda row: row.size_bytes).format


def fastest(rows: Sequence["FileRow"]) -> list[Format]:
    """The quickest format first, then those whose calls cannot be told from it; [] without times.

    Cannot be told: the middle halves of their calls overlap.
    """
    timed = [(row.latency.median, row.format, row.latency) for row in rows if row.latency]
    if not timed:
        return []
    timed.sort(key=lambda one: one[0])
    best = timed[0][2]
    return [format for _ms, format, time in timed if time.against(best) == "same"]


def guess_answer(
    rows: Sequence["FileRow"], guess: Format | None, wanted: list[Format], what: str
) -> str:
    """The answer to a guess, with figures; `what` is "smallest" or "fastest", `wanted` the right
    answers, the best first."""
    figures = {row.format: row for row in rows}

    def named(format: Format) -> str:
        row = figures.get(format)
        if row is None:
            return _("{name}, which could not be made here").format(name=format_title(format))
        if what == "smallest":
            figure = numbers.size(row.size_bytes)
        else:
            figure = numbers.milliseconds(row.latency.median) if row.latency else _("no time")
        return f"{format_title(format)}: {figure}"

    kind = _("The smallest is {best}.") if what == "smallest" else _("The fastest is {best}.")
    answer = kind.format(best=named(wanted[0]))
    if guess is not None and guess not in wanted:
        answer = _("You guessed {guess}. {answer}").format(guess=named(guess), answer=answer)
    if len(wanted) > 1:
        names = _(" and ").join(format_title(format) for format in wanted)
        answer += " " + _("{names} are not distinguishable by their times.").format(names=names)
    return answer


def size_lines(rows: Sequence["FileRow"]) -> list[str]:
    """Which file is the smallest, how much smaller, and which of HW7's limits it keeps."""
    found = {row.format: row for row in rows}
    least = found[smallest(rows)]
    lines = []
    if "onnx" in found and least.format != "onnx":
        factor = found["onnx"].size_bytes / least.size_bytes
        lines.append(
            _("**Smallest**: {name}, {size}, {ratio} smaller than float32 ONNX.").format(
                name=format_title(least.format),
                size=numbers.size(least.size_bytes),
                ratio=numbers.ratio(factor),
            )
        )
    limit = min(SIZE_LIMITS_BYTES.values())
    within = [row for row in rows if row.size_bytes <= limit]
    lines.append(
        _("Under HW7's {limit}: {names}.").format(
            limit=numbers.size(limit), names=", ".join(format_title(row.format) for row in within)
        )
        if within
        else _("None of them is under HW7's {limit}.").format(limit=numbers.size(limit))
    )
    return lines


def time_lines(rows: Sequence["FileRow"]) -> list[str]:
    """Int8 and half precision against float32, by the middle halves of their calls."""
    found = {row.format: row for row in rows}
    whole = found.get("onnx")
    if whole is None or whole.latency is None:
        return []
    lines = []
    smaller: tuple[Format, ...] = ("onnx-int8", "onnx-fp16")
    for format in smaller:
        row = found.get(format)
        if row is None or row.latency is None:
            continue
        told = {
            "faster": _("faster: {a} instead of {b}"),
            "slower": _("slower: {a} instead of {b}"),
            "same": _("not distinguishable: {a} and {b}"),
        }[row.latency.against(whole.latency)].format(
            a=numbers.milliseconds(row.latency.median),
            b=numbers.milliseconds(whole.latency.median),
        )
        lines.append(
            _("**{name}** against float32: {share} of the bytes; {told}.").format(
                name=format_title(row.format),
                share=numbers.share(row.size_bytes / whole.size_bytes),
                told=told,
            )
        )
    return lines


def parity_lines(rows: Sequence["FileRow"]) -> list[str]:
    """Which files answer as the original does, and how far the others are from it."""
    with_parity = [(row, row.parity) for row in rows if row.parity]
    exact = [row for row, parity in with_parity if parity.agreement == 1]
    lines = []
    if exact:
        lines.append(
            _("Same class as the original on every picture: {names}.").format(
                names=", ".join(format_title(row.format) for row in exact)
            )
        )
    for row, parity in with_parity:
        if parity.agreement < 1:
            others = round((1 - parity.agreement) * parity.n)
            lines.append(
                _("**{name}** gives another class on {others} of {n} pictures.").format(
                    name=format_title(row.format),
                    others=numbers.count(others),
                    n=numbers.count(parity.n),
                )
            )
    return lines


def accuracy_text(score: Score | None) -> str:
    """ "56.1 % (53.6 to 58.6 %)"; empty where it was not measured."""
    if score is None:
        return ""
    return _("{accuracy} ({interval})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
    )


def files_table(rows: Sequence["FileRow"]) -> pd.DataFrame:
    """The rows as a reader wants them: texts, empty where nothing was measured."""
    found = []
    for row in rows:
        time, parity = row.latency, row.parity
        found.append(
            {
                "file": format_title(row.format),
                "bytes": numbers.count(row.size_bytes),
                "time": numbers.milliseconds(time.median) if time else _("n/a"),
                "quartiles": f"{time.p25:.2f} – {time.p75:.2f}" if time else "",
                "runs": runtime_title(row.runtime),
                "difference": f"{parity.max_logit_difference:.2g}" if parity else "",
                "agreement": numbers.percent(parity.agreement, parity.n) if parity else "",
                "right": accuracy_text(parity.score if parity else None),
            }
        )
    return pd.DataFrame(found)


def size_alt(frame: pd.DataFrame) -> str:
    """The size chart for who cannot see it."""
    listed = [
        f"{title}: {numbers.size(size)}"
        for title, size in zip(frame["title"], frame["size_bytes"], strict=True)
    ]
    return _("Bytes of each file as bars. {list}.").format(list="; ".join(listed))


def time_alt(frame: pd.DataFrame) -> str:
    """The time chart for who cannot see it."""
    timed = frame.dropna(subset=["median"])
    listed = [
        f"{title}: {numbers.milliseconds(ms)}"
        for title, ms in zip(timed["title"], timed["median"], strict=True)
    ]
    return _("Median time of one photo by each file, with quartiles. {list}.").format(
        list="; ".join(listed)
    )


# ------------------------------------------------------------------------------------------------
# From the teacher to a file for a phone: every step's accuracy against its bytes.


HEIGHT_PX = 380
NARROW_PX = 270
"""Width of the plot on a phone: names must fit there."""
_STACK_PLOT_PX = 315  # what axis and its title leave of the height
_ASIDE: tuple[Step, ...] = ("student_8bit",)
ROLES: dict[Step, RoleKey] = {
    "teacher": "teacher",
    "student": "distilled",
    "student_8bit": "quantised",
    "cut": "pruned",
    "tuned": "pruned",
    "tuned_int8": "quantised",
    "tuned_8bit": "quantised",
}


def step_title(step: Step) -> str:
    """What a step is called beside its mark."""
    return {
        "teacher": _("teacher"),
        "student": _("distilled"),
        "student_8bit": _("8-bit, uncut"),
        "cut": _("cut"),
        "tuned": _("fine-tuned"),
        "tuned_int8": _("int8"),
        "tuned_8bit": _("8-bit file"),
    }[step]


def stack_frame(rows: Sequence[StackRow]) -> pd.DataFrame:
    """One row a step: its number on the way, bytes, accuracy with interval (95 %), role."""
    found = []
    for row in rows:
        score = row.score
        number = STEPS.index(row.step) + 1
        found.append(
            {
                "step": row.step,
                "number": number,
                "name": f"{number} {step_title(row.step)}",
                "file": format_title(row.format),
                "role": ROLES[row.step],
                "aside": row.step in _ASIDE,
                "params": row.params,
                "macs": row.macs,
                "size_bytes": row.size_bytes,
                "median_ms": row.latency and row.latency.median,
                "accuracy": score and score.accuracy,
                "low": score and score.ci95[0],
                "high": score and score.ci95[1],
                "n": row.n,
            }
        )
    return pd.DataFrame(found)


def stack_chart(frame: pd.DataFrame) -> Spec:
    """Accuracy against bytes on a logarithmic axis, the way drawn through the steps.

    `frame`: of `stack_frame`, rows without accuracy left out; at least one row.
    """
    measured = frame.dropna(subset=["accuracy"])
    low = float(10 ** np.floor(np.log10(measured["size_bytes"].min())))
    high = float(10 ** np.ceil(np.log10(measured["size_bytes"].max() * 1.0001)))
    bottom = max(0.0, float(np.floor(10 * measured["low"].min()) / 10))
    top = min(1.0, float(np.ceil(10 * measured["high"].max()) / 10))
    steps = [
        {
            **{key: row[key] for key in ("number", "name", "role", "size_bytes", "aside")},
            **{key: row[key] for key in ("accuracy", "low", "high")},
            "text": numbers.size(row["size_bytes"]),
        }
        for row in measured.to_dict("records")
    ]
    across = [NARROW_PX * np.log(step["size_bytes"] / low) / np.log(high / low) for step in steps]
    down = [_STACK_PLOT_PX * (top - step["accuracy"]) / (top - bottom) for step in steps]
    labels = place_labels(
        [(step["name"], step["name"].split(" ")[0]) for step in steps],
        list(zip(across, down, strict=True)),
        (NARROW_PX, _STACK_PLOT_PX),
        ("right", "left", "above", "below"),
    )
    limit = min(SIZE_LIMITS_BYTES.values())
    return with_rows(
        _stack((low, high), (bottom, top)),
        steps=steps,
        way=[step for step in steps if not step["aside"]],
        names=[
            {**{key: step[key] for key in ("size_bytes", "accuracy")}, **label._asdict()}
            for step, label in zip(steps, labels, strict=True)
            if label is not None
        ],
        limit=[{"size_bytes": limit, "text": numbers.size(limit)}],
    )


@compiled
def _stack(sizes: tuple[float, float], accuracies: tuple[float, float]) -> Any:
    x = alt.X(
        "size_bytes:Q",
        title=_("Size of the file"),
        scale=alt.Scale(type="log", domain=sizes, nice=False),
        axis=alt.Axis(values=[float(10**power) for power in range(3, 10)], format="~s"),
    )
    title = _("Right on the test photographs")
    scale = alt.Scale(domain=accuracies, nice=False)
    y = alt.Y("accuracy:Q", title=title, scale=scale, axis=alt.Axis(format=".0%", tickCount=6))
    base = alt.Chart(alt.NamedData("steps")).encode(x=x)
    way = alt.Chart(alt.NamedData("way")).mark_line(strokeWidth=1.5, strokeDash=[6, 3])
    bars = base.mark_rule(strokeWidth=2.5).encode(
        alt.Y("low:Q", title=title, scale=scale), y2="high:Q", color=role_color()
    )
    marks = base.mark_point(size=150, filled=True, opacity=1).encode(
        y=y,
        color=role_color(),
        shape=role_shape(),
        tooltip=[
            alt.Tooltip("name:N", title=_("Step")),
            alt.Tooltip("text:N", title=_("Size of the file")),
            alt.Tooltip("accuracy:Q", title=title, format=".1%"),
        ],
    )
    names = ink_text(
        alt.Chart(alt.NamedData("names")).encode(x=x, y=y), "text:N", baseline="middle",
        align=alt.expr("datum.align"), dx=alt.expr("datum.dx"), dy=alt.expr("datum.dy"),
    )  # fmt: skip
    edge = alt.Chart(alt.NamedData("limit")).encode(x=x)
    line = edge.mark_rule(strokeDash=[2, 3], strokeWidth=1.5)
    label = ink_text(edge.encode(y=alt.value(0)), "text:N", "muted", dy=-8)
    parts = [painted(way.encode(x=x, y=y, order="number:Q"), "muted"), painted(line, "muted")]
    return finish(layered(*parts, label, bars, marks, names), height=HEIGHT_PX)


# ------------------------------------------------------------------------------------------------
# The same way in four steps, as squares whose areas are the files' bytes; the browser steps on.


STORY: tuple[Step, ...] = ("teacher", "student", "tuned", "tuned_8bit")
"""What is left of the way where it is told in short."""
STORY_PX = 270


def story_chart(rows: Sequence[StackRow], lines: Mapping[Step, Sequence[str]], start: Step) -> Spec:
    """A square a step, all in one corner; beside them `lines` of the step that is chosen.

    `rows`: of STORY, at least one. The step is the Vega parameter `step`, which begins at `start`.
    """
    most = max(row.size_bytes for row in rows)
    steps = pd.DataFrame(
        [
            {
                "step": row.step,
                "role": ROLES[row.step],
                "side": float(np.sqrt(row.size_bytes / most)),
                "head": f"{glyph(ROLES[row.step])} {story_title(row.step)}",
                "size": numbers.size(row.size_bytes),
                "lines": "\n".join(lines[row.step]),
            }
            for row in rows
        ]
    )
    return with_data(_story(tuple(row.step for row in rows)), {"step": start}, steps=steps)


def story_title(step: Step) -> str:
    """What was done last in a step of STORY."""
    return {
        "teacher": _("Teacher"),
        "student": _("Distilled"),
        "tuned": _("Cut"),
        "tuned_8bit": _("8 bits"),
    }[step]


@compiled
def _story(offered: tuple[Step, ...]) -> Any:
    radio = alt.binding_radio(
        options=list(offered), labels=[story_title(step) for step in offered], name=" "
    )
    chosen = alt.param(name="step", value=offered[0], bind=radio)
    steps = alt.Chart(alt.NamedData("steps"))
    here = steps.transform_filter("datum.step == step")
    square = f"min({STORY_PX} - 4, 0.46 * width)"  # the side of the largest, in px
    corners = {
        "x": alt.XValue(2),
        "x2": alt.X2Value(alt.expr(f"2 + datum.side * {square}")),
        "y": alt.YValue(STORY_PX - 2),
        "y2": alt.Y2Value(alt.expr(f"{STORY_PX} - 2 - datum.side * {square}")),
        "color": role_color(),
    }
    outlines = steps.mark_rect(filled=False, strokeWidth=2).encode(**corners)
    full = here.mark_rect(filled=True, opacity=0.35).encode(**corners)
    beside = alt.XValue(alt.expr(f"{square} + 22"))

    def words(column: str, top: int, **mark: Any) -> alt.Chart:
        return ink_text(
            here.encode(x=beside, y=alt.YValue(top)), f"{column}:N", align="left", baseline="top",
            **mark,
        )  # fmt: skip

    texts = [
        words("head", 6, fontSize=17, fontWeight="bold"),
        words("size", 34, fontSize=30, fontWeight="bold"),
        words("lines", 82, lineBreak="\n", lineHeight=24, fontSize=15),
    ]
    return finish(layered(full, outlines, *texts).add_params(chosen), height=STORY_PX)


def stack_table(rows: Sequence[StackRow]) -> pd.DataFrame:
    """Every step as a reader wants it; empty where nothing was measured."""
    return pd.DataFrame(
        [
            {
                "step": f"{STEPS.index(row.step) + 1} {step_title(row.step)}",
                "file": format_title(row.format),
                "right": accuracy_text(row.score),
                "bytes": numbers.count(row.size_bytes),
                "time": numbers.milliseconds(row.latency.median) if row.latency else _("n/a"),
                "params": numbers.count(row.params),
                "macs": numbers.count(row.macs),
            }
            for row in rows
        ]
    )


def stack_lines(stack: Stack) -> list[str]:
    """What each part of the way brought and cost, from the rows."""
    rows = {step: stack.row(step) for step in STEPS}
    lines = []
    first, last = rows["teacher"], rows["tuned_8bit"]
    if first and last:
        lines.append(
            _("**All the way**: {a} to {b}, {ratio} smaller; {before} to {after}.").format(
                a=numbers.size(first.size_bytes),
                b=numbers.size(last.size_bytes),
                ratio=numbers.ratio(first.size_bytes / last.size_bytes),
                before=accuracy_text(first.score) or _("accuracy not measured"),
                after=accuracy_text(last.score) or _("accuracy not measured"),
            )
        )
    cut, tuned, student = rows["cut"], rows["tuned"], rows["student"]
    if cut and tuned and student and cut.score and tuned.score and student.score:
        lines.append(
            _(
                "**Cutting** leaves {params} of {whole} parameters: {before} right becomes {cut}; "
                "fine-tuning brings it to {after}."
            ).format(
                params=numbers.count(cut.params),
                whole=numbers.count(student.params),
                before=numbers.percent(student.score.accuracy, student.n),
                cut=numbers.percent(cut.score.accuracy, cut.n),
                after=numbers.percent(tuned.score.accuracy, tuned.n),
            )
        )
    uncut = rows["student_8bit"]
    limit = min(SIZE_LIMITS_BYTES.values())
    if uncut and uncut.score and last and last.score and uncut.size_bytes <= limit:
        lines.append(
            _(
                "**Was cutting needed?** The whole student in 8 bits takes {size}, under HW7's "
                "{limit}, and is right on {right}; cut first, {cut_size} and {cut_right}."
            ).format(
                size=numbers.size(uncut.size_bytes),
                limit=numbers.size(limit),
                right=accuracy_text(uncut.score),
                cut_size=numbers.size(last.size_bytes),
                cut_right=accuracy_text(last.score),
            )
        )
    return lines


def stack_time_lines(stack: Stack, grid: PruningGrid | None = None) -> list[str]:
    """Whether cutting made it faster, and why; `grid`: what was measured of pruning the student."""
    student, tuned = stack.row("student"), stack.row("tuned")
    if not (student and tuned and student.latency and tuned.latency):
        return []
    told = {
        "faster": _("faster: {a} instead of {b}"),
        "slower": _("slower: {a} instead of {b}"),
        "same": _("not distinguishable: {a} and {b}"),
    }[tuned.latency.against(student.latency)].format(
        a=numbers.milliseconds(tuned.latency.median),
        b=numbers.milliseconds(student.latency.median),
    )
    lines = [
        _("**Cut, and faster?** {macs} of the arithmetic is left, yet it is {told}.").format(
            macs=numbers.share(tuned.macs / student.macs), told=told
        )
        if tuned.latency.against(student.latency) != "faster"
        else _("**Cut, and faster?** {macs} of the arithmetic is left; it is {told}.").format(
            macs=numbers.share(tuned.macs / student.macs), told=told
        )
    ]
    before, after = student.blocks, tuned.blocks
    if before and after:
        lines.append(
            _(
                "**Why**: ONNX Runtime computes a convolution in blocks of 8 or 16 channels where "
                "the layer's channels fill them: {a} of {n} convolutions of the student, {b} of "
                "{m} of the cut one. With no blocks allowed the student takes {slow} of processor "
                "time, the cut one {fast}: there, less arithmetic is less time."
            ).format(
                a=before.blocked,
                n=before.of,
                b=after.blocked,
                m=after.of,
                slow=numbers.milliseconds(before.cpu_without.median),
                fast=numbers.milliseconds(after.cpu_without.median),
            )
        )
    whole = grid and grid.row(RowKey("l1", 0.0, "removed"))
    half = grid and grid.row(RowKey("channel_l2", 0.5, "narrow"))
    if whole and half and {"onnx_1", "torch_1"} <= whole.latency.keys() & half.latency.keys():
        lines.append(
            _(
                "*Pruning* cuts each layer by half, which leaves whole blocks: {onnx} by ONNX "
                "Runtime, {torch} by torch."
            ).format(
                onnx=_times_text(half.latency["onnx_1"], whole.latency["onnx_1"]),
                torch=_times_text(half.latency["torch_1"], whole.latency["torch_1"]),
            )
        )
    return lines


def _times_text(after: Spread, before: Spread) -> str:
    return _("{after} instead of {before}").format(
        after=numbers.milliseconds(after.median), before=numbers.milliseconds(before.median)
    )


def stack_alt(frame: pd.DataFrame) -> str:
    """The chart for who cannot see it."""
    listed = [
        f"{row['name']}: {numbers.size(row['size_bytes'])}, {numbers.percent(row['accuracy'])}"
        for _at, row in frame.dropna(subset=["accuracy"]).iterrows()
    ]
    return _("Accuracy against bytes, step by step from the teacher. {list}.").format(
        list="; ".join(listed)
    )
