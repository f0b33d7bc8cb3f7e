"""The shipped checkpoints as a page meets them: all, some, or none with words on how to get one."""

import weakref
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.charts.names import CHAR_PX, menu_versions, parts_of, title_of, width_px
from core.charts.theme import RoleKey, glyph, role_of, role_title
from core.checkpoints import Checkpoint, checkpoint_tensors, listing, own_dir
from core.checkpoints.by_recipe import collect, is_trial, on_one_set
from core.errors import CheckpointError, UserError
from core.i18n import _
from core.results import CheckpointRows
from pages.kit import url_state
from pages.kit.figure import kept
from pages.kit.url_state import one_of, several_of, toggle

if TYPE_CHECKING:  # it costs ONNX, which most pages do without
    from core.export.browser import BrowserFormat

Rows = TypeVar("Rows", bound=CheckpointRows[Any])
MOST = 6
"""Networks to compare at once."""
MENU_PX = 32 * CHAR_PX
"""The longest name that a menu beside a picture shows whole on a laptop, as charts count it."""


def checkpoints() -> list[Checkpoint]:
    """What the manifest lists, teachers first, then by size; what cannot be read is said.

    Runs that were trained on this machine are among them where the session has finished one, or
    came by a link that names one: a class's forty runs would bury everything else.
    """
    listed = [*_listed().values(), *_own()]
    return sorted(
        listed,
        key=lambda checkpoint: (checkpoint.family != "teacher", -checkpoint.params, checkpoint.id),
    )


def _listed(
    folder: Callable[[], Path] | None = None, wanted: Iterable[str] | None = None
) -> dict[str, Checkpoint]:
    """What a manifest lists, or those of it that are wanted; says what of that cannot be read."""
    try:
        there = listing(folder() if folder is not None else None)
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        return {}
    ids = [*there.checkpoints, *there.unreadable] if wanted is None else list(dict.fromkeys(wanted))
    if lost := [id for id in ids if id in there.unreadable]:
        st.warning(
            _("Left out, since the manifest cannot be read there: {ids} ({why}).").format(
                ids=_(", ").join(lost), why=there.unreadable[lost[0]]
            ),
            icon=":material/rule:",
        )
    return {id: there.checkpoints[id] for id in ids if id in there.checkpoints}


def _own() -> list[Checkpoint]:
    keys = ("networks", "network", "student", "teacher")
    named = [id for key in keys for id in url_state.texts(key)]
    brought = st.session_state.get("session_networks")
    wanted = [
        *st.session_state.get("own_checkpoints", ()),
        *(brought.ids if brought else ()),
        *named,
    ]
    return list(_listed(own_dir, wanted).values()) if wanted else []


class _OfSession:
    """Ids of networks that are kept as long as the session's memory, which holds this object."""

    def __init__(self, forget: Callable[[str], None]) -> None:
        self.ids: list[str] = []
        self.end = weakref.finalize(self, _forget_all, self.ids, forget)
        _of_sessions.add(self)


_of_sessions: "weakref.WeakSet[_OfSession]" = weakref.WeakSet()


def end_sessions() -> None:
    """The server ends: forget all sessions' networks. A signal leaves no time for `atexit`."""
    for session in list(_of_sessions):
        session.end()


def _forget_all(ids: list[str], forget: Callable[[str], None]) -> None:
    for id in ids:
        with suppress(UserError, OSError):  # what is left is removed by its age
            forget(id)


def of_session(forget: Callable[[str], None]) -> list[str]:
    """Ids of networks for this session alone: a list to add to. `forget` removes one at its end."""
    if "session_networks" not in st.session_state:
        st.session_state["session_networks"] = _OfSession(forget)
    kept: _OfSession = st.session_state["session_networks"]
    return kept.ids


def own() -> dict[str, Checkpoint]:
    """Every network that was trained on this machine, by its id, as far as they can be read."""
    try:
        return listing(own_dir()).checkpoints
    except UserError:
        return {}


