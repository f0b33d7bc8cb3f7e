"""What the files' bytes and times say, in sentences; differences only where they can be told."""

from collections.abc import Sequence

import pandas as pd

from core.charts import numbers
from core.charts.shipping import format_title
from core.course import SIZE_LIMITS_BYTES
from core.measure.accuracy import Score
from core.measure.shipping_table import FileRow, Format, Runtime
from core.words import _


def runtime_title(runtime: Runtime) -> str:
    """What computes with a file."""
    return {
        "torch": "torch",
        "onnxruntime": "ONNX Runtime",
        "none": _("none: decoded to float32 first"),
    }[runtime]


def smallest(rows: Sequence[FileRow]) -> Format:
    """The format with the fewest bytes."""
    return min(rows, key=lambda row: row.size_bytes).format


def fastest(rows: Sequence[FileRow]) -> list[Format]:
    """The quickest format first, then those whose calls cannot be told from it; [] without times.

    Cannot be told: the middle halves of their calls overlap.
    """
    timed = [(row.latency.median, row.format, row.latency) for row in rows if row.latency]
    if not timed:
        return []
    timed.sort(key=lambda one: one[0])
    best = timed[0][2]
    return [format for _ms, format, time in timed if time.against(best) == "same"]


def guess_line(rows: Sequence[FileRow], guess: Format, wanted: list[Format], what: str) -> str:
    """Whether a guess came true, with the figures; `what` is "smallest" or "fastest"."""
    figures = {row.format: row for row in rows}
    right = guess in wanted
    told = _("Well seen.") if right else _("Not quite.")

    def figure(format: Format) -> str:
        row = figures[format]
        if what == "smallest":
            return numbers.size(row.size_bytes)
        return numbers.milliseconds(row.latency.median) if row.latency else _("no time")

    best, own = wanted[0], figures.get(guess)
    if own is None:
        mine = _("{guess} could not be made here").format(guess=format_title(guess))
    else:
        mine = f"{format_title(guess)}: {figure(guess)}"
    said = _("You guessed {mine}.").format(mine=mine)
    if right and len(wanted) > 1:
        said += " " + _("Nobody can tell {names} apart by their times here.").format(
            names=_(" and ").join(format_title(format) for format in wanted)
        )
    elif not right:
        kind = _("The smallest is") if what == "smallest" else _("The fastest is")
        said += f" {kind} {format_title(best)}: {figure(best)}."
    return f"{told} {said}"


def size_lines(rows: Sequence[FileRow]) -> list[str]:
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


def time_lines(rows: Sequence[FileRow]) -> list[str]:
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
            "same": _("no difference: {a} and {b}"),
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


def parity_lines(rows: Sequence[FileRow]) -> list[str]:
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


def files_table(rows: Sequence[FileRow]) -> pd.DataFrame:
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
