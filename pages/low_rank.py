"""Low rank: a layer's singular values, a network factored, and what that saves and costs."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from core import i18n
from core.charts import numbers
from core.charts.compiled import inlined
from core.charts.numbers import points, points_interval
from core.charts.theme import role_of
from core.checkpoints import Checkpoint, DerivedFrom
from core.checkpoints.by_recipe import by_stem, collect, contrast, stem_of
from core.checkpoints.factored import Form, LayerShape, Method, Ranks
from core.errors import CheckpointError
from core.i18n import _, ngettext
from core.inference.predict import predictor
from core.low_rank.chart import (
    HEIGHT_PX,
    accuracy_chart,
    accuracy_data,
    accuracy_frame,
    form_title,
    formula,
    layer_chart,
    layer_data,
    layer_title,
    method_title,
    others_frame,
    time_chart,
    time_frame,
    whole_row,
)
from core.low_rank.method import (
    Decompositions,
    LayerCurve,
    layer_curve,
    ranks_for_energy,
    separable_energy,
    stored_curve,
)
from core.low_rank.network import FactoredPredictor, checkpoint_layers
from core.low_rank.rows import (
    ENERGIES,
    MODELS,
    RUNS,
    LowRankGrid,
    LowRankJob,
    LowRankPoint,
    LowRankRow,
    RowKey,
)
from core.source_text import source_of
from core.timing import BATCHES, ENGINES
from pages.kit import frame, guess, networks
from pages.kit.figure import Picture, data_button, show, show_with_slider
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.networks import name_of
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import accuracy_line, provenance
from pages.kit.url_state import in_browser, is_on, number, number_of, one_of, toggle
from pages.pruning import column_title


class Layers(NamedTuple):
    """A checkpoint's layers in order of execution, and its weights taken apart when asked for."""

    shapes: tuple[LayerShape, ...]
    parts: Decompositions


class Setting(NamedTuple):
    """The network and the layer on the table."""

    checkpoint: Checkpoint
    grid: LowRankGrid | None
    """What was measured of it, if anything was."""
    curve: LayerCurve | None
    """The chosen layer at every rank; None for a network without a layer to factor."""


class Whole(NamedTuple):
    """How the whole network is factored."""

    method: Method
    energy: float
    row: LowRankRow | None
    """What was measured nearest to this setting."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("low_rank").question)
    st.markdown(
        _(
            "A layer is a large matrix. If few of its directions do most of the work, two thin "
            "matrices in a row can stand in for it: a low-rank approximation."
        )
    )
    found = networks.checkpoints()
    whole = candidates(found)
    if not whole:
        networks.explain_empty()
        st.stop()
    experiment(found, whole, networks.measured_rows(LowRankGrid, whole))
    provenance(whole[:1])
    frame.foot("low_rank")


def candidates(found: list[Checkpoint]) -> list[Checkpoint]:
    """Networks that are not factored yet; those of k x k convolutions first."""
    whole = [one for one in found if not one.ranks]
    return sorted(whole, key=lambda one: MODELS.index(one.model) if one.model in MODELS else 9)


@frame.section
def experiment(
    found: list[Checkpoint], whole: list[Checkpoint], grids: dict[str, LowRankGrid]
) -> None:
    """The instrument, and the tabs that follow its settings."""
    with frame.instrument() as (controls, picture):
        with controls:
            at = setting(whole, grids)
        with picture:
            layer(at)
    frame.tabs(
        [
            frame.Tab("network", _("Whole network"), partial(network, at, whole)),
            frame.Tab("time", _("Faster?"), partial(times, at), ["time_with"]),
            frame.Tab("photo", _("Your photo"), partial(photo, at, found), ["photo_energies"]),
            frame.Tab("run", _("Run it here"), partial(live, at)),
            frame.Tab("extreme", _("Extreme case"), partial(extreme, at, whole)),
            frame.Tab("why", _("Why"), partial(why, at)),
            frame.Tab("trap", _("Trap"), partial(trap, at)),
            frame.Tab("homework", _("Homework"), partial(homework, whole)),
        ]
    )


# ------------------------------------------------------------------------------------------------
# The instrument: one layer, its singular values, and a rank that the browser moves by itself.


SLIDER_PX = 50
RANK_GUESSES = ("tenth", "third", "most")


def setting(whole: list[Checkpoint], grids: dict[str, LowRankGrid]) -> Setting:
    """The network, its layer, the way to factor it; every control is part of the link."""
    one = networks.choose_one(_("Network"), whole, "network", first=grids)
    grid, sha256 = grids.get(one.id), one.weights_sha256
    try:
        shapes = grid.shapes if grid else layers_of(one.id, sha256).shapes
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        shapes = ()
    able = {shape.name: shape for shape in shapes if shape.forms}
    if not able:
        st.info(_("This network has no layer to factor."), icon=":material/grid_off:")
        return Setting(one, grid, None)
    names = list(able)
    name = one_of(
        st.selectbox,
        _("Layer"),
        {key: layer_title(shape) for key, shape in able.items()},
        "layer",
        default=names[len(names) // 2],
    )
    forms = able[name].forms
    form: Form = forms[0]
    if len(forms) > 1:
        form = one_of(
            st.segmented_control,
            _("As"),
            {form: form_title(form) for form in forms},
            "form",
            default=forms[0],
            required=True,
            wrap=True,
        )
    return Setting(one, grid, curve_of(one.id, sha256, name, form, grid))


@st.cache_resource(max_entries=3, show_spinner=False)
def layers_of(id: str, sha256: str) -> Layers:
    """A checkpoint's layers from its files, shared by all sessions: read them, never write."""
    del sha256  # only the key of the cache
    shapes, weights = checkpoint_layers(id)
    return Layers(shapes, Decompositions(weights))