def explain_empty() -> None:
    """Say that no checkpoint is here and how to get one."""
    st.info(
        _(
            "No trained network is here yet. The repository ships them in its `pretrained` folder; "
            "to train them yourself, put a copy of Food-11 in place and run these two lines:"
        ),
        icon=":material/inventory_2:",
    )
    st.code("python -m core data fetch\npython -m core reproduce", language="bash")


def name_of(checkpoint: Checkpoint, title: str = "") -> str:
    """A checkpoint's title, or another one, after the mark of its role: what headings show.

    Seed 0 stands for its recipe; of the others the seed is said.
    """
    name = f"{glyph(role_of(checkpoint))} {title or title_of(checkpoint)}"
    if checkpoint.seed == 0:
        return name
    return _("{name}, seed {seed}").format(name=name, seed=checkpoint.seed)


def menu_names(listed: Iterable[Checkpoint]) -> dict[str, str]:
    """What a menu calls networks, by id: the longest short name that fits, as a menu beside a
    picture is narrow and cuts off the end, which tells networks apart; the whole title where two
    would be called alike, and of a visitor's own ones, which their runs' numbers tell apart.
    """
    networks = tuple(listed)
    return kept(partial(_menu_names, networks), "menu names", of=networks)


def _menu_names(listed: Sequence[Checkpoint]) -> dict[str, str]:
    by_id = {checkpoint.id: checkpoint for checkpoint in listed}
    shipped: Container[str] = ()
    with suppress(UserError):  # `checkpoints` says what is wrong
        shipped = listing().checkpoints

    def name(each: Checkpoint) -> str:
        if each.id not in shipped:
            return name_of(each)
        texts = menu_versions(each.model, each.recipe, title_of(each))
        names = [name_of(each, text) for text in texts]
        return next((text for text in names if width_px(text) <= MENU_PX), names[-1])

    short = {id: name(each) for id, each in by_id.items()}
    taken = Counter(short.values())
    return {id: name if taken[name] == 1 else name_of(by_id[id]) for id, name in short.items()}


def weights_titles() -> "dict[BrowserFormat, str]":
    """The files that run in a browser, and what a reader calls their weights."""
    return {"safetensors": _("As trained: 16 or 32 bits"), "hw7-8bit": _("8 bits")}


def timed_title(about: str) -> str:
    """What a reader calls a file that a room has times of, from its network's id and its format."""
    id, _space, weights = about.partition(" ")
    network = next((each for each in checkpoints() if each.id == id), None)
    title = next((t for format, t in weights_titles().items() if format == weights), weights)
    return _("{text}, {basis}").format(text=name_of(network) if network else id, basis=title)


def teachers(listed: Iterable[Checkpoint]) -> list[Checkpoint]:
    """The trained teachers, the best on the validation photographs first; no versions of one."""
    known = [
        checkpoint
        for checkpoint in listed
        if checkpoint.family == "teacher" and checkpoint.derived_from is None
    ]
    return sorted(
        known,
        key=lambda checkpoint: -checkpoint.validation.accuracy if checkpoint.validation else 1.0,
    )


def best_student(listed: Iterable[Checkpoint]) -> Checkpoint | None:
    """The trained student that is right most often on the test photographs, by its recipe's mean.

    Short trials do not count; all are measured on the same photographs. None where there is none.
    """
    groups = [
        group
        for group in on_one_set(collect(listed))[0]
        if group.is_trained and group.first.family != "teacher" and not is_trial(group.first.recipe)
    ]
    best = max(groups, key=lambda group: sum(group.accuracies) / len(group.seeds), default=None)
    return best.first if best else None


