"""Low rank: a layer's singular values, a network factored, and what that saves and costs."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.compiled import inlined
from core.charts.numbers import score_text
from core.charts.theme import role_of
from core.checkpoints import Checkpoint, DerivedFrom
from core.checkpoints.factored import Form, LayerShape, Method
from core.errors import CheckpointError
from core.i18n import _, labelled, paragraph
from core.inference.predict import predictor, shared
from core.low_rank.chart import (
    HEIGHT_PX,
    accuracy_chart,
    accuracy_data,
    accuracy_frame,
    layer_chart,
    layer_data,
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
from core.timing import COLUMNS, column_title
from pages.kit import frame, guess, networks, quiz
from pages.kit.figure import Picture, data_button, kept, show, show_with_slider, source, table
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.live_text import live_text
from pages.kit.networks import name_of
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import accuracy_line, not_measured, provenance
from pages.kit.url_state import in_browser, number, number_of, one_of, toggle

_follow_the_rank = live_text(
    "follows_r",
    """
const percent = (p, digits) => (100 * p).toFixed(digits) + "\\u202f%";

function numbers({kept, shares}, {R}) {
  return {r: R, kept: percent(kept[R - 1], 1), share: percent(shares[R - 1], 0)};
}
""",
)
SLIDER_PX = 50
GUESSED_ENERGY = 0.7
METHODS: tuple[Method, ...] = ("auto", "spatial", "tucker2", "svd")
TIMED_METHODS: tuple[Method, ...] = ("spatial", "tucker2")
PHOTO_ENERGIES = (95, 90, 80, 70, 60, 50, 40, 30)
BIG, SMALL = "plain_2m", "dwpw_256k"
"""The two networks that HW7 compares."""


class Layers(NamedTuple):
    """A checkpoint's layers in order of execution, and its weights, decomposed when needed."""

    shapes: tuple[LayerShape, ...]
    parts: Decompositions


class Setting(NamedTuple):
    """The chosen network and layer."""

    checkpoint: Checkpoint
    grid: LowRankGrid | None
    """What was measured of it, if anything was."""
    curve: LayerCurve | None
    """The chosen layer at every rank; None for a network without a layer to factor."""

    @property
    def sha256(self) -> str:
        """Of the weights: part of every cache key."""
        return self.checkpoint.weights_sha256

    @property
    def layers(self) -> Layers:
        """Its layers from its files. Raises CheckpointError."""
        is_small = self.checkpoint.params <= SMALL_PARAMS
        opened = small_layers if is_small else large_layers
        return opened(self.checkpoint.id, self.sha256)


class Factoring(NamedTuple):
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
            "The weights of a layer are a large matrix. If a few of its directions do most of the "
            "work, two thin matrices can replace it: a *low-rank approximation*."
        )
    )
    shipped = networks.checkpoints()
    whole = sorted(
        (entry for entry in shipped if not entry.ranks),
        key=lambda entry: MODELS.index(entry.model) if entry.model in MODELS else len(MODELS),
    )
    if not whole:
        networks.explain_empty()
        st.stop()
    explore(shipped, whole, networks.measured_rows(LowRankGrid, whole))
    provenance(whole[:1])
    frame.foot("low_rank")


@frame.section
def explore(
    shipped: list[Checkpoint], whole: list[Checkpoint], grids: dict[str, LowRankGrid]
) -> None:
    """The instrument, and the tabs that follow its settings."""
    with frame.instrument() as (controls, picture):
        with controls:
            at = settings(whole, grids)
        with picture:
            guessed = layer(at)
    frame.tabs(
        [
            frame.Tab("network", _("Whole network"), partial(network, at, whole)),
            frame.Tab("time", _("Faster?"), partial(times, at), ["time_with"]),
            frame.Tab("photo", _("Your photo"), partial(photo, at, shipped), ["photo_energies"]),
            frame.Tab("run", _("Run it here"), partial(live, at)),
            frame.Tab("why", _("Why"), why),
            frame.Tab("trap", _("Trap"), partial(trap, at)),
            frame.Tab("homework", _("Homework"), partial(homework, at, whole), former=["extreme"]),
            quiz.tab(partial(_quiz, at.curve), about_layer(at.checkpoint, at.curve), guessed),
        ]
    )