@st.cache_resource(max_entries=64, show_spinner=False)
def curve_of(id: str, sha256: str, layer: str, form: Form, _grid: LowRankGrid | None) -> LayerCurve:
    """A layer at every rank, shared; worked out here only where nobody has measured the network."""
    spectrum = _grid.spectrum(layer, form) if _grid else None
    if _grid is not None and spectrum is not None:
        return stored_curve(next(s for s in _grid.shapes if s.name == layer), spectrum)
    layers = layers_of(id, sha256)
    shape = next(one for one in layers.shapes if one.name == layer)
    return layer_curve(shape, layers.parts.of(layer, form))


def layer(at: Setting) -> None:
    """The guess, the chart with its slider, then what it shows."""
    curve = at.curve
    if curve is None:
        return
    asked = guess.ask(
        _("Guess: how many of a trained layer's ranks hold 90 % of its energy?"),
        {name: rank_guess_title(name) for name in RANK_GUESSES},
        "guess_ranks",
    )
    asked = asked._replace(is_open=asked.is_open or is_on("reveal"))
    drawn = picture(
        i18n.language(),
        at.checkpoint.weights_sha256,
        curve.shape.name,
        curve.form,
        asked.is_open,
        curve,
    )
    begin = in_browser("R", number(1, curve.full), max(1, curve.full // 4))
    chart = {**drawn.chart, "params": [{**one, "value": begin} for one in drawn.chart["params"]]}
    show_with_slider(chart, drawn.alt, "spectrum", HEIGHT_PX + SLIDER_PX)
    answer = _("In this layer it is {share} of the ranks.").format(
        share=numbers.share(curve.rank_for(0.9) / curve.full)
    )
    guess.verdict(asked, guess_of(curve) == asked.value, answer)
    lines = drawn.lines if asked.is_open else []
    hint = _("Drag the rank: filled marks stay, hollow ones go. Dashed: parameters.")
    st.caption(
        hint
        + (
            " " + _("Solid: the energy kept, the share of the squared weights.")
            if asked.is_open
            else ""
        )
    )
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
        data_button(drawn.frame, "low-rank-layer")


@st.cache_resource(max_entries=64, show_spinner=False)
def picture(
    language: str, sha256: str, layer: str, form: Form, reveal: bool, _curve: LayerCurve
) -> Picture:
    """The layer's chart; before the `reveal` nothing says how much energy a rank keeps."""
    del language, sha256, layer, form  # only the key: the curve follows from them
    # what the reveal changes stays data, so that the browser keeps the chart and its slider's place
    chart = inlined(layer_chart(_curve, 1, reveal), but=("ranks", "ends"))
    return Picture(layer_data(_curve), chart, layer_alt(_curve), layer_lines(_curve))


def rank_guess_title(guess: str) -> str:
    """What a guess about ranks is called."""
    return {
        "tenth": _("about a tenth"),
        "third": _("about a third"),
        "most": _("half of them or more"),
    }[guess]


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
    """What the layer's chart shows, for who cannot see it; its numbers stand below, in words."""
    return _("Singular values of {layer}, and what each rank keeps and costs.").format(
        layer=curve.shape.name
    )


def guess_of(curve: LayerCurve) -> str:
    """The page's guess that is right: by the share of the ranks that keeps 90 % of the energy."""
    share = curve.rank_for(0.9) / curve.full
    return "tenth" if share < 0.2 else "third" if share < 0.45 else "most"


# ------------------------------------------------------------------------------------------------
# Tab "Whole network": accuracy against parameters, hidden until there is a guess.


ALL: tuple[Method, ...] = ("spatial", "tucker2", "svd")
GUESSED_ENERGY = 0.7


def network(at: Setting, whole: Sequence[Checkpoint]) -> None:
    """How the network is factored, a guess, the chart that answers it, and what it shows."""
    grid = at.grid
    if grid is None:
        st.info(
            _(
                "The curves of this network are not measured yet; that takes some minutes. "
                "Meanwhile “Run it here” measures single points. To measure them all:"
            ),
            icon=":material/query_stats:",
        )
        st.code(f"python -m core lowrank-grid {at.checkpoint.id}", language="bash")
        return
    how = whole_setting(grid)
    asked = guess.ask(
        _("Guess: every layer keeps {energy} of its energy. Of its right answers, it keeps ...")
        .format(energy=numbers.share(GUESSED_ENERGY)),
        {"most": _("nearly all"), "half": _("about half"), "few": _("hardly any")},
        "guess_whole",
    )  # fmt: skip
    asked = asked._replace(is_open=asked.is_open or is_on("reveal"))
    kept = right_kept(grid, how.method)
    if kept is None:
        st.info(_("These curves were made without photographs: no accuracy."))
        return
    truth = "most" if kept >= 0.8 else "half" if kept >= 0.25 else "few"
    answer = _("It keeps {share} of them, without any training after factoring.")
    guess.verdict(asked, truth == asked.value, answer.format(share=numbers.share(kept)))
    if not asked.is_open:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        every = toggle(_("All methods"), "all_methods")
        tuned = toggle(
            _("Also after fine-tuning"), "finetuned", True,
            help=_("A short training of the factored network: hollow marks."),
        )  # fmt: skip
    methods = grid.worth_showing(ALL) if every else (how.method,)
    drawn = curves(
        i18n.language(), grid, methods, tuned and not every, how.row.key if how.row else None,
        tuple(whole), at.checkpoint,
    )  # fmt: skip
    live = live_points(RUNS, (at.checkpoint.id, at.checkpoint.weights_sha256), ("params",))
    stars = {} if live is None else {"live": live}
    chart = {**drawn.chart, "datasets": {**drawn.chart["datasets"], **stars}}
    show(chart, drawn.alt, key="accuracy")
    marks = _("Circles: k × 1, then 1 × k. Triangles: Tucker-2. Diamonds: SVD only.")
    st.caption(
        (marks + " " if every else "")
        + _("Bands and bars: 95 % interval. Dashed: one in eleven, pure chance. Hollow: after "
            "fine-tuning. Stars: measured here, just now. Single marks: other designs, trained "
            "as small as they are, in the same way.")
    )  # fmt: skip
    st.markdown("\n".join(f"- {line}" for line in drawn.lines))
    data_button(drawn.frame, "low-rank-accuracy")
    if how.row is not None:
        _plan(grid, how.row)


def whole_setting(grid: LowRankGrid | None) -> Whole:
    """How the whole network is factored; part of the link. Each tab that needs it draws it."""
    order: tuple[Method, ...] = ("auto", "spatial", "tucker2", "svd")
    left, right = st.columns(2, gap="medium")
    with left:
        method = one_of(
            st.segmented_control,
            _("The k × k layers by"),
            {name: method_title(name) for name in order},
            "method",
            default="auto",
            required=True,
            wrap=True,
            help=_(
                "Linear and 1 × 1 layers are always factored by SVD; “SVD only” leaves the k × k "
                "ones whole. Depthwise and group convolutions are left alone, and so is every "
                "layer in which the factors would not be smaller. “Smaller of the two”: "
                "Tucker-2 or k × 1, 1 × k, chosen layer by layer."
            ),
        )
    with right:
        percent = number_of(
            st.slider, _("Energy that every layer keeps, %"), 30, 100, 70, 5, "energy"
        )
    nearest = min(ENERGIES, key=lambda energy: abs(energy - percent / 100))
    return Whole(method, percent / 100, grid.row(RowKey(method, nearest)) if grid else None)


def right_kept(grid: LowRankGrid, method: Method) -> float | None:
    """Share of its right answers that the network keeps at GUESSED_ENERGY; None if unmeasured."""
    whole, factored = (grid.row(RowKey(method, energy)) for energy in (1.0, GUESSED_ENERGY))
    if not (whole and factored and whole.correct and factored.correct is not None):
        return None
    return factored.correct / whole.correct


def _files(one: Any) -> Any:
    """What stands for a checkpoint in a cache's key."""
    return one.id, one.weights_sha256


@st.cache_resource(
    max_entries=128, show_spinner=False, hash_funcs={LowRankGrid: id, Checkpoint: _files}
)  # the grids are shared objects, one for each state of their files
def curves(
    language: str,
    grid: LowRankGrid,
    methods: tuple[Method, ...],
    tuned: bool,
    now: RowKey | None,
    whole: tuple[Checkpoint, ...],
    checkpoint: Checkpoint,
) -> Picture:
    """Accuracy against parameters, beside networks that were designed as small."""
    del language  # only part of the key
    rows = accuracy_frame(grid, methods, tuned)
    others = others_frame(whole, checkpoint, grid.fingerprint)
    chart = accuracy_chart(rows, others, now and grid.row(now))
    lines = accuracy_lines(rows) + (tuned_lines(grid) if tuned else [])
    if len(others):
        names = [
            _("{name} ({params}, {score})").format(
                name=other["name"], params=numbers.count(other["params"]), score=other["score"]
            )
            for other in others.sort_values("params").to_dict("records")
        ]
        lines.append(_("Designed as small: {names}.").format(names="; ".join(names)))
    alt = accuracy_alt(rows)
    return Picture(accuracy_data(rows, others), inlined(chart, ("live",)), alt, lines, grid)


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


def accuracy_alt(rows: pd.DataFrame) -> str:
    """What the network's chart shows, for who cannot see it."""
    about = _("Accuracy on the test photographs against the parameters that are left.")
    return " ".join([about, *(line.replace("**", "") for line in accuracy_lines(rows))])


def _plan(grid: LowRankGrid, row: LowRankRow) -> None:
    """Every layer at the nearest measured setting."""
    box = st.expander(
        _("Layer by layer at {energy} of the energy: {params} parameters, {score}").format(
            energy=numbers.share(row.energy),
            params=numbers.count(row.params),
            score=score_text(row),
        ),
        on_change="rerun",
        key="plan",
    )
    if not box.open:
        return
    with box:
        st.dataframe(
            plan_frame(grid, row),
            column_config={
                "layer": _("Layer"),
                "done": _("What is done"),
                "before": st.column_config.NumberColumn(_("Parameters"), format="localized"),
                "after": st.column_config.NumberColumn(_("afterwards"), format="localized"),
            },
            hide_index=True,
        )


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


# ------------------------------------------------------------------------------------------------
# Tab "Faster?": MACs against time, hidden until there is a guess.


COLUMNS = tuple(f"{engine}_{batch}" for engine in ENGINES for batch in BATCHES)
TIMED_METHODS: tuple[Method, ...] = ("spatial", "tucker2")


def times(at: Setting) -> None:
    """A guess about time, MACs against time, and in words which network is really faster."""
    grid = at.grid
    timed = [column for column in COLUMNS if grid and whole_row(grid, column)]
    if grid is None or not timed:
        st.info(
            _("Times of this network are not measured yet. “Run it here” measures one point, or:"),
            icon=":material/timer_off:",
        )
        st.code(f"python -m core lowrank-grid {at.checkpoint.id} --stages times", language="bash")
        return
    asked = guess.ask(
        _("Guess: a network factored to half of its MACs takes ..."),
        {
            "faster": _("about half the time"),
            "same": _("hardly less than before"),
            "slower": _("longer than before"),
        },
        "guess_speed",
    )
    asked = asked._replace(is_open=asked.is_open or is_on("reveal"))
    column = timed[0]
    if asked.is_open:
        column = one_of(
            st.segmented_control,
            _("Measured with"),
            {name: column_title(name) for name in timed},
            "time_with",
            default=timed[0],
            required=True,
            wrap=True,
        )
    drawn = clock(i18n.language(), grid, column)
    if drawn.frame.empty:
        st.info(_("At the timed energies no layer of this network is worth factoring."))
        return
    near = drawn.frame.iloc[int((drawn.frame["macs_share"] - 0.5).abs().argmin())]
    promised, gained = 1 - near["macs_share"], 1 - near["share"]
    truth = "slower" if gained < 0 else "faster" if gained > promised / 2 else "same"
    answer = _("Nearest to half: {macs} of the MACs took {time} of the time.").format(
        macs=numbers.share(near["macs_share"]), time=numbers.share(near["share"])
    )
    guess.verdict(asked, truth == asked.value, answer)
    if not asked.is_open:
        return
    show(drawn.chart, drawn.alt, key="times")
    st.markdown("\n".join(f"- {line}" for line in drawn.lines))
    st.caption(
        _(
            "Circles: k × 1, then 1 × k. Triangles: Tucker-2. The figure beside a mark is the "
            "energy kept. Median of repeated calls, quartiles as bars, {threads} thread, on "
            "{device}; all took turns. On the dashed line time would fall as the MACs do."
        ).format(threads=grid.threads, device=grid.device)
    )
    data_button(drawn.frame, "low-rank-times")


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={LowRankGrid: id})
def clock(language: str, grid: LowRankGrid, column: str) -> Picture:
    """MACs against time, both as shares of the whole network's."""
    del language  # only part of the key
    rows = time_frame(grid, TIMED_METHODS, column)
    alt, lines = (
        time_alt(grid, TIMED_METHODS, column),
        time_lines(grid, TIMED_METHODS, column),
    )
    return Picture(rows, inlined(time_chart(rows)), alt, lines, grid)


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


# ------------------------------------------------------------------------------------------------
# Tabs "Your photo" and "Run it here".


PHOTO_ENERGIES = (95, 90, 80, 70, 60, 50, 40, 30)


@st.cache_resource(max_entries=8, show_spinner=False)
def _predictor(
    id: str, sha256: str, method: Method, energy: float, _grid: LowRankGrid | None
) -> FactoredPredictor:
    layers, row = layers_of(id, sha256), _grid and _grid.row(RowKey(method, energy))
    ranks: Ranks = (
        row.ranks if row else ranks_for_energy(layers.shapes, layers.parts, method, energy)
    )
    return FactoredPredictor(id, ranks, layers.parts)


def photo(at: Setting, found: list[Checkpoint]) -> None:
    """Choose a photo and energies; see where the answer changes, and what training repairs."""
    one, how = at.checkpoint, whole_setting(at.grid)

    def factored(percent: int) -> Version:
        energy = percent / 100
        return Version(
            _("{energy} of the energy").format(energy=numbers.share(energy)),
            lambda: _predictor(one.id, at.checkpoint.weights_sha256, how.method, energy, at.grid),
            "factored",
        )

    def versions(percents: Sequence[int]) -> list[Version]:
        whole = Version(_("whole"), lambda: predictor(one.id))
        source = DerivedFrom(id=one.id, kind="factored")
        tuned = [
            Version(
                _("{energy} and fine-tuned").format(energy=numbers.share(each.config["energy"])),
                partial(predictor, each.id),
                "factored",
            )
            for each in found
            if each.derived_from == source and each.config.get("finetune_epochs")
        ]
        return [whole, *map(factored, percents), *tuned[:1]]

    photo_check(
        one,
        Choice(
            _("Energies to try, up to two (%)"), PHOTO_ENERGIES, (80, 50), "photo_energies", most=2
        ),
        versions,
        way=method_title(how.method),
        hint=_("Drop a photo: it goes through the network whole, and factored."),
        name="low-rank-photo",
    )


def live(at: Setting) -> None:
    """The button, the running measurement, its result."""
    how = whole_setting(at.grid)
    start, again = run_it_here()
    LivePoint(
        RUNS,
        LowRankPoint(at.checkpoint.id, at.checkpoint.weights_sha256, how.method, how.energy),
        _(
            "Factors {network} now ({method}, {energy} of the energy), in a process of its own: "
            "accuracy on all test photographs (where they are on this machine) and the time "
            "beside the whole network's. One run at a time; results are shared."
        ).format(
            network=_(at.checkpoint.title),
            method=method_title(how.method),
            energy=numbers.share(how.energy),
        ),
        start,
        again,
        steps={
            "start": (0.02, _("Starting ...")),
            "factor": (0.08, _("Taking the weights apart ...")),
            "accuracy": (0.2, _("Looking at test photograph {done} of {of} ...")),
            "time": (0.85, _("Timing it beside the whole network ...")),
        },
        told=lambda job: _("{score} right").format(score=score_text(job.rows[0])),
        shown=_shown,
    ).draw()


def _shown(job: LowRankJob) -> None:
    row = job.rows[0]
    figures(row)
    took, whole = row.latency.get("torch_1"), row.latency.get("whole_torch_1")
    if not (took and whole):
        return
    verdict = {
        "faster": _("faster"),
        "slower": _("slower"),
        "same": _("no difference that the measurement can tell"),
    }[took.against(whole)]
    st.markdown(
        _("- Time of one picture, PyTorch: {time}, the whole network {whole}: {verdict}").format(
            time=numbers.milliseconds(took.median),
            whole=numbers.milliseconds(whole.median),
            verdict=verdict,
        )
    )


def figures(row: LowRankRow) -> None:
    """The figures of one row; what was not measured is left out."""
    told = {
        _("Right"): score_text(row),
        _("Parameters"): numbers.count(row.params),
        _("MACs"): numbers.count(row.macs),
        _("Weights file"): numbers.size(row.size_bytes),
        _("Layers factored"): numbers.count(len(row.ranks)),
        _("Energy kept, all weights"): numbers.percent(row.kept),
    }
    st.markdown("\n".join(f"- {name}: {value}" for name, value in told.items()))


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


# ------------------------------------------------------------------------------------------------
# Tabs "Extreme case", "Why", "Trap" and "Homework".


BIG, SMALL = "plain_2m", "dwpw_256k"


def extreme(at: Setting, found: Sequence[Checkpoint]) -> None:
    """Depthwise + pointwise as the rank-1 case, and the two networks the homework compares."""
    st.latex(r"W_{o,i} = p_{o,i}\, d_i")
    st.markdown(
        _(
            "HW7 calls depthwise + pointwise its *low-rank approximation*, and it is one: every "
            "output $o$ reads channel $i$ through the same $k \\times k$ filter $d_i$, only times "
            "a number $p_{o,i}$, so the slice of the kernel that belongs to channel $i$ has rank "
            "1. Nothing can be lower."
        )
    )
    if told := separable(at):
        st.markdown(told)
    pair = [_plain(found, model) for model in (BIG, SMALL)]
    if None in pair:
        st.caption(
            _("{big} and {small} stand here side by side once both are trained: {command}").format(
                big=BIG, small=SMALL, command="python -m core reproduce"
            )
        )
        return
    for one in pair:
        assert one is not None
        st.markdown(
            _(
                "- **{name}** (seed {seed}): {params} parameters, {macs} MACs, {size}; {score}"
            ).format(
                name=name_of(one),
                seed=one.seed,
                params=numbers.count(one.params),
                macs=numbers.count(one.macs),
                size=numbers.size(one.size_bytes),
                score=accuracy_line(one),
            )
        )
    big, small = pair
    assert big is not None and small is not None
    if big.test and small.test:
        difference(found, big, small)


def separable(at: Setting) -> str:
    """How much of this layer's own weights a depthwise + pointwise pair could keep; may be ""."""
    curve = at.curve
    if curve is None or curve.shape.kernel == (1, 1):
        return ""
    stored = at.grid and at.grid.spectrum(curve.shape.name, curve.form)
    share = stored.separable if stored else None
    if share is None:
        share = separable_energy(
            layers_of(at.checkpoint.id, at.checkpoint.weights_sha256).parts.weight(curve.shape.name)
        )
    return _(
        "Of {layer}'s own weights the best depthwise + pointwise pair would keep {share} of the "
        "energy. The rest would be lost: such a network is *trained* in that form from the start."
    ).format(layer=curve.shape.name, share=numbers.percent(share))


def _plain(found: Sequence[Checkpoint], model: str) -> Checkpoint | None:
    """A checkpoint of that model from scratch, whole, first seed."""
    return next(
        (
            one
            for one in sorted(found, key=lambda one: (one.recipe != "scratch", one.seed))
            if one.model == model and role_of(one) == "scratch"
        ),
        None,
    )


def difference(found: Sequence[Checkpoint], big: Checkpoint, small: Checkpoint) -> None:
    """Their recipes' accuracies on the same pictures, subtracted, with an interval."""
    if big.data.fingerprint != small.data.fingerprint:
        st.caption(_("They were measured on different photographs: no difference is formed."))
        return
    groups = by_stem(collect(found))
    told = contrast(groups[stem_of(big)], groups[stem_of(small)])
    if told is None:
        st.caption(
            _(
                "Their difference is missing: the stored answers of one of them cannot be read. "
                "{command} says which."
            ).format(command="`python -m core check`")
        )
        return
    gap, low, high = told.interval()
    form = (
        _(
            "The big one's accuracy minus the small one's, on the same {n} photographs: {gap} "
            "points (mean of {seeds} seeds, 95 % interval over seeds and photographs {interval}); "
            "{verdict}."
        )
        if told.over_seeds
        else _(
            "The big one's accuracy minus the small one's, on the same {n} photographs: {gap} "
            "points (95 % interval {interval}); {verdict}. One seed each: training's own luck is "
            "not in it."
        )
    )
    st.markdown(
        form.format(
            gap=points(gap),
            interval=points_interval(low, high),
            n=numbers.count(told.pairs[0].n),
            seeds=len(told.pairs),
            verdict=_("not distinguishable")
            if told.side() == "unclear"
            else _("more than chance explains"),
        )
    )


def why(at: Setting) -> None:
    """The formulas with this layer's numbers, and the functions that factored it."""
    st.latex(r"M = U \Sigma V^\top \approx \sum_{j \le r} \sigma_j u_j v_j^\top")
    st.latex(r"\text{energy kept} = \frac{\sum_{j \le r} \sigma_j^2}{\sum_j \sigma_j^2}")
    st.markdown(
        _(
            "$M$ is the layer's weight as a matrix, $\\sigma_j$ its singular values, $r$ the rank. "
            "No other matrix of rank $r$ is nearer to $M$ (Eckart and Young 1936). For a linear "
            "or 1 × 1 layer with $a$ inputs and $b$ outputs $M$ is $b \\times a$; for a k × k "
            "convolution, row ($i$, line) and column ($o$, column) give r filters of k × 1 and "
            "then 1 × k (Jaderberg et al. 2014). Tucker-2 takes the channels' singular vectors on "
            "both sides and a small k × k core between them (Kim et al. 2016):"
        )
    )
    st.latex(
        r"\begin{aligned} \text{SVD: } & r(a + b) \\ \text{spatial: } & r(ak + bk) \\ "
        r"\text{Tucker-2: } & a r_{in} + k^2 r_{in} r_{out} + r_{out} b \end{aligned}"
    )
    filled_in(at)
    st.markdown(_("This class took the layer apart, here on this page, too:"))
    st.code(source_of("core.low_rank.method", "Decomposition"), language="python")
    st.markdown(_("And this function puts the factors into a network:"))
    st.code(source_of("core.low_rank.network", "factor"), language="python")


def filled_in(at: Setting) -> None:
    """The layer's own numbers in the formulas, at a quarter of its ranks."""
    curve = at.curve
    if curve is None:
        return
    shape, ranks = curve.shape, curve.ranks(max(1, curve.full // 4))
    high, wide = shape.out_size
    bias = f" + {shape.outputs}" if shape.bias else ""
    kernel = "" if shape.kernel == (1, 1) else f"·{shape.kernel[0]}·{shape.kernel[1]}"
    st.markdown(
        _("- the layer: {a}·{b}{kernel}{bias} = {params} parameters, {macs} MACs").format(
            a=shape.inputs,
            b=shape.outputs,
            kernel=kernel,
            bias=bias,
            params=numbers.count(shape.params),
            macs=numbers.count(shape.macs),
        )
    )
    st.markdown(
        _(
            "- its factors at rank {rank}: {sum} parameters, {macs} MACs; what they write is "
            "{high} × {wide} places large"
        ).format(
            rank=" / ".join(map(str, ranks)),
            sum=filled_formula(shape, ranks),
            macs=numbers.count(shape.factored_macs(ranks)),
            high=high,
            wide=wide,
        )
    )


def filled_formula(shape: LayerShape, ranks: tuple[int, ...]) -> str:
    """The parameters of the factors as a sum with its numbers, and its value."""
    written = formula(shape, shape.form_of(ranks)).format(*ranks)
    return f"{written} = {numbers.count(shape.factored_params(ranks))}"


def trap(at: Setting) -> None:
    """Factors with more parameters than the layer, counted; and factoring without fine-tuning."""
    st.markdown(
        _(
            "“Two small layers are smaller than one large one.” Only below the break-even rank. "
            "Take three quarters of the ranks, which sounds like saving a quarter:"
        )
    )
    if at.curve is not None:
        _grown(at, at.curve)
    st.markdown(
        _(
            "How to notice: count the parameters of what you built. And measure accuracy *after* "
            "factoring, before you believe the energy: 90 % of the energy of every layer, layer "
            "upon layer, is not 90 % of the answer."
        )
    )
    lines = tuned_lines(at.grid) if at.grid else []
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
    else:
        st.caption(_("What fine-tuning repairs is shown here once it is measured."))


def _grown(at: Setting, curve: LayerCurve) -> None:
    """Factor the layer at three quarters of its ranks and count what comes out."""
    ranks = curve.ranks(max(1, round(0.75 * curve.full)))
    parts = layers_of(at.checkpoint.id, at.checkpoint.weights_sha256).parts
    factors = parts.of(curve.shape.name, curve.form).factors(ranks)
    made = sum(one.size for one in factors) + curve.shape.bias * curve.shape.outputs
    shapes = ", ".join(" × ".join(map(str, one.shape)) for one in factors)
    st.markdown(
        _(
            "- {layer} at rank {rank} of {full}: weights of {shapes}, together **{made}** "
            "parameters; the layer had **{whole}**. Break-even: rank {even}."
        ).format(
            layer=curve.shape.name,
            rank=" / ".join(map(str, ranks)),
            full=" / ".join(map(str, curve.ranks(curve.full))),
            shapes=shapes,
            made=numbers.count(made),
            whole=numbers.count(curve.shape.params),
            even=numbers.count(curve.break_even),
        )
    )


def homework(found: Sequence[Checkpoint]) -> None:
    """HW7 Q1's four families and its low-rank student; where the answers stand on this page."""
    st.markdown(
        _(
            "**HW7 Q1: name the four families of network compression.** Pruning, quantisation, "
            "knowledge distillation, and low-rank approximation: this page."
        )
    )
    st.markdown(
        _(
            "**HW7 Q1/Q2: train the depthwise + pointwise student and a plain network eight times "
            "its size.** The report found 0.71010 for the former on the test set, 5 to 7 points "
            "below the latter, and 0.83801 once it was distilled (real Food-11; see “The extreme "
            "case” above for the two networks trained here)."
        )
    )
    for model in (BIG, SMALL):
        one = _plain(found, model)
        if one is not None:
            st.markdown(f"- {name_of(one)}: {accuracy_line(one)}")


if __name__ == "__main__":
    main()
