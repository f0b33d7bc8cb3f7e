"""A checkpoint's files side by side: how many bytes each takes on the phone, how long a photo; and
the way from the teacher to the smallest file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.charts import numbers
from core.charts.compiled import Spec, compiled, table, with_data, with_rows
from core.charts.libraries import alt
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
from core.export.stack import FORMATS, STEPS, Format, Stack, StackRow, Step
from core.i18n import _, labelled, paragraph
from core.pruning.rows import PruningGrid, RowKey
from core.stats import Score
from core.timing import Spread

if TYPE_CHECKING:  # not at run time: Home draws the way and does without ONNX Runtime
    from core.export.files import FileRow

Measure = Literal["bytes", "time"]
Rows = Sequence[dict[str, Any]]

EIGHT_BITS: tuple[Format, ...] = ("onnx-int8", "hw7-8bit")
ROW_PX, AXIS_PX = 58, 64
HEIGHT_PX = 380
NARROW_PX = 270
"""Width of the plot on a phone: names must fit there."""
PLOT_PX = 315
"""Of HEIGHT_PX, without the axis and its title."""
ROLES: dict[Step, RoleKey] = {
    "teacher": "teacher",
    "student": "distilled",
    "student_8bit": "quantised",
    "cut": "pruned",
    "tuned": "pruned",
    "tuned_int8": "quantised",
    "tuned_8bit": "quantised",
}
STORY: tuple[Step, ...] = ("teacher", "student", "tuned", "tuned_8bit")
"""What is left of the way where it is told in short."""
STORY_PX = 270


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
        "safetensors": _("Only the weights, as they were published; torch loads them."),
        "onnx": _("Graph and weights in one file; any ONNX runtime runs it."),
        "onnx-fp16": _("The same with weights in 16 bits; it still computes in float32."),
        "onnx-int8": _("Weights and arithmetic in 8 bits, for ONNX Runtime."),
        "hw7-8bit": _("Only the weights, one byte each, as HW7 wants them: a pickle."),
    }[format]


def file_rows(checkpoint: Checkpoint, rows: Iterable[FileRow]) -> list[dict[str, Any]]:
    """A row for each file, in the order of FORMATS: bytes, milliseconds (quartiles), parity,
    accuracy. What was not measured, or has no time of its own, is None.

    8-bit files have the role "quantised"; the others that of their checkpoint.
    """
    by_format = {row.format: row for row in rows}
    files = []
    for format in FORMATS:
        row = by_format.get(format)
        if row is None:
            continue
        time, parity = row.latency, row.parity
        score = parity.score if parity else None
        files.append(
            {
                "format": format,
                "title": format_title(format),
                "role": "quantised" if format in EIGHT_BITS else role_of(checkpoint),
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
    return files


def files_chart(files: Rows, measure: Measure, known: Collection[Format] = FORMATS) -> Spec:
    """A row for each of `file_rows`, its name over its mark.

    Bytes are bars, with HW7's two limits as lines where they fit; times are medians for one photo
    with their quartiles, files with no runtime left out. Of formats that are not `known` yet the
    name alone; the axis fits all of them.
    """
    files = [file for file in files if measure == "bytes" or file["median"] is not None]
    most = max(file["size_bytes" if measure == "bytes" else "p75"] for file in files)
    rows = []
    for place, file in enumerate(files):
        value = file["size_bytes"] if measure == "bytes" else file["median"]
        text = numbers.size(value) if measure == "bytes" else numbers.milliseconds(value)
        row = {"place": place, **{key: file[key] for key in ("title", "role", "p25", "p75")},
               "value": value, "end": value if measure == "bytes" else file["p75"],
               "text": text}  # fmt: skip
        if file["format"] not in known:
            row |= {"value": None, "p25": None, "p75": None, "end": None, "text": "?"}
        rows.append(row)
    limits = [limit for limit in SIZE_LIMITS_BYTES.values() if limit <= 1.15 * most]
    tables: dict[str, Rows] = {"files": rows}
    if measure == "bytes":
        tables["limits"] = [
            {"place": place, "value": limit, "text": "" if place else numbers.size(limit)}
            for limit in limits
            for place in range(len(rows))
        ]
    chart = with_rows(_files(measure), {"most": most}, **tables)
    return {**chart, "height": ROW_PX * len(rows) + AXIS_PX}


@compiled
def _files(measure: Measure) -> Any:
    bytes_text = (
        "datum.value >= 1e6 ? format(datum.value / 1e6, '.3~g') + ' MB' : "
        "format(datum.value / 1e3, '.3~g') + ' KB'"
    )
    axis = alt.Axis(tickCount=5, grid=False)
    title = _("Milliseconds for one photo")
    if measure == "bytes":
        axis, title = alt.Axis(labelExpr=bytes_text, tickCount=4, grid=False), _("Size of the file")
    most = alt.param(name="most", value=1)
    scale = alt.Scale(domainMin=0, domainMax=alt.expr("1.3 * most"), nice=False)
    x = alt.X("value:Q", title=title, scale=scale, axis=axis)
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    files = alt.Chart(alt.NamedData("files")).encode(y=y)
    base = files.encode(
        x=x,
        tooltip=[alt.Tooltip("title:N", title=_("File")), alt.Tooltip("text:N", title=title)],
    )
    if measure == "bytes":
        edge = alt.Chart(alt.NamedData("limits")).encode(x=x)
        lines = edge.mark_tick(thickness=1.5, size=22, yOffset=2).encode(
            y=y
        )  # none crosses a file's name
        marks = [
            base.mark_bar(cornerRadiusEnd=3, height=18).encode(color=role_color()),
            painted(lines, "muted"),
            ink_text(edge.encode(y=alt.value(0)), "text:N", "muted", dy=-8),
        ]
    else:
        quartiles = alt.X("p25:Q", title=title, scale=scale, axis=axis)
        points = base.mark_point(size=150, filled=True, opacity=1)
        marks = [
            base.mark_rule(strokeWidth=3).encode(quartiles, x2="p75:Q", color=role_color()),
            points.encode(color=role_color(), shape=role_shape()),
        ]
    # names over the marks: beside them a phone has no room
    names = ink_text(files.encode(x=alt.value(0)), "title:N", align="left", dy=-19)
    end = alt.XValue(alt.expr("isValid(datum.end) ? scale('x', datum.end) + 14 : 4"))
    figures = ink_text(base.encode(x=end), "text:N", align="left")
    return finish(layered(*marks, figures, names).add_params(most), height=ROW_PX)


def files_alt(files: Rows, measure: Measure, known: Collection[Format] = FORMATS) -> str:
    """Alt text of `files_chart`."""
    files = [file for file in files if file["format"] in known]
    if measure == "bytes":
        words = _("Bytes of each file as bars. {list}.")
        figures = [labelled(file["title"], numbers.size(file["size_bytes"])) for file in files]
    else:
        words = _("Median time of one photo by each file, with quartiles. {list}.")
        figures = [labelled(file["title"], numbers.milliseconds(file["median"]))
                   for file in files if file["median"] is not None]  # fmt: skip
    return words.format(list=_("; ").join(figures))


def smallest(rows: Sequence[FileRow]) -> Format:
    """The format with the fewest bytes."""
    return min(rows, key=lambda row: row.size_bytes).format


def fastest(rows: Sequence[FileRow]) -> list[Format]:
    """The quickest format, then those not distinguishable from it in time; [] without times.

    Cannot be told: the middle halves of their calls overlap.
    """
    times = {row.format: row.latency for row in rows if row.latency}
    by_speed = sorted(times, key=lambda format: times[format].median)
    return [format for format in by_speed if times[format].against(times[by_speed[0]]) == "same"]


def guess_answer(
    rows: Sequence[FileRow], guess: Format | None, right: list[Format], measure: Measure
) -> str:
    """The answer to a guess of the smallest or the fastest file, with figures; `right` are the
    right answers, the best first."""
    figures = {row.format: row for row in rows}

    def named(format: Format) -> str:
        row = figures.get(format)
        if row is None:
            return _("{name}, which could not be made here").format(name=format_title(format))
        if measure == "bytes":
            figure = numbers.size(row.size_bytes)
        else:
            figure = numbers.milliseconds(row.latency.median) if row.latency else _("no time")
        return labelled(format_title(format), figure)

    kind = _("The smallest is {best}.") if measure == "bytes" else _("The fastest is {best}.")
    answer = kind.format(best=named(right[0]))
    if guess is not None and guess not in right:
        answer = _("You guessed {guess}. {answer}").format(guess=named(guess), answer=answer)
    if len(right) > 1:
        names = _(" and ").join(map(format_title, right))
        same = _("{names} are not distinguishable by their times.").format(names=names)
        answer = paragraph([answer, same])
    return answer


def size_lines(rows: Sequence[FileRow]) -> list[str]:
    """Which file is the smallest, how much smaller, and which of HW7's limits it keeps."""
    by_format = {row.format: row for row in rows}
    least = by_format[smallest(rows)]
    lines = []
    if "onnx" in by_format and least.format != "onnx":
        factor = by_format["onnx"].size_bytes / least.size_bytes
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
            limit=numbers.size(limit),
            names=_(", ").join(format_title(row.format) for row in within),
        )
        if within
        else _("None of them is under HW7's {limit}.").format(limit=numbers.size(limit))
    )
    return lines