def starters(listed: Sequence[Checkpoint]) -> list[str]:
    """Three ids to begin with, if shipped: the best teacher, and one student twice: from scratch,
    and taught by that teacher."""
    teacher = next(iter(teachers(listed)), None)
    by_role: dict[str, list[Checkpoint]] = {"scratch": [], "distilled": []}
    for checkpoint in listed:
        by_role.setdefault(role_of(checkpoint), []).append(checkpoint)
    taught = [
        checkpoint
        for checkpoint in by_role["distilled"]
        if teacher and checkpoint.teacher == teacher.id
    ]
    distilled = next(iter(taught or by_role["distilled"]), None)
    twins = [
        checkpoint
        for checkpoint in by_role["scratch"]
        if distilled and checkpoint.model == distilled.model
    ]
    twins.sort(
        key=lambda checkpoint: checkpoint.recipe != "scratch"
    )  # not the one that saw other photographs
    scratch = next(iter(twins or by_role["scratch"]), None)
    picked = [checkpoint.id for checkpoint in (teacher, scratch, distilled) if checkpoint]
    return picked or [checkpoint.id for checkpoint in listed[:2]]


def choose(
    listed: Sequence[Checkpoint], default: Sequence[str], key: str = "networks"
) -> list[Checkpoint]:
    """A menu of checkpoints to compare, kept in the link; at least the chosen, maybe none.

    `default`: ids of those it begins with.
    """
    by_id = {checkpoint.id: checkpoint for checkpoint in listed}
    chosen = several_of(
        st.multiselect,
        _("Networks"),
        menu_names(listed),
        key,
        default=default,
        most=MOST,
        max_selections=MOST,
        placeholder=_("Choose networks"),
    )
    return [by_id[id] for id in chosen]


def choose_one(
    label: str, listed: Iterable[Checkpoint], key: str, first: Container[str] = ()
) -> Checkpoint:
    """A menu of which one checkpoint is chosen (the first to begin with), kept in the link.

    `first`: ids of those that the menu offers at once; the others come with "More networks", which
    is on where the link names one of them. Without any such, all are offered.
    """
    by_id = {checkpoint.id: checkpoint for checkpoint in listed}
    place = st.container()
    few = [id for id in by_id if id in first]
    if few and len(few) < len(by_id):
        named = url_state.current(key, url_state.choice(list(by_id)), few[0])
        if not toggle(_("More networks"), f"more_{key}", default=named not in few):
            by_id = {id: by_id[id] for id in few}
    titles = menu_names(by_id.values())
    return by_id[one_of(place.selectbox, label, titles, key, default=next(iter(by_id)))]


def measured_rows(kind: type[Rows], listed: Iterable[Checkpoint]) -> dict[str, Rows]:
    """The measured rows of those checkpoints that have some, by id, in the order given.

    Rows of other weights than these count as none. Files that cannot be read are said.
    """
    rows: dict[str, Rows] = {}
    names = kind.names()
    for checkpoint in listed:
        try:
            if checkpoint.id in names and (measured := kind.of_checkpoint(checkpoint)) is not None:
                rows[checkpoint.id] = measured
        except CheckpointError as error:
            st.error(str(error), icon=":material/error:")
    return rows


def by_title(
    listed: Iterable[Checkpoint], rows: dict[str, Rows]
) -> list[tuple[str, RoleKey, Rows]]:
    """Title, role and rows of each measured checkpoint: the shortest title that no other has, of
    its role's, its own up to the comma, and its own."""
    measured = [checkpoint for checkpoint in listed if checkpoint.id in rows]
    offered = [
        (
            role_title(role_of(checkpoint)),
            parts_of(title_of(checkpoint))[0],
            title_of(checkpoint),
        )
        for checkpoint in measured
    ]
    every = [title for titles in offered for title in titles[:2]]
    return [
        (
            next((t for t in titles[:2] if every.count(t) == 1), titles[2]),
            role_of(checkpoint),
            rows[checkpoint.id],
        )
        for checkpoint, titles in zip(measured, offered, strict=True)
    ]


@st.cache_resource(max_entries=2, show_spinner=False)  # a ResNet-18 takes 45 MB
def tensors(id: str, sha256: str) -> dict[str, NDArray[np.float32]]:
    """A checkpoint's parameters as arrays, shared by all sessions: read them, never write.

    `sha256`: of its weights, so that a newly published network is read anew. Raises
    CheckpointError.
    """
    del sha256  # only the key of the cache
    return checkpoint_tensors(id)
