"""What the pruning page's charts show, in sentences made from the numbers in them."""

from collections.abc import Iterable

import pandas as pd

from core.charts import numbers
from core.charts.pruning import Measured, form_title
from core.charts.pruning_times import TIMES, cost, cost_text, timed_row
from core.compression.prune import FORMS
from core.measure.pruning_grid import PruningGrid, PruningRow
from core.words import _


def column_title(column: str) -> str:
    """What a cost is called: "PyTorch, batch 1"."""
    sizes = {
        "size_bytes": _("State dict"),
        "gzip_bytes": _("State dict, zipped"),
        "macs": _("MACs"),
    }
    if column in sizes:
        return sizes[column]
    engine, batch = column.split("_")
    name = {"torch": "PyTorch", "onnx": "ONNX Runtime"}[engine]
    return _("{engine}, batch {n}").format(engine=name, n=batch)


def _curve(frame: pd.DataFrame, series: str) -> pd.DataFrame:
    return frame[(frame["series"] == series) & ~frame["tuned"]].sort_values("ratio")


def holds_until(curve: pd.DataFrame) -> float:
    """Largest ratio up to which the accuracy stays within the whole network's 95 % interval."""
    lowest = float(curve["low"].iloc[0])
    held = curve["accuracy"] >= lowest
    return float(curve["ratio"][held.cummin()].max())


def accuracy_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence per curve: where it starts, how far it holds, where it ends."""
    lines = []
    for series in dict.fromkeys(frame.loc[~frame["tuned"], "series"]):
        curve = _curve(frame, series)
        first, last = curve.iloc[0], curve.iloc[-1]
        lines.append(
            _(
                "**{name}** is right on {whole} when whole, stays within that figure's interval up "
                "to {until} pruned, and ends at {end} with {most} pruned."
            ).format(
                name=series,
                whole=numbers.percent(first["accuracy"], first["n"]),
                until=numbers.share(holds_until(curve)),
                end=numbers.percent(last["accuracy"], last["n"]),
                most=numbers.share(last["ratio"]),
            )
        )
    return lines


def tuned_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence per fine-tuned point, beside the same ratio without fine-tuning."""
    lines = []
    records = [(str(r["checkpoint"]), str(r["method"]), float(r["ratio"]), r)
               for r in frame.to_dict("records")]  # fmt: skip
    plain = {(one, method, ratio): r for one, method, ratio, r in records if not r["tuned"]}
    for one, method, ratio, row in records:
        before = plain.get((one, method, ratio))
        if row["tuned"] and before is not None:
            lines.append(
                _("**{name}** at {ratio}: {before} before, {after} after.").format(
                    name=row["network"],
                    ratio=numbers.share(ratio),
                    before=numbers.percent(before["accuracy"], before["n"]),
                    after=numbers.percent(row["accuracy"], row["n"]),
                )
            )
    return lines


def accuracy_alt(frame: pd.DataFrame, reveal: bool) -> str:
    """What the first chart shows, for who cannot see it."""
    said = _("Accuracy on the test photographs against the pruning ratio.")
    if not reveal:
        return said + " " + _("Only the whole networks are shown until you ask for the curves.")
    return " ".join([said, *(line.replace("**", "") for line in accuracy_lines(frame))])


def time_lines(grid: PruningGrid, column: str, ratio: float) -> list[str]:
    """What each form costs at a ratio: a sentence each, faster or slower only if it measured so."""
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    if column in TIMES:
        said = {
            "faster": _("faster: {share} of the whole network's time"),
            "slower": _("slower: {share} of the whole network's time"),
            "same": _("no difference that the measurement can tell ({share} of its time)"),
        }
    else:
        said = {
            "faster": _("smaller: {share} of the whole network's ({figure})"),
            "slower": _("larger: {share} of the whole network's ({figure})"),
            "same": _("as much as the whole network ({figure})"),
        }
    lines = []
    for form in FORMS:
        row = timed_row(grid, form, ratio, column)
        found = row and cost(row, column)
        if not found or not base or row is whole:
            continue
        text = said[found.against(base)].format(
            share=numbers.share(found.median / base.median), figure=cost_text(found.median, column)
        )
        lines.append(f"**{form_title(form)}**: {text}")
    return lines


def narrow_line(one: Measured, ratio: float = 0.5, column: str = "torch_1") -> str | None:
    """What cutting channels out saved one network; None where that was not measured."""
    whole = timed_row(one.grid, "removed", 0.0, column)
    cut = timed_row(one.grid, "narrow", ratio, column)
    before, after = whole and cost(whole, column), cut and cost(cut, column)
    if not (whole and cut and before and after):
        return None
    times = {
        "faster": _("{times} as fast"),
        "slower": _("slower, {times} as fast"),
        "same": _("no difference that the measurement can tell"),
    }[after.against(before)].format(times=numbers.ratio(before.median / after.median))
    return _(
        "**{name}**, {ratio} of its channels cut out: {params} of the parameters, {macs} of the "
        "MACs, {before} to {after} for a picture: {times}."
    ).format(
        name=one.title,
        ratio=numbers.share(ratio),
        params=numbers.share(cut.params / whole.params),
        macs=numbers.share(cut.macs / whole.macs),
        before=cost_text(before.median, column),
        after=cost_text(after.median, column),
        times=times,
    )


def time_alt(grid: PruningGrid, column: str, ratios: Iterable[float]) -> str:
    """What the second chart shows, for who cannot see it."""
    parts = [
        _("Cost of a pruned network as a share of the whole one's, {column}.").format(
            column=column_title(column)
        )
    ]
    for ratio in ratios:
        lines = time_lines(grid, column, ratio)
        if ratio and lines:
            told = "; ".join(line.replace("**", "") for line in lines)
            parts.append(_("At {ratio}: {told}.").format(ratio=numbers.share(ratio), told=told))
    return " ".join(parts)


def rows_table(rows: Iterable[PruningRow]) -> pd.DataFrame:
    """Rows as figures for a reader: a column each, empty where nothing was measured."""
    return pd.DataFrame(
        [
            {
                "form": form_title(row.form),
                "right": None if row.score is None else numbers.percent(row.score.accuracy, row.n),
                "params": numbers.count(row.params),
                "nonzero": numbers.count(row.nonzero),
                "macs": cost_text(row.macs, "macs"),
                "size": numbers.size(row.size_bytes),
                "zipped": None if row.gzip_bytes is None else numbers.size(row.gzip_bytes),
                **{
                    name: numbers.milliseconds(row.latency[name].median)
                    if name in row.latency
                    else None
                    for name in TIMES
                },
            }
            for row in rows
        ]
    )
