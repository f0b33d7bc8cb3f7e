"""The pruning page's guess and controls: which network, which method, how much."""

from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.charts.pruning import GUESSES, Measured, guess_title, method_title
from core.charts.theme import role_of, role_title
from core.checkpoints import WEIGHTS, Checkpoint, checkpoint_tensors
from core.compression.prune_select import (
    CHANNEL_METHODS,
    METHODS,
    ChannelGroup,
    Keep,
    Method,
    choose,
)
from core.errors import CheckpointError
from core.measure.pruning_grid import PruningGrid
from core.words import _
from pages.parts import shelf
from pages.parts.linked import one_of

SPEEDS = ("faster", "same", "slower")


class Setting(NamedTuple):
    """What the reader has set."""

    checkpoint: Checkpoint
    grid: PruningGrid | None
    method: Method
    ratio: float

    @property
    def sha256(self) -> str:
        """Of the weights: part of every cache key."""
        return self.checkpoint.files[WEIGHTS].sha256


class Guess(NamedTuple):
    """What the reader expects; None where nothing was tapped."""

    curve: str | None
    speed: str | None


def speed_title(speed: str) -> str:
    """What a guess about time is called."""
    return {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")}[speed]


def predict_first() -> Guess:
    """Two taps before looking."""
    curve = st.pills(
        _("First, a guess: as more and more weights become zero, how does accuracy fall?"),
        GUESSES,
        format_func=guess_title,
        key="guess_curve",
    )
    speed = st.pills(
        _("And with 90 % of the weights pruned, as in the homework, the network is ..."),
        SPEEDS,
        format_func=speed_title,
        key="guess_speed",
    )
    return Guess(curve, speed)


def setting(found: list[Checkpoint]) -> Setting:
    """The network under the knife, the method, the ratio; every control is part of the link."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        measured_first = sorted(found, key=lambda one: grid_of(one) is None)
        one = shelf.choose_one(_("Network"), measured_first, "network")
    with right:
        percent = st.slider(_("Pruning ratio, %"), 0, 100, 50, 5, key="ratio", bind="query-params")
    method = one_of(
        st.segmented_control,
        _("Method"),
        {name: method_title(name) for name in METHODS},
        "method",
        default="l1",
        required=True,
        help=_(
            "L1: the smallest weights go, in every layer alike (the homework) or wherever they "
            "are. Random is the control. The channel methods take whole channels: those with the "
            "smallest filters, or with the smallest BatchNorm scale (network slimming)."
        ),
    )
    return Setting(one, grid_of(one), method, percent / 100)


def grid_of(checkpoint: Checkpoint) -> PruningGrid | None:
    """The measured curves of a checkpoint, if they belong to its weights; damage is said."""
    try:
        state = PruningGrid.path(checkpoint.id).stat()
    except OSError:
        return None
    try:
        grid = _grid(
            checkpoint.id, str(PruningGrid.path(checkpoint.id)), state.st_mtime_ns, state.st_size
        )
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None
    if grid is not None and grid.weights_sha256 != checkpoint.files[WEIGHTS].sha256:
        return None
    return grid


@st.cache_resource(max_entries=16, show_spinner=False)
def _grid(id: str, file: str, changed_ns: int, size: int) -> PruningGrid | None:
    del file, changed_ns, size  # only the key of the cache
    return PruningGrid.load(id)


def measured(found: list[Checkpoint]) -> list[Measured]:
    """The checkpoints whose curves were measured, under short names where those tell them apart."""
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


@st.cache_resource(max_entries=12, show_spinner=False)
def chosen_masks(
    id: str, sha256: str, method: Method, ratio: float, _groups: tuple[ChannelGroup, ...]
) -> Keep:
    """The masks of a method at a ratio, shared; `_groups` follow from the checkpoint."""
    return choose(tensors(id, sha256), method, ratio, _groups)


def masks(at: Setting, ratio: float | None = None) -> Keep | None:
    """The masks of this setting (or at another ratio); None, and said, where groups are missing."""
    groups = at.grid.groups if at.grid else ()
    if at.method in CHANNEL_METHODS and not groups:
        st.info(
            _(
                "Which channels hang together is found by tracing the network, together with its "
                "curves. Make them with:"
            ),
            icon=":material/account_tree:",
        )
        st.code(f"python -m core prune-grid {at.checkpoint.id}", language="bash")
        return None
    return chosen_masks(
        at.checkpoint.id, at.sha256, at.method, at.ratio if ratio is None else ratio, groups
    )