def time_lines(rows: Sequence[FileRow]) -> list[str]:
    """Int8 and half precision against float32, by the middle halves of their calls."""
    by_format = {row.format: row for row in rows}
    whole = by_format.get("onnx")
    if whole is None or whole.latency is None:
        return []
    smaller: tuple[Format, ...] = ("onnx-int8", "onnx-fp16")
    return [
        _("**{name}** against float32: {share} of the bytes; {comparison}.").format(
            name=format_title(format),
            share=numbers.share(row.size_bytes / whole.size_bytes),
            comparison=comparison(row.latency, whole.latency),
        )
        for format in smaller
        if (row := by_format.get(format)) and row.latency
    ]


def comparison(after: Spread, before: Spread) -> str:
    """ "faster: 1.2 ms instead of 2.0 ms", if the middle halves of the calls lie apart."""
    words = {
        "faster": _("faster: {a} instead of {b}"),
        "slower": _("slower: {a} instead of {b}"),
        "same": _("not distinguishable: {a} and {b}"),
    }[after.against(before)]
    return words.format(a=numbers.milliseconds(after.median), b=numbers.milliseconds(before.median))


def accuracy_text(score: Score | None) -> str:
    """ "56.1 % (53.6 to 58.6 %)"; empty where it was not measured."""
    return numbers.score_text(score) if score else ""


