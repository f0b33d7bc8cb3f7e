"""The low-rank page's guesses and controls, and what it keeps: layers, decompositions, curves."""

from typing import NamedTuple

import streamlit as st

from core.charts.low_rank import form_title, layer_title, method_title
from core.checkpoints import WEIGHTS, Checkpoint
from core.compression.lowrank_curve import LayerCurve, layer_curve
from core.compression.lowrank_plan import Decompositions
from core.compression.lowrank_shapes import Form, LayerShape, Method
from core.errors import CheckpointError
from core.measure.lowrank_grid import ENERGIES, MODELS, LowRankGrid, LowRankRow, RowKey
from core.serving.lowrank import checkpoint_layers
from core.words import _
from pages.parts import shelf
from pages.parts.linked import one_of

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
    ranks = st.pills(
        _("First, a guess: how many of a trained layer's ranks hold 90 % of its energy?"),
        RANK_GUESSES,
        format_func=rank_guess_title,
        key="guess_ranks",
    )
    speed = st.pills(
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
        one = shelf.choose_one(_("Network"), found, "network")
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
    percent = st.slider(
        _("Energy that every layer keeps, %"), 30, 100, 70, 5, key="energy", bind="query-params"
    )
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


def grid_of(checkpoint: Checkpoint) -> LowRankGrid | None:
    """The measured curves of a checkpoint, if they belong to its weights; damage is said."""
    path = LowRankGrid.path(checkpoint.id)
    try:
        state = path.stat()
    except OSError:
        return None
    try:
        grid = _grid(checkpoint.id, str(path), state.st_mtime_ns, state.st_size)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None
    if grid is not None and grid.weights_sha256 != checkpoint.files[WEIGHTS].sha256:
        return None
    return grid


@st.cache_resource(max_entries=16, show_spinner=False)
def _grid(id: str, file: str, changed_ns: int, size: int) -> LowRankGrid | None:
    del file, changed_ns, size  # only the key of the cache
    return LowRankGrid.load(id)
