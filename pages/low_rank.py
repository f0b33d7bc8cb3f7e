"""Low rank: a layer's singular values, a network factored, and what that saves and costs."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import points, points_interval
from core.charts.theme import role_of
from core.checkpoints import WEIGHTS, Checkpoint, DerivedFrom
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
from pages.kit import frame as contents
from pages.kit import networks
from pages.kit.figure import data_button, show, show_with_slider
from pages.kit.frame import foot
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.networks import name_of
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import accuracy_line, provenance
from pages.kit.url_state import guess, in_browser, number, number_of, one_of, toggle
from pages.pruning import column_title

# ------------------------------------------------------------------------------------------------
# What the low-rank page's charts show, in sentences made from the numbers in them.


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


# ------------------------------------------------------------------------------------------------
# The low-rank page's guesses and controls, and what it keeps: layers, decompositions, curves.


RANK_GUESSES = ("tenth", "third", "most")
SPEEDS = ("faster", "same", "slower")


class Guess(NamedTuple):
    """What the reader expects; None where nothing was tapped."""

    ranks: str | None
    speed: str | None


class Layers(NamedTuple):
    """A checkpoint's layers in order of execution, and its weights taken apart when asked for."""

    shapes: tuple[LayerShape, ...]
    parts: Decompositions


class Setting(NamedTuple):
    """The network and the layer on the table."""

    checkpoint: Checkpoint
    layers: Layers
    curve: LayerCurve | None
    """The chosen layer at every rank; None for a network without a layer to factor."""

    @property
    def sha256(self) -> str:
        """Of the weights: part of every cache key."""
        return self.checkpoint.files[WEIGHTS].sha256


class Whole(NamedTuple):
    """How the whole network is factored."""

    method: Method
    energy: float
    grid: LowRankGrid | None

    @property
    def row(self) -> LowRankRow | None:
        """What was measured nearest to this setting."""
        if self.grid is None:
            return None
        nearest = min(ENERGIES, key=lambda energy: abs(energy - self.energy))
        return self.grid.row(RowKey(self.method, nearest))


def rank_guess_title(guess: str) -> str:
    """What a guess about ranks is called."""
    return {
        "tenth": _("about a tenth"),
        "third": _("about a third"),
        "most": _("half of them or more"),
    }[guess]


def speed_title(speed: str) -> str:
    """What a guess about time is called."""
    return {
        "faster": _("about half the time"),
        "same": _("hardly less than before"),
        "slower": _("longer than before"),
    }[speed]


def predict_first() -> Guess:
    """Two taps before looking."""
    ranks = guess(
        _("First, a guess: how many of a trained layer's ranks hold 90 % of its energy?"),
        RANK_GUESSES,
        format_func=rank_guess_title,
        key="guess_ranks",
    )
    speed = guess(
        _("And a network factored to half of its MACs takes ..."),
        SPEEDS,
        format_func=speed_title,
        key="guess_speed",
    )
    return Guess(ranks, speed)


def candidates(found: list[Checkpoint]) -> list[Checkpoint]:
    """Networks that are not factored yet; those of k x k convolutions first."""
    whole = [one for one in found if not one.ranks]
    return sorted(whole, key=lambda one: MODELS.index(one.model) if one.model in MODELS else 9)


def setting(found: list[Checkpoint]) -> Setting:
    """The network, its layer, the way to factor it; every control is part of the link."""
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        one = networks.choose_one(_("Network"), found, "network")
    sha256 = one.files[WEIGHTS].sha256
    try:
        layers = layers_of(one.id, sha256)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        layers = Layers((), Decompositions({}))
    able = {shape.name: shape for shape in layers.shapes if shape.forms}
    if not able:
        st.info(_("This network has no layer to factor."), icon=":material/grid_off:")
        return Setting(one, layers, None)
    names = list(able)
    with right:
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
        titles = {one: form_title(one) for one in forms}
        form = one_of(
            st.segmented_control, _("As"), titles, "form", default=forms[0], required=True
        )
    return Setting(one, layers, curve_of(one.id, sha256, name, form))


