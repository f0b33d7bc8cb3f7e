"""What the low-rank page's charts show, in sentences made from the numbers in them."""

from collections.abc import Sequence

import pandas as pd

from core.charts import numbers
from core.charts.low_rank import formula, method_title
from core.charts.low_rank_times import time_frame, whole_row
from core.compression.lowrank_curve import LayerCurve
from core.compression.lowrank_shapes import LayerShape, Method
from core.measure.lowrank_grid import LowRankGrid, LowRankRow
from core.words import _, ngettext


def layer_lines(curve: LayerCurve) -> list[str]:
    """How many ranks keep how much, where factoring stops saving, and what the full rank costs."""
    half, most = curve.rank_for(0.5), curve.rank_for(0.9)
    lines = [
        _(
            "Half of the energy sits in the first **{half}** of {full} ranks, 90 % of it in the "
            "first **{most}** ({share})."
        ).format(
            half=numbers.count(half),
            full=numbers.count(curve.full),
            most=numbers.count(most),
            share=numbers.share(most / curve.full),
        )
    ]
    even = curve.break_even
    if even == 0:
        lines.append(_("No rank saves a parameter here: even rank 1 costs as much as the layer."))
        return lines
    lines.append(
        _(
            "Factoring saves parameters up to rank **{even}** only; there it keeps {kept} of the "
            "energy. At the full rank the factors have {params} parameters, the layer {whole}."
        ).format(
            even=numbers.count(even),
            kept=numbers.percent(float(curve.kept[even - 1]), 1000),
            params=numbers.count(int(curve.params[-1])),
            whole=numbers.count(curve.shape.params),
        )
    )
    return lines


def layer_alt(curve: LayerCurve) -> str:
    """What the layer's chart shows, for who cannot see it."""
    told = " ".join(line.replace("**", "") for line in layer_lines(curve))
    return _("Singular values of {layer}, and what each rank keeps and costs. {told}").format(
        layer=curve.shape.name, told=told
    )


def guess_of(curve: LayerCurve) -> str:
    """The page's guess that is right: by the share of the ranks that keeps 90 % of the energy."""
    share = curve.rank_for(0.9) / curve.full
    return "tenth" if share < 0.2 else "third" if share < 0.45 else "most"


def accuracy_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence per method: where it starts, how far it holds, where it ends."""
    lines = []
    plain = frame[~frame["tuned"]]
    for series in dict.fromkeys(plain["series"]):
        curve = plain[plain["series"] == series].sort_values("energy", ascending=False)
        first, last = curve.iloc[0], curve.iloc[-1]
        held = curve[(curve["accuracy"] >= first["low"]).cummin()].iloc[-1]
        lines.append(
            _(
                "**{name}**: {whole} right when whole; within that figure's interval down to "
                "{held} of the parameters ({energy} of the energy kept); {end} right at the end, "
                "with {least} parameters."
            ).format(
                name=series,
                whole=numbers.percent(first["accuracy"], first["n"]),
                held=numbers.share(held["params"] / first["params"]),
                energy=numbers.share(held["energy"]),
                end=numbers.percent(last["accuracy"], last["n"]),
                least=numbers.count(int(last["params"])),
            )
        )
    return lines


def tuned_lines(grid: LowRankGrid) -> list[str]:
    """A sentence per fine-tuned point, beside the same network without fine-tuning."""
    lines = []
    for row in sorted(grid.rows, key=lambda row: -row.energy):
        if not row.finetune_epochs or row.score is None:
            continue
        before = next(
            (r for r in grid.of(row.method) if r.energy == row.energy and r.score is not None), None
        )
        if before is None or before.score is None:
            continue
        lines.append(
            ngettext(
                "At {energy} of the energy ({n} parameters): {before} right before, **{after}** "
                "after {epochs} epoch of training.",
                "At {energy} of the energy ({n} parameters): {before} right before, **{after}** "
                "after {epochs} epochs of training.",
                row.finetune_epochs,
            ).format(
                energy=numbers.share(row.energy),
                n=numbers.count(row.params),
                before=numbers.percent(before.score.accuracy, before.score.n),
                after=score_text(row),
                epochs=row.finetune_epochs,
            )
        )
    return lines


def score_text(row: LowRankRow) -> str:
    """ "76.6 % (74.4 to 78.7 %, n = 1,492)", or that there were no photographs."""
    score = row.score
    if score is None:
        return _("not measured: no photographs here")
    return _("{accuracy} ({interval}, n = {n})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
        n=numbers.count(score.n),
    )


def accuracy_alt(frame: pd.DataFrame, reveal: bool) -> str:
    """What the network's chart shows, for who cannot see it."""
    said = _("Accuracy on the test photographs against the parameters that are left.")
    if not reveal:
        return said + " " + _("Only the whole network is shown until you ask for the curves.")
    return " ".join([said, *(line.replace("**", "") for line in accuracy_lines(frame))])


def time_lines(grid: LowRankGrid, methods: Sequence[Method], column: str) -> list[str]:
    """Each timed network: its share of the MACs, and faster or slower only if it measured so."""
    whole = whole_row(grid, column)
    if whole is None:
        return []
    lines = []
    for point in time_frame(grid, methods, column).to_dict("records"):
        row = next(
            r
            for r in grid.rows
            if (r.method, r.energy, r.finetune_epochs) == (point["method"], point["energy"], 0)
        )
        verdict = row.latency[column].against(whole.latency[column])
        said = {
            "faster": _("faster: {share} of the time"),
            "slower": _("slower: {share} of the time"),
            "same": _("no difference that the measurement can tell ({share} of the time)"),
        }[verdict].format(share=numbers.share(point["share"]))
        lines.append(
            _("**{name}**, {energy} of the energy: {macs} of the MACs, {said}").format(
                name=method_title(row.method),
                energy=numbers.share(row.energy),
                macs=numbers.share(point["macs_share"]),
                said=said,
            )
        )
    return lines


def time_alt(grid: LowRankGrid, methods: Sequence[Method], column: str) -> str:
    """What the chart of times shows, for who cannot see it."""
    told = "; ".join(line.replace("**", "") for line in time_lines(grid, methods, column))
    return _("Time against MACs, both as shares of the whole network's. {told}.").format(told=told)


def plan_frame(grid: LowRankGrid, row: LowRankRow) -> pd.DataFrame:
    """The network layer by layer: what was done to each, and its parameters before and after."""
    return pd.DataFrame([_plan_row(shape, row.ranks.get(shape.name)) for shape in grid.shapes])


def _plan_row(shape: LayerShape, ranks: tuple[int, ...] | None) -> dict[str, object]:
    if ranks is None:
        done = _("whole") if shape.forms else _("left alone: depthwise or group")
        if shape.fixed:
            done = _("left alone")
    else:
        form = shape.form_of(ranks)
        short = {"svd": "SVD", "spatial": _("spatial"), "tucker2": "Tucker-2"}[form]
        done = _("{form}, rank {ranks}").format(form=short, ranks=" / ".join(map(str, ranks)))
    after = shape.params if ranks is None else shape.factored_params(ranks)
    return {"layer": shape.name, "done": done, "before": shape.params, "after": after}


def filled_formula(shape: LayerShape, ranks: tuple[int, ...]) -> str:
    """The parameters of the factors as a sum with its numbers, and its value."""
    written = formula(shape, shape.form_of(ranks)).format(*ranks)
    return f"{written} = {numbers.count(shape.factored_params(ranks))}"