def settings(whole: list[Checkpoint], grids: dict[str, LowRankGrid]) -> Setting:
    """The network, its layer, the way to factor it; every control is part of the link."""
    checkpoint = networks.choose_one(_("Network"), whole, "network", first=grids)
    grid = grids.get(checkpoint.id)
    at = Setting(checkpoint, grid, None)
    try:
        shapes = grid.shapes if grid else at.layers.shapes
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        shapes = ()
    factorable = {shape.name: shape for shape in shapes if shape.forms}
    if not factorable:
        st.info(_("This network has no layer to factor."), icon=":material/grid_off:")
        return at
    titles = {name: layer_title(shape) for name, shape in factorable.items()}
    middle = list(titles)[len(titles) // 2]
    shape = factorable[one_of(st.selectbox, _("Layer"), titles, "layer", default=middle)]
    forms: dict[Form, str] = {
        "svd": _("SVD: two thin layers"),
        "spatial": _("k × 1, then 1 × k"),
        "tucker2": _("Tucker-2: 1 × 1, k × k, 1 × 1"),
    }
    form: Form = shape.forms[0]
    if len(shape.forms) > 1:
        form = one_of(
            st.selectbox,
            _("Factored as"),
            {form: forms[form] for form in shape.forms},
            "form",
            default=form,
        )
    curve = kept(
        partial(curve_of, at, shape, form), "curve", at.sha256, shape.name, form, of=[grid]
    )
    return at._replace(curve=curve)


def layer_title(layer: LayerShape) -> str:
    """A layer as menus name it: its place in the network, kernel and channels."""
    high, wide = layer.kernel
    channels = f"{layer.inputs} → {layer.outputs}"
    if (high, wide) != (1, 1):
        channels = _("{text}, {basis}").format(text=f"{high} × {wide}", basis=channels)
    place = layer.name.removeprefix("features.")  # else the menu is too narrow
    return labelled(place, channels)


SMALL_PARAMS = 1_000_000
"""Taken apart, a ResNet-18 takes 250 MB, a student 4: only one larger network is kept."""


@st.cache_resource(max_entries=8, show_spinner=False)
def small_layers(id: str, sha256: str) -> Layers:
    """A checkpoint's layers from its files, shared by all sessions: read them, never write."""
    del sha256  # only the key of the cache
    return layers_of(id)


@st.cache_resource(max_entries=1, show_spinner=False)
def large_layers(id: str, sha256: str) -> Layers:
    """The same of a large network."""
    del sha256
    return layers_of(id)


def layers_of(id: str) -> Layers:
    """A checkpoint's layers from its files."""
    shapes, weights = checkpoint_layers(id)
    return Layers(shapes, Decompositions(weights))


def curve_of(at: Setting, shape: LayerShape, form: Form) -> LayerCurve:
    """A layer at every rank; decomposed here only where nobody has measured the network."""
    if at.grid and (spectrum := at.grid.spectrum(shape.name, form)):
        return stored_curve(shape, spectrum)
    return layer_curve(shape, at.layers.parts.of(shape.name, form))


def about_layer(checkpoint: Checkpoint, curve: LayerCurve | None) -> str:
    """Which layer, in which form."""
    return f"{checkpoint.id} {curve.shape.name} {curve.form}" if curve else checkpoint.id


def layer(at: Setting) -> guess.Guess[str] | None:
    """The chart with its slider, the guess, then what the chart shows; what became of the guess."""
    curve = at.curve
    if curve is None:
        return None
    place = st.container()
    guessed = guess.ask(
        _("Guess: how many of this layer's ranks keep 90 % of its energy?"),
        {
            "tenth": _("about a tenth"),
            "third": _("about a third"),
            "most": _("half of them or more"),
        },
        "guess_ranks",
        about=about_layer(at.checkpoint, curve),
    )
    picture = kept(
        partial(layer_picture, curve, guessed.is_open), "layer", guessed.is_open, of=[curve]
    )
    begin = in_browser("R", number(1, curve.full), max(1, curve.full // 4))
    chart = picture.chart | {"params": [{**picture.chart["params"][0], "value": begin}]}
    with place:
        show_with_slider(chart, picture.alt, "spectrum", HEIGHT_PX + SLIDER_PX)
        st.caption(
            _(
                "Drag the rank: coloured values stay, grey ones are dropped. Energy: the share of "
                "the squared weights that is kept. Dashed: parameters."
            )
        )
    answer = _("In this layer it is {share} of the ranks.").format(
        share=numbers.share(curve.rank_for(0.9) / curve.full)
    )
    guess.verdict(guessed, guess_of(curve) == guessed.value, answer)
    if guessed.is_open:
        text = _("At rank **{r}** the layer keeps {kept} of its energy, with {share} of its "
                 "parameters.")  # fmt: skip
        _follow_the_rank(
            [_("**What you see.** {lines}").format(lines=text)],
            {"R": begin},
            kept=curve.kept.tolist(),
            shares=(curve.params / curve.shape.params).tolist(),
        )
        st.markdown(paragraph(picture.lines))
        data_button(picture.frame, "low-rank-layer")
    return guessed


def layer_picture(curve: LayerCurve, reveal: bool) -> Picture:
    """The layer's chart; before the `reveal` nothing says how much energy a rank keeps."""
    # what the reveal changes stays data, so that the browser keeps the chart and its slider's place
    chart = inlined(layer_chart(curve, 1, reveal), but=("ranks", "ends"))
    alt = _("Singular values of {layer}, and what each rank keeps and costs.")
    return Picture(layer_data(curve), chart, alt.format(layer=curve.shape.name), layer_lines(curve))


def layer_lines(curve: LayerCurve) -> list[str]:
    """How many ranks keep how much, where factoring stops saving, and what the full rank costs."""
    half, most, even = curve.rank_for(0.5), curve.rank_for(0.9), curve.break_even
    energy = _(
        "The first **{half}** of {full} ranks keep half of the energy, the first **{most}** "
        "({share}) keep 90 %."
    ).format(
        half=numbers.count(half),
        full=numbers.count(curve.full),
        most=numbers.count(most),
        share=numbers.share(most / curve.full),
    )
    if even == 0:
        return [
            energy,
            _("No rank saves parameters here: even rank 1 has as many as the layer."),
        ]
    cost = _(
        "Factoring saves parameters only up to rank **{even}**, which keeps {kept} of the energy. "
        "At the full rank the factors have {params} parameters, the layer {whole}."
    ).format(
        even=numbers.count(even),
        kept=numbers.percent(float(curve.kept[even - 1]), 1000),
        params=numbers.count(int(curve.params[-1])),
        whole=numbers.count(curve.shape.params),
    )
    return [energy, cost]


def guess_of(curve: LayerCurve) -> str:
    """The guess that is right: by the share of the ranks that keeps 90 % of the energy."""
    share = curve.rank_for(0.9) / curve.full
    return "tenth" if share < 0.2 else "third" if share < 0.45 else "most"


def network(at: Setting, whole: Sequence[Checkpoint]) -> None:
    """A guess, the curves that answer it, and the network layer by layer."""
    grid = at.grid
    if grid is None:
        not_measured(
            _(
                "The curves of this network are not measured yet. That takes some minutes; “Run "
                "it here” measures one point. To measure all:"
            ),
            f"python -m core lowrank-grid {at.checkpoint.id}",
        )
        return
    guessed = guess.ask(
        _("Guess: every layer keeps {energy} of its energy. How many right answers remain?")
        .format(energy=numbers.share(GUESSED_ENERGY)),
        {"most": _("nearly all"), "half": _("about half"), "few": _("hardly any")},
        "guess_whole",
        about=at.checkpoint.id,
    )  # fmt: skip
    before, after = (grid.row(RowKey("auto", energy)) for energy in (1.0, GUESSED_ENERGY))
    if not (before and after and before.correct and after.correct is not None):
        st.info(_("These curves were made without photographs: no accuracy."))
        return
    share = after.correct / before.correct
    truth = "most" if share >= 0.8 else "half" if share >= 0.25 else "few"
    answer = _("It keeps {share} of them, without any training after factoring.")
    guess.verdict(guessed, truth == guessed.value, answer.format(share=numbers.share(share)))
    if not guessed.is_open:
        return
    how = factoring(grid)
    with st.container(horizontal=True, vertical_alignment="center"):
        every = toggle(_("All methods"), "all_methods")
        tuned = toggle(
            _("Also after fine-tuning"), "finetuned", True,
            help=_("Hollow marks: trained a little after factoring."),
        )  # fmt: skip
    methods = grid.worth_showing(METHODS[1:]) if every else (how.method,)
    tuned = tuned and not every
    key = (methods, tuned, how.row and how.row.key, *(entry.id for entry in whole))
    draw = partial(curves, at, methods, tuned, how.row, whole)
    picture = kept(draw, "low-rank curves", *key, of=[grid])
    stars = live_points(RUNS, (at.checkpoint.id, at.sha256), ("params",))
    beside = {} if stars is None else {"live": stars}
    show(
        picture.chart | {"datasets": picture.chart["datasets"] | beside},
        picture.alt,
        key="accuracy",
    )
    marks = _("Circles: k × 1, then 1 × k. Triangles: Tucker-2. Diamonds: SVD only.")
    rest = _(
        "Vertical line: your energy. Bands and bars: 95 % interval. Dashed: one in eleven, pure "
        "chance. Hollow: after fine-tuning. Stars: measured here. Single grey marks: networks that "
        "were designed small and trained in the same way."
    )
    st.caption(paragraph([marks, rest] if every else [rest]))
    st.markdown(_("**What you see.** {lines}").format(lines=paragraph(picture.lines)))
    if tuned:
        fine_tuned(grid)
    data_button(picture.frame, "low-rank-accuracy")


def factoring(grid: LowRankGrid | None) -> Factoring:
    """How the whole network is factored; part of the link. Each tab that needs it draws it."""
    left, right = st.columns(2, gap="medium")
    with left:
        method = one_of(
            st.segmented_control,
            _("The k × k layers by"),
            {name: method_title(name) for name in METHODS},
            "method",
            default="auto",
            required=True,
            wrap=True,
            help=_(
                "Linear and 1 × 1 layers are always factored by SVD; “SVD only” leaves the k × k "
                "layers as they are. Depthwise and group convolutions are never factored, nor a "
                "layer whose factors would not be smaller. “Smaller of the two” chooses Tucker-2 "
                "or k × 1, 1 × k for each layer."
            ),
        )
    with right:
        percent = number_of(
            st.slider, _("Energy that every layer keeps, %"), 30, 100, 70, 5, "energy"
        )
    nearest = min(ENERGIES, key=lambda energy: abs(energy - percent / 100))
    return Factoring(method, percent / 100, grid.row(RowKey(method, nearest)) if grid else None)


def curves(
    at: Setting,
    methods: tuple[Method, ...],
    tuned: bool,
    now: LowRankRow | None,
    whole: Sequence[Checkpoint],
) -> Picture:
    """Accuracy against parameters, beside networks that were designed as small."""
    grid = at.grid
    assert grid is not None
    rows = accuracy_frame(grid, methods, tuned)
    others = others_frame(whole, at.checkpoint, grid.fingerprint)
    lines = accuracy_lines(rows)
    alt = _("Accuracy on the test photographs against the parameters that are left.")
    alt = paragraph([alt, *(line.replace("**", "") for line in lines)])
    if len(others):
        names = [
            _("{name} ({params}, {score})").format(
                name=other["name"], params=numbers.count(other["params"]), score=other["score"]
            )
            for other in others.sort_values("params").to_dict("records")
        ]
        lines.append(_("Designed small: {names}.").format(names=_("; ").join(names)))
    chart = inlined(accuracy_chart(rows, others, now), ("live",))
    return Picture(accuracy_data(rows, others), chart, alt, lines)


def accuracy_lines(rows: pd.DataFrame) -> list[str]:
    """A sentence per method: where it starts, how far it holds, where it ends."""
    lines = []
    for series, curve in rows[~rows["tuned"]].groupby("series", sort=False):
        curve = curve.sort_values("energy", ascending=False)
        first, last = curve.iloc[0], curve.iloc[-1]
        held = curve[(curve["accuracy"] >= first["low"]).cummin()].iloc[-1]
        lines.append(
            _(
                "**{name}**: the original is right on {whole}. Factored, it stays within the 95 % "
                "interval of that down to {held} of the parameters ({energy} of the energy); with "
                "{least} parameters it is right on {end}."
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


def fine_tuned(grid: LowRankGrid) -> None:
    """A table of the fine-tuned points, beside the same network without fine-tuning."""
    pairs = [
        (before, row)
        for row in sorted(grid.rows, key=lambda row: -row.energy)
        if row.finetune_epochs and (before := grid.row(RowKey(row.method, row.energy)))
    ]
    if pairs:
        table(
            {
                _("Energy"): [numbers.share(row.energy) for _before, row in pairs],
                _("Parameters"): [numbers.count(row.params) for _before, row in pairs],
                _("Right before fine-tuning"): [score_text(row.score) for row, _after in pairs],
                _("after"): [score_text(row.score) for _before, row in pairs],
                _("Epochs"): [numbers.count(row.finetune_epochs) for _before, row in pairs],
            }
        )


def times(at: Setting) -> None:
    """A guess about time, MACs against time, and in words which network is really faster."""
    grid = at.grid
    timed = [column for column in COLUMNS if grid and whole_row(grid, column)]
    if grid is None or not timed:
        not_measured(
            _("Times of this network are not measured yet. “Run it here” measures one point, or:"),
            f"python -m core lowrank-grid {at.checkpoint.id} --stages times",
        )
        return
    guessed = guess.ask(
        _("Guess: a network factored to half of its MACs takes …"),
        {
            "faster": _("about half the time"),
            "same": _("hardly less time"),
            "slower": _("more time"),
        },
        "guess_speed",
        about=at.checkpoint.id,
    )
    column = timed[0]
    if guessed.is_open:
        column = one_of(
            st.selectbox,
            _("Measured with"),
            {name: column_title(name) for name in timed},
            "time_with",
            default=column,
        )
    picture = kept(partial(time_picture, grid, column), "factored times", column, of=[grid])
    if picture.frame.empty:
        st.info(_("At the timed energies, factoring makes no layer of this network smaller."))
        return
    nearest = picture.frame.iloc[int((picture.frame["macs_share"] - 0.5).abs().argmin())]
    promised, gained = 1 - nearest["macs_share"], 1 - nearest["share"]
    truth = "slower" if gained < 0 else "faster" if gained > promised / 2 else "same"
    answer = _("The nearest to half, {macs} of the MACs, took {time} of the time.").format(
        macs=numbers.share(nearest["macs_share"]), time=numbers.share(nearest["share"])
    )
    guess.verdict(guessed, truth == guessed.value, answer)
    if not guessed.is_open:
        return
    show(picture.chart, picture.alt, key="times")
    st.caption(
        _(
            "Circles: k × 1, then 1 × k. Triangles: Tucker-2. The number at a mark is the energy "
            "kept. On the dashed line, time falls as the MACs do; above it, less. Median of "
            "repeated calls, quartiles as bars, {threads} thread, on {device}; all took turns."
        ).format(threads=grid.threads, device=grid.device)
    )
    verdicts = {"faster": _("faster"), "slower": _("slower"), "same": _("not distinguishable")}
    rows = picture.frame.to_dict("records")
    table(
        {
            _("Method"): [row["series"] for row in rows],
            _("Energy"): [numbers.share(row["energy"]) for row in rows],
            _("MACs"): [numbers.share(row["macs_share"]) for row in rows],
            _("Time"): [
                labelled(verdicts[row["verdict"]], numbers.share(row["share"])) for row in rows
            ],
        }
    )
    data_button(picture.frame, "low-rank-times")


def time_picture(grid: LowRankGrid, column: str) -> Picture:
    """MACs against time, both as shares of the original network's."""
    rows = time_frame(grid, TIMED_METHODS, column)
    text = _("{name}, {energy} of the energy: {macs} of the MACs, {share} of the time")
    lines = [
        text.format(
            name=row["series"],
            energy=numbers.share(row["energy"]),
            macs=numbers.share(row["macs_share"]),
            share=numbers.share(row["share"]),
        )
        for row in rows.to_dict("records")
    ]
    alt = _("Time against MACs, both as shares of the original network's. {lines}.")
    return Picture(rows, inlined(time_chart(rows)), alt.format(lines=_("; ").join(lines)))


def photo(at: Setting, shipped: list[Checkpoint]) -> None:
    """Choose a photo and energies; see where the answer changes, and what training repairs."""
    id, how = at.checkpoint.id, factoring(at.grid)

    def network_at(energy: float) -> FactoredPredictor:
        layers, row = at.layers, at.grid and at.grid.row(RowKey(how.method, energy))
        ranks = (
            row.ranks if row else ranks_for_energy(layers.shapes, layers.parts, how.method, energy)
        )
        return shared(
            at.checkpoint,
            lambda: FactoredPredictor(id, ranks, layers.parts, keep_memory=False),
            how.method,
            tuple(ranks.items()),
        )

    def versions(percents: Sequence[int]) -> list[Version]:
        factored = _("{energy} of the energy")
        tuned = _("{energy} and fine-tuned")
        source = DerivedFrom(id=id, kind="factored")
        return [
            Version(_("original"), partial(predictor, id)),
            *(
                Version(
                    factored.format(energy=numbers.share(percent / 100)),
                    partial(network_at, percent / 100),
                    "factored",
                )
                for percent in percents
            ),
            *[
                Version(
                    tuned.format(energy=numbers.share(entry.config["energy"])),
                    partial(predictor, entry.id),
                    "factored",
                )
                for entry in shipped
                if entry.derived_from == source and entry.config.get("finetune_epochs")
            ][:1],
        ]

    photo_check(
        at.checkpoint,
        Choice(
            _("Energies to try, up to two (%)"), PHOTO_ENERGIES, (80, 50), "photo_energies", most=2
        ),
        versions,
        way=method_title(how.method),
        hint=_("Drop a photo: the original network and the factored ones answer."),
        name="low-rank-photo",
    )


def live(at: Setting) -> None:
    """The button, the running measurement, its result."""
    how = factoring(at.grid)
    start, again = run_it_here()
    LivePoint(
        RUNS,
        LowRankPoint(at.checkpoint.id, at.sha256, how.method, how.energy),
        _(
            "Factors {network} ({method}, {energy} of the energy) on this machine and measures it: "
            "accuracy on all test photographs, where there are some, and the time beside the "
            "original's. One run at a time; everybody sees the result."
        ).format(
            network=_(at.checkpoint.title),
            method=method_title(how.method),
            energy=numbers.share(how.energy),
        ),
        start,
        again,
        steps={
            "start": (0.02, _("Starting ...")),
            "factor": (0.08, _("Factoring the layers ...")),
            "accuracy": (0.2, _("Looking at test photograph {done} of {of} ...")),
            "time": (0.85, _("Timing it beside the original ...")),
        },
        result_text=lambda job: _("{score} right").format(score=score_text(job.rows[0].score)),
        draw_rows=live_figures,
        method=how.method,
    ).draw()


def live_figures(job: LowRankJob) -> None:
    """What was measured here."""
    row = job.rows[0]
    figures = {
        _("Right"): score_text(row.score),
        _("Parameters"): numbers.count(row.params),
        _("MACs"): numbers.count(row.macs),
        _("Weights file"): numbers.size(row.size_bytes),
        _("Layers factored"): numbers.count(len(row.ranks)),
        _("Energy kept, all weights"): numbers.percent(row.kept),
    }
    spent, whole = row.latency.get("torch_1"), row.latency.get("whole_torch_1")
    if spent and whole:
        verdicts = {
            "faster": _("faster"),
            "slower": _("slower"),
            "same": _("not distinguishable"),
        }
        figures[_("Time of one picture, PyTorch")] = _(
            "{time}, the original {whole}: {verdict}"
        ).format(
            time=numbers.milliseconds(spent.median),
            whole=numbers.milliseconds(whole.median),
            verdict=verdicts[spent.against(whole)],
        )
    st.markdown("\n".join(f"- {labelled(name, value)}" for name, value in figures.items()))


def why() -> None:
    """The formulas, and the functions that decomposed the layer and factored a network."""
    st.latex(r"M = U \Sigma V^\top \approx \sum_{j \le r} \sigma_j u_j v_j^\top")
    st.latex(r"\text{energy kept} = \frac{\sum_{j \le r} \sigma_j^2}{\sum_j \sigma_j^2}")
    st.markdown(
        _(
            "$M$ is the layer's weight as a matrix, $\\sigma_j$ its singular values, $r$ the rank. "
            "No other matrix of rank $r$ is nearer to $M$ (Eckart and Young 1936). A linear or "
            "1 × 1 layer with $a$ inputs and $b$ outputs has a $b \\times a$ matrix. The weights "
            "of a k × k convolution can be written as a matrix that gives $r$ filters of k × 1 "
            "and then 1 × k (Jaderberg et al. 2014). Tucker-2 uses the singular vectors of the "
            "input and the output channels, with a small k × k core between them (Kim et al. "
            "2016). Parameters:"
        )
    )
    st.latex(
        r"\begin{aligned} \text{SVD: } & r(a + b) \\ \text{spatial: } & r(ak + bk) \\ "
        r"\text{Tucker-2: } & a r_{in} + k^2 r_{in} r_{out} + r_{out} b \end{aligned}"
    )
    for words, module, names in (
        (_("These functions decomposed the layer on this page:"), "method",
         ("matricized", "leading")),
        (_("This function puts the factors into a network:"), "network", ("factor",)),
    ):  # fmt: skip
        texts = [source_of(f"core.low_rank.{module}", name) for name in names]
        source(words, "\n\n".join(texts))


def trap(at: Setting) -> None:
    """Factors that are larger than the layer, made here."""
    st.markdown(
        _(
            "“Two small layers are smaller than one large one.” Only below the break-even rank. "
            "Three quarters of the ranks sound like a saving of a quarter:"
        )
    )
    if at.curve is not None:
        st.markdown(grown_line(at, at.curve))
    st.markdown(
        _(
            "Count the parameters of what you built. And measure accuracy *after* factoring: 90 % "
            "of the energy in every layer does not mean 90 % of the right answers."
        )
    )


def grown_line(at: Setting, curve: LayerCurve) -> str:
    """Factor the layer at three quarters of its ranks and count what comes out."""
    ranks, shape = curve.ranks(max(1, round(0.75 * curve.full))), curve.shape
    factors = at.layers.parts.of(shape.name, curve.form).factors(ranks)
    made = sum(factor.size for factor in factors) + shape.bias * shape.outputs
    return _(
        "- {layer} at rank {rank} of {full}: weights of {shapes}, together **{made}** "
        "parameters; the layer had **{whole}**. Break-even: rank {even}."
    ).format(
        layer=shape.name,
        rank=" / ".join(map(str, ranks)),
        full=" / ".join(map(str, curve.ranks(curve.full))),
        shapes=_(", ").join(" × ".join(map(str, factor.shape)) for factor in factors),
        made=numbers.count(made),
        whole=numbers.count(shape.params),
        even=numbers.count(curve.break_even),
    )


def homework(at: Setting, whole: Sequence[Checkpoint]) -> None:
    """HW7 Q1's four families, and its low-rank student: depthwise + pointwise, of rank 1."""
    st.markdown(
        _(
            "**HW7 Q1: name the four families of network compression.** Pruning, quantisation, "
            "knowledge distillation, and low-rank approximation (this page)."
        )
    )
    st.markdown(
        _(
            "**HW7 Q1/Q2: train the depthwise + pointwise student and a plain network eight times "
            "its size.** A report (real Food-11): the student reached 0.71010 on the test set, 5 "
            "to 7 points below the plain network, and 0.83801 after distillation. HW7 calls the "
            "student a *low-rank approximation*. It is one: every output $o$ reads channel $i$ "
            "through the same $k \\times k$ filter $d_i$, times a number $p_{o,i}$. So the part "
            "of the kernel for channel $i$ has rank 1:"
        )
    )
    st.latex(r"W_{o,i} = p_{o,i}\, d_i")
    if text := separable_text(at):
        st.markdown(text)
    big, small = (plain(whole, model) for model in (BIG, SMALL))
    if big is None or small is None:
        st.caption(
            _("{big} and {small} are compared here once both are trained: {command}").format(
                big=BIG, small=SMALL, command="python -m core reproduce"
            )
        )
        return
    for entry in (big, small):
        st.markdown(
            _("- **{name}** (seed {seed}): {params} parameters, {macs} MACs; {score}").format(
                name=name_of(entry),
                seed=entry.seed,
                params=numbers.count(entry.params),
                macs=numbers.count(entry.macs),
                score=accuracy_line(entry),
            )
        )
    st.caption(_("Results compares the two on the same photographs, with an interval."))


def separable_text(at: Setting) -> str:
    """How much of this layer's own weights a depthwise + pointwise pair could keep; may be ""."""
    if at.curve is None or at.curve.shape.kernel == (1, 1):
        return ""
    name = at.curve.shape.name
    stored = at.grid and at.grid.spectrum(name, at.curve.form)
    share = stored.separable if stored else None
    if share is None:
        share = separable_energy(at.layers.parts.weight(name))
    return _(
        "The best depthwise + pointwise pair would keep {share} of the energy of {layer}'s "
        "weights. That loses too much: such a network is *trained* in that form from the start."
    ).format(layer=name, share=numbers.percent(share))


def plain(whole: Sequence[Checkpoint], model: str) -> Checkpoint | None:
    """A checkpoint of that model from scratch, of the lowest seed."""
    trained = [entry for entry in whole if entry.model == model and role_of(entry) == "scratch"]
    return min(trained, key=lambda entry: (entry.recipe != "scratch", entry.seed), default=None)


def _quiz(curve: LayerCurve | None) -> list[quiz.Question]:
    """On this layer: the rank that still saves, the full rank, a quarter of the ranks."""
    if curve is None:
        return []
    full, params, some = curve.full, curve.shape.params, max(1, curve.full // 4)
    kept = float(curve.kept[some - 1])
    return [
        quiz.Question(
            "saves",
            _("Up to which rank of {full} do the factors have fewer parameters than the layer?")
            .format(full=numbers.count(full)),
            *quiz.among(curve.break_even, (full, full // 2, curve.rank_for(0.9)), numbers.count),
            _("Every further rank adds a row to one factor and a column to the other; at the full "
              "rank they have more parameters than the layer."),
        ),
        quiz.Question(
            "full",
            _("The layer has {n} parameters. How many do its factors have at the full rank?")
            .format(n=numbers.count(params)),
            *quiz.among(int(curve.params[-1]), (params, params // 2, 4 * params), numbers.count),
            _("At the full rank nothing is lost, and nothing is saved."),
        ),
        quiz.Question(
            "quarter",
            _("What share of the energy do the first {some} of {full} ranks keep?").format(
                some=numbers.count(some), full=numbers.count(full)
            ),
            *quiz.among(kept, (some / full, 1 - kept, 0.5), numbers.share),
            _("The singular values are sorted, so the first ranks keep the most energy."),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
