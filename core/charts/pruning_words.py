"""What the pruning page's charts show, in sentences made from the numbers in them."""

from collections.abc import Iterable

import pandas as pd

from core.charts import numbers
from core.charts.pruning import form_title
from core.charts.pruning_times import timed_row
from core.compression.prune import FORMS
from core.measure.pruning_grid import Grid, PruningRow
from core.words import _


def column_title(column: str) -> str:
    """What a timing is called: "PyTorch, batch 1"."""
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


def time_lines(grid: Grid, column: str, ratio: float) -> list[str]:
    """What each form costs at a ratio: a sentence each, faster or slower only if it measured so."""
    whole = timed_row(grid, "removed", 0.0, column)
    lines = []
    for form in FORMS:
        row = timed_row(grid, form, ratio, column)
        if row is None or whole is None or row is whole:
            continue
        time, base = row.latency[column], whole.latency[column]
        said = {
            "faster": _("faster: {share} of the whole network's time"),
            "slower": _("slower: {share} of the whole network's time"),
            "same": _("no difference that the measurement can tell ({share} of its time)"),
        }[time.against(base)]
        share = numbers.share(time.median / base.median)
        lines.append(f"**{form_title(form)}**: {said.format(share=share)}")
    return lines


def time_alt(grid: Grid, column: str, ratios: Iterable[float]) -> str:
    """What the second chart shows, for who cannot see it."""
    parts = [
        _("Time of a pruned network as a share of the whole one's, {column}.").format(
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
    columns = ("torch_1", "torch_32", "onnx_1", "onnx_32")
    return pd.DataFrame(
        [
            {
                "form": form_title(row.form),
                "right": None if row.score is None else numbers.percent(row.score.accuracy, row.n),
                "params": numbers.count(row.params),
                "nonzero": numbers.count(row.nonzero),
                "macs": f"{row.macs / 1e6:.1f}{numbers.THIN}M",
                "size": numbers.size(row.size_bytes),
                "zipped": None if row.gzip_bytes is None else numbers.size(row.gzip_bytes),
                **{
                    name: numbers.milliseconds(row.latency[name].median)
                    if name in row.latency
                    else None
                    for name in columns
                },
            }
            for row in rows
        ]
    )
