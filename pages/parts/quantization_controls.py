"""The quantisation page's guess and controls: which network, which scheme, which curves."""

from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.charts.quantization import Measured, scheme_title
from core.charts.quantization_words import bits_text
from core.charts.theme import role_of, role_title
from core.checkpoints import WEIGHTS, Checkpoint, checkpoint_tensors
from core.compression.quantize import SCHEMES, Scheme
from core.errors import CheckpointError
from core.measure.quantization_grid import QuantizationGrid
from core.words import _
from pages.parts import shelf
from pages.parts.linked import one_of

GUESSES = (8, 6, 5, 4, 3, 2)
SPEEDS = ("faster", "same", "slower")


class Setting(NamedTuple):
    """What the reader has set."""

    checkpoint: Checkpoint
    grid: QuantizationGrid | None
    scheme: Scheme

    @property
    def sha256(self) -> str:
        """Of the weights: part of every cache key."""
        return self.checkpoint.files[WEIGHTS].sha256


class Guess(NamedTuple):
    """What the reader expects; None where nothing was tapped."""

    bits: int | None
    speed: str | None


def speed_title(speed: str) -> str:
    """What a guess about time is called."""
    return {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")}[speed]


def predict_first() -> Guess:
    """Two taps before looking."""
    bits = st.pills(
        _("First, a guess: fewer and fewer bits for every weight. Where does it break?"),
        GUESSES,
        format_func=lambda n: _("at {bits}").format(bits=bits_text(n)),
        key="guess_bits",
    )
    speed = st.pills(
        _("And a network that really computes with 8-bit integers, on this processor, is ..."),
        SPEEDS,
        format_func=speed_title,
        key="guess_speed",
    )
    return Guess(bits, speed)


def setting(found: list[Checkpoint]) -> Setting:
    """The network and the scheme; both are part of the link."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        measured_first = sorted(found, key=lambda one: grid_of(one) is None)
        one = shelf.choose_one(_("Network"), measured_first, "network")
    with right:
        scheme = one_of(
            st.selectbox,
            _("Scheme"),
            {name: scheme_title(name) for name in SCHEMES},
            "scheme",
            default="tensor_minmax",
            help=_(
                "Where the levels lie. Min–max: evenly from the smallest weight to the largest "
                "(HW7). Symmetric: evenly around zero, which keeps its level. Per channel: every "
                "output channel has a grid of its own. k-means: the weights choose the levels."
            ),
        )
    return Setting(one, grid_of(one), scheme)


def grid_of(checkpoint: Checkpoint) -> QuantizationGrid | None:
    """The measured rows of a checkpoint, if they belong to its weights; damage is said."""
    try:
        state = QuantizationGrid.path(checkpoint.id).stat()
    except OSError:
        return None
    try:
        grid = _grid(
            checkpoint.id,
            str(QuantizationGrid.path(checkpoint.id)),
            state.st_mtime_ns,
            state.st_size,
        )
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None
    if grid is not None and grid.weights_sha256 != checkpoint.files[WEIGHTS].sha256:
        return None
    return grid


@st.cache_resource(max_entries=16, show_spinner=False)
def _grid(id: str, file: str, changed_ns: int, size: int) -> QuantizationGrid | None:
    del file, changed_ns, size  # only the key of the cache
    return QuantizationGrid.load(id)


def measured(found: list[Checkpoint]) -> list[Measured]:
    """The checkpoints that were measured, under short names where those tell them apart."""
    known = [(one, grid) for one in found if (grid := grid_of(one)) is not None]
    roles = [role_of(one.family, one.recipe) for one, _grid in known]
    return [
        Measured(role_title(role) if roles.count(role) == 1 else _(one.title), role, grid)
        for (one, grid), role in zip(known, roles, strict=True)
    ]


@st.cache_resource(max_entries=3, show_spinner=False)
def tensors(id: str, sha256: str) -> dict[str, NDArray[np.float32]]:
    """A checkpoint's parameters as arrays, shared by all sessions: read them, never write."""
    del sha256  # only the key of the cache
    return checkpoint_tensors(id)