def whole_setting(grid: LowRankGrid | None) -> Whole:
    """How the whole network is factored; part of the link."""
    order: tuple[Method, ...] = ("auto", "spatial", "tucker2", "svd")
    method = one_of(
        st.segmented_control,
        _("The k × k layers by"),
        {name: method_title(name) for name in order},
        "method",
        default="auto",
        required=True,
    )
    st.caption(
        _(
            "Linear and 1 × 1 layers are always factored by SVD; “SVD only” leaves the k × k ones "
            "whole. Depthwise and group convolutions are left alone, and so is every layer in "
            "which the factors would not be smaller. “Smaller of the two”: "
            "Tucker-2 or k × 1, 1 × k, chosen layer by layer."
        )
    )
    percent = number_of(st.slider, _("Energy that every layer keeps, %"), 30, 100, 70, 5, "energy")
    return Whole(method, percent / 100, grid)


@st.cache_resource(max_entries=3, show_spinner=False)
def layers_of(id: str, sha256: str) -> Layers:
    """A checkpoint's layers, shared by all sessions: read them, never write."""
    del sha256  # only the key of the cache
    shapes, weights = checkpoint_layers(id)
    return Layers(shapes, Decompositions(weights))


@st.cache_resource(max_entries=64, show_spinner=False)
def curve_of(id: str, sha256: str, layer: str, form: Form) -> LayerCurve:
    """A layer at every rank, shared; takes a moment the first time."""
    found = layers_of(id, sha256)
    shape = next(one for one in found.shapes if one.name == layer)
    return layer_curve(shape, found.parts.of(layer, form))


# ------------------------------------------------------------------------------------------------
# One layer: its singular values, what each rank keeps and costs, and the numbers filled in.


SLIDER_PX = 50