def files_table(rows: Sequence[FileRow]) -> dict[str, list[str]]:
    """The rows as a reader wants them: title -> texts, empty where nothing was measured."""
    parities = [row.parity for row in rows]
    return {
        _("File"): [format_title(row.format) for row in rows],
        _("Bytes"): [numbers.count(row.size_bytes) for row in rows],
        _("One photo"): [_time_text(row.latency) for row in rows],
        _("Right (95 % interval)"): [accuracy_text(it.score if it else None) for it in parities],
        _("Same class"): [numbers.percent(it.agreement, it.n) if it else "" for it in parities],
        _("Largest logit gap"): [f"{it.max_logit_difference:.2g}" if it else "" for it in parities],
    }


def _time_text(latency: Spread | None) -> str:
    return numbers.milliseconds(latency.median) if latency else _("n/a")


def step_title(step: Step) -> str:
    """What a step is called beside its mark."""
    return {
        "teacher": _("teacher"),
        "student": _("distilled"),
        "student_8bit": _("8-bit, not cut"),
        "cut": _("cut"),
        "tuned": _("fine-tuned"),
        "tuned_int8": _("int8"),
        "tuned_8bit": _("8-bit file"),
    }[step]


def stack_rows(rows: Sequence[StackRow]) -> list[dict[str, Any]]:
    """A row for each step: its number on the way, bytes, accuracy with interval (95 %), role."""
    return [
        {
            "step": row.step,
            "number": STEPS.index(row.step) + 1,
            "name": f"{STEPS.index(row.step) + 1} {step_title(row.step)}",
            "file": format_title(row.format),
            "role": ROLES[row.step],
            "params": row.params,
            "macs": row.macs,
            "size_bytes": row.size_bytes,
            "text": numbers.size(row.size_bytes),
            "median_ms": row.latency and row.latency.median,
            "accuracy": score and score.accuracy,
            "low": score and score.ci95[0],
            "high": score and score.ci95[1],
            "n": row.n,
        }
        for row in rows
        for score in [row.score]
    ]


def stack_chart(rows: Rows) -> Spec:
    """Accuracy against bytes on a logarithmic axis, the way drawn through the steps.

    `rows`: of `stack_rows`, at least one with an accuracy; those without are left out.
    """
    steps = [row for row in rows if row["accuracy"] is not None]
    low = float(10 ** np.floor(np.log10(min(step["size_bytes"] for step in steps))))
    high = float(10 ** np.ceil(np.log10(1.0001 * max(step["size_bytes"] for step in steps))))
    bottom = max(0.0, float(np.floor(10 * min(step["low"] for step in steps)) / 10))
    top = min(1.0, float(np.ceil(10 * max(step["high"] for step in steps)) / 10))
    across = [NARROW_PX * np.log(step["size_bytes"] / low) / np.log(high / low) for step in steps]
    down = [PLOT_PX * (top - step["accuracy"]) / (top - bottom) for step in steps]
    labels = place_labels(
        [(step["name"], step["name"].split(" ")[0]) for step in steps],
        list(zip(across, down, strict=True)),
        (NARROW_PX, PLOT_PX),
        ("right", "left", "above", "below"),
    )
    limit = min(SIZE_LIMITS_BYTES.values())
    return with_rows(
        _stack((low, high), (bottom, top)),
        steps=steps,
        way=[step for step in steps if step["step"] != "student_8bit"],  # that one is beside it
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
        title=_("Size of the file, bytes"),
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


def story_chart(rows: Sequence[StackRow], lines: Mapping[Step, Sequence[str]], start: Step) -> Spec:
    """A square a step, all in one corner; beside them `lines` of the step that is chosen.

    `rows`: of STORY, at least one. The step is the Vega parameter `step`, which begins at `start`.
    """
    most = max(row.size_bytes for row in rows)
    steps = [
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
    return with_data(_story(tuple(row.step for row in rows)), {"step": start}, steps=table(steps))


def story_title(step: Step) -> str:
    """What was done last in a step of STORY."""
    return {
        "teacher": _("Teacher"),
        "student": _("Distilled student"),
        "tuned": _("Channels cut"),
        "tuned_8bit": _("8 bits"),
    }[step]


@compiled
def _story(offered: tuple[Step, ...]) -> Any:
    radio = alt.binding_radio(
        options=list(offered), labels=[story_title(step) for step in offered], name=" "
    )
    chosen = alt.param(name="step", value=offered[0], bind=radio)
    steps = alt.Chart(alt.NamedData("steps"))
    chosen_row = steps.transform_filter("datum.step == step")
    square = f"min({STORY_PX} - 4, 0.46 * width)"  # the side of the largest, in px
    corners = {
        "x": alt.XValue(2),
        "x2": alt.X2Value(alt.expr(f"2 + datum.side * {square}")),
        "y": alt.YValue(STORY_PX - 2),
        "y2": alt.Y2Value(alt.expr(f"{STORY_PX} - 2 - datum.side * {square}")),
        "color": role_color(),
    }
    outlines = steps.mark_rect(filled=False, strokeWidth=2).encode(**corners)
    full = chosen_row.mark_rect(filled=True, opacity=0.35).encode(**corners)
    beside = alt.XValue(alt.expr(f"{square} + 22"))

    def words(column: str, top: int, **mark: Any) -> alt.Chart:
        place = chosen_row.encode(x=beside, y=alt.YValue(top))
        return ink_text(place, f"{column}:N", align="left", baseline="top", **mark)

    texts = [
        words("head", 6, fontSize=17, fontWeight="bold"),
        words("size", 34, fontSize=30, fontWeight="bold"),
        words("lines", 82, lineBreak="\n", lineHeight=24, fontSize=15),
    ]
    return finish(layered(full, outlines, *texts).add_params(chosen), height=STORY_PX)


def stack_table(rows: Sequence[StackRow]) -> dict[str, list[str]]:
    """Every step as a reader wants it: title -> texts, empty where nothing was measured."""
    return {
        _("Step"): [f"{STEPS.index(row.step) + 1} {step_title(row.step)}" for row in rows],
        _("File"): [format_title(row.format) for row in rows],
        _("Right (95 % interval)"): [accuracy_text(row.score) for row in rows],
        _("Bytes"): [numbers.count(row.size_bytes) for row in rows],
        _("One photo"): [_time_text(row.latency) for row in rows],
        _("Parameters"): [numbers.count(row.params) for row in rows],
        _("MACs"): [numbers.count(row.macs) for row in rows],
    }


def stack_lines(stack: Stack) -> list[str]:
    """What each part of the way brought and cost, from the rows."""
    rows = {step: stack.row(step) for step in STEPS}
    lines = []
    first, last = rows["teacher"], rows["tuned_8bit"]
    if first and last:
        lines.append(
            _("**All steps**: {a} to {b}, {ratio} smaller; accuracy {before} to {after}.").format(
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
                "**Cutting** leaves {params} of {whole} parameters. Accuracy goes from {before} "
                "to {cut}; fine-tuning brings it to {after}."
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
                "**Was cutting needed?** Without it, the student in 8 bits takes {size}, under "
                "HW7's {limit}, and is right on {right}; with cutting, {cut_size} and {cut_right}."
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
    words = _("**Is it faster?** {macs} of the MACs are left, but it is {comparison}.")
    if tuned.latency.against(student.latency) == "faster":
        words = _("**Is it faster?** {macs} of the MACs are left; it is {comparison}.")
    macs = numbers.share(tuned.macs / student.macs)
    lines = [words.format(macs=macs, comparison=comparison(tuned.latency, student.latency))]
    before, after = student.blocks, tuned.blocks
    if before and after:
        lines.append(
            _(
                "**Why**: ONNX Runtime computes a convolution in blocks of 8 or 16 channels if the "
                "layer's channels fill them: {a} of {n} convolutions of the student, {b} of {m} "
                "after cutting. Without blocks the student takes {slow} of processor time, the cut "
                "one {fast}: then fewer MACs take less time."
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
                "The page *Pruning* cuts each layer by half, which leaves full blocks: {onnx} in "
                "ONNX Runtime, {torch} in torch."
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


def stack_alt(rows: Rows) -> str:
    """Alt text of `stack_chart`."""
    steps = [
        labelled(row["name"], _(", ").join([row["text"], numbers.percent(row["accuracy"])]))
        for row in rows
        if row["accuracy"] is not None
    ]
    return _("Accuracy against bytes, step by step from the teacher. {list}.").format(
        list=_("; ").join(steps)
    )