def layer(at: Setting, guess: Guess) -> None:
    """The chart with its slider, then what it shows."""
    curve = at.curve
    if curve is None:
        return
    with st.spinner(_("Taking the layer apart ...")):
        begin = max(1, curve.full // 4)
        chart = layer_chart(curve, in_browser("R", number(1, curve.full), begin))
    show_with_slider(chart, layer_alt(curve), "spectrum", HEIGHT_PX + SLIDER_PX)
    st.caption(
        _(
            "Drag the rank: filled marks stay, hollow ones go. Solid: the energy kept, that is, "
            "the share of the squared weights. Dashed: parameters, as a share of the whole layer's."
        )
    )
    data_button(layer_data(curve), "low-rank-layer")
    if guess.ranks is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    _answer(curve, guess.ranks)
    lines = layer_lines(curve)
    st.markdown(f"**{_('What you see')}**\n" + "\n".join(f"- {line}" for line in lines))


def _answer(curve: LayerCurve, guess: str) -> None:
    right = guess_of(curve)
    told = _("Well seen.") if guess == right else _("Not quite.")
    st.markdown(
        told
        + " "
        + _("You guessed “{guess}”; in this layer it is {share} of the ranks.").format(
            guess=rank_guess_title(guess),
            share=numbers.share(curve.rank_for(0.9) / curve.full),
        )
    )


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


def separable(at: Setting) -> str:
    """How much of this layer's own weights a depthwise + pointwise pair could keep; may be ""."""
    curve = at.curve
    if curve is None or curve.shape.kernel == (1, 1):
        return ""
    share = separable_energy(at.layers.parts.weight(curve.shape.name))
    return _(
        "Of {layer}'s own weights the best depthwise + pointwise pair would keep {share} of the "
        "energy. The rest would be lost: such a network is *trained* in that form from the start."
    ).format(layer=curve.shape.name, share=numbers.percent(share))


# ------------------------------------------------------------------------------------------------
# The whole network at lower rank: accuracy against parameters, fine-tuning, MACs against time.


COLUMNS = tuple(f"{engine}_{batch}" for engine in ENGINES for batch in BATCHES)
ALL: tuple[Method, ...] = ("spatial", "tucker2", "svd")


def accuracy(
    at: Setting, how: Whole, found: Sequence[Checkpoint]
) -> tuple[pd.DataFrame | None, bool]:
    """The chart with its controls and sentences; returns what it shows, and whether all of it."""
    if how.grid is None:
        st.info(
            _(
                "The curves of this network are not measured yet; that takes some minutes. "
                "Meanwhile “Run it here” measures single points. To measure them all:"
            ),
            icon=":material/query_stats:",
        )
        st.code(f"python -m core lowrank-grid {at.checkpoint.id}", language="bash")
        return None, False
    with st.container(horizontal=True, vertical_alignment="center"):
        reveal = toggle(_("Show what was measured"), "reveal")
        every = toggle(_("All methods"), "all_methods")
        tuned = toggle(
            _("Also after fine-tuning"), "finetuned", True,
            help=_("A short training of the factored network: hollow marks."),
        )  # fmt: skip
    methods = how.grid.worth_showing(ALL) if every else (how.method,)
    frame = accuracy_frame(how.grid, methods, tuned and not every)
    if frame.empty:
        st.info(_("These curves were made without photographs: no accuracy."))
        return None, False
    others = others_frame(found, at.checkpoint, how.grid.fingerprint)
    live = live_points(RUNS, (at.checkpoint.id, at.sha256), ("params",))
    show(
        accuracy_chart(
            frame,
            others,
            how.row,
            live,
            reveal,
        ),
        accuracy_alt(frame, reveal),
        key="accuracy",
    )
    st.caption(
        _("Bands and bars: 95 % interval. Dashed: one in eleven, pure chance. Hollow: after "
          "fine-tuning. Stars: measured here, just now. Named marks: other designs, "
          "trained as small as they are, in the same way.")
    )  # fmt: skip
    if not reveal:
        st.caption(_("Make your guess, then switch on “Show what was measured”."))
        return frame[frame["energy"] == 1], False
    data_button(accuracy_data(frame, others), "low-rank-accuracy")
    st.markdown(f"**{_('What you see')}**")
    lines = accuracy_lines(frame)
    if tuned and not every:
        lines += tuned_lines(how.grid)
    st.markdown("\n".join(f"- {line}" for line in lines))
    if how.row is not None:
        _plan(how, how.row)
    return frame, True


def _plan(how: Whole, row: LowRankRow) -> None:
    """Every layer at the nearest measured setting."""
    assert how.grid is not None
    with st.expander(
        _("Layer by layer at {energy} of the energy: {params} parameters, {score}").format(
            energy=numbers.share(row.energy),
            params=numbers.count(row.params),
            score=score_text(row),
        )
    ):
        st.dataframe(
            plan_frame(how.grid, row),
            column_config={
                "layer": _("Layer"),
                "done": _("What is done"),
                "before": st.column_config.NumberColumn(_("Parameters"), format="localized"),
                "after": st.column_config.NumberColumn(_("afterwards"), format="localized"),
            },
            hide_index=True,
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


def times(at: Setting, how: Whole, guess: Guess, reveal: bool) -> None:
    """MACs against time, and in words which network is really faster."""
    grid = how.grid
    timed = [column for column in COLUMNS if grid and whole_row(grid, column)]
    if grid is None or not timed:
        st.info(
            _("Times of this network are not measured yet. “Run it here” measures one point, or:"),
            icon=":material/timer_off:",
        )
        st.code(f"python -m core lowrank-grid {at.checkpoint.id} --stages times", language="bash")
        return
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    column = one_of(
        st.segmented_control,
        _("Measured with"),
        {name: column_title(name) for name in timed},
        "time_with",
        default=timed[0],
        required=True,
    )
    methods: tuple[Method, ...] = ("spatial", "tucker2")
    frame = time_frame(grid, methods, column)
    if frame.empty:
        st.info(_("At the timed energies no layer of this network is worth factoring."))
        return
    show(time_chart(frame), time_alt(grid, methods, column), key="times")
    data_button(frame, "low-rank-times")
    st.caption(
        _(
            "Circles: k × 1, then 1 × k. Triangles: Tucker-2. The figure beside a mark is the "
            "energy kept. Median of repeated calls, quartiles as bars, {threads} thread, on "
            "{device}; all took turns. On the dashed line time would fall as the MACs do."
        ).format(threads=grid.threads, device=grid.device)
    )
    lines = time_lines(grid, methods, column)
    st.markdown("\n".join(f"- {line}" for line in lines))
    if guess.speed:
        _network_answer(frame, guess.speed)


def _network_answer(frame: pd.DataFrame, guess: str) -> None:
    """The guess about half of the MACs beside the network that is nearest to that."""
    near = frame.iloc[int((frame["macs_share"] - 0.5).abs().argmin())]
    promised, gained = 1 - near["macs_share"], 1 - near["share"]
    truth = "slower" if gained < 0 else "faster" if gained > promised / 2 else "same"
    told = _("Well seen.") if truth == guess else _("Not quite.")
    st.markdown(
        told
        + " "
        + _("You guessed “{guess}”. Nearest to half: {macs} of the MACs took {time} of the time.")
        .format(
            guess=speed_title(guess),
            macs=numbers.share(near["macs_share"]),
            time=numbers.share(near["share"]),
        )
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------
# "Run it here" of the low-rank page: a network, a way to factor it, the energy kept.


def live(at: Setting, how: Whole) -> None:
    """The button, the running measurement, its result."""
    start, again = run_it_here()
    LivePoint(
        RUNS,
        LowRankPoint(at.checkpoint.id, at.sha256, how.method, how.energy),
        _(
            "Factors {network} now ({method}, {energy} of the energy), in a process of its own: "
            "accuracy on all test photographs (where they are on this machine) and the time "
            "beside the whole network's. One run at a time; whoever asks for the same shares it."
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


# ------------------------------------------------------------------------------------------------
# A photo through one network: whole, at lower rank, and at lower rank after fine-tuning.


PHOTO_ENERGIES = (95, 90, 80, 70, 60, 50, 40, 30)


@st.cache_resource(max_entries=8, show_spinner=False)
def _predictor(id: str, sha256: str, method: Method, energy: float) -> FactoredPredictor:
    layers = layers_of(id, sha256)
    ranks: Ranks = ranks_for_energy(layers.shapes, layers.parts, method, energy)
    return FactoredPredictor(id, ranks, layers.parts)


def photo(at: Setting, how: Whole, found: list[Checkpoint]) -> None:
    """Choose a photo and energies; see where the answer changes, and what training repairs."""
    one = at.checkpoint

    def factored(percent: int) -> Version:
        energy = percent / 100
        return Version(
            _("{energy} of the energy").format(energy=numbers.share(energy)),
            lambda: _predictor(one.id, at.sha256, how.method, energy),
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


# ------------------------------------------------------------------------------------------------
# The low-rank page's extreme case, formulas and source, its trap, and the homework.


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
    if said := separable(at):
        st.markdown(said)
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


def trap(at: Setting, grid: LowRankGrid | None) -> None:
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
    lines = tuned_lines(grid) if grid else []
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
    else:
        st.caption(_("What fine-tuning repairs is shown here once it is measured."))


def _grown(at: Setting, curve: LayerCurve) -> None:
    """Factor the layer at three quarters of its ranks and count what comes out."""
    ranks = curve.ranks(max(1, round(0.75 * curve.full)))
    factors = at.layers.parts.of(curve.shape.name, curve.form).factors(ranks)
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


def main() -> None:
    """Draw the page."""
    st.title(contents.entry("low_rank").question)
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

    guess = predict_first()
    with st.container(border=True):
        at = setting(whole)
        layer(at, guess)

    st.subheader(_("The whole network"))
    with st.container(border=True):
        how = whole_setting(
            networks.measured_rows(LowRankGrid, [at.checkpoint]).get(at.checkpoint.id)
        )
    frame, revealed = accuracy(at, how, whole)

    st.subheader(_("Run it here"))
    live(at, how)

    st.subheader(_("Fewer MACs, less time?"))
    times(at, how, guess, revealed)

    st.subheader(_("The extreme case: depthwise + pointwise"))
    extreme(at, whole)

    st.subheader(_("Your photo, at lower rank"))
    photo(at, how, found)

    with st.expander(_("Why: what a rank is, and what is kept"), icon=":material/function:"):
        why(at)

    with st.expander(_("Trap: factors larger than the layer"), icon=":material/warning:"):
        trap(at, how.grid)

    with st.expander(_("From the homework: HW7 Q1"), icon=":material/school:"):
        homework(whole)

    provenance([at.checkpoint])
    foot("low_rank", frame)


if __name__ == "__main__":
    main()
