"""The server's queue of trainings as a page meets it: who visits, which photographs, what a run is
called. Nothing here waits: the queue is only looked at."""

import os
import re
import uuid
from collections.abc import Sequence

import streamlit as st

from core.charts import training as charts
from core.charts.theme import RoleKey, glyph, role_of
from core.checkpoints import Checkpoint
from core.data.dreams import MARK, TRAIN_PX, dreams_available, dreams_dir, dreams_mark, unpack
from core.data.find import Index, find_food11
from core.errors import DataError, UserError
from core.models.registry import get
from core.places import runs_dir
from core.training.config import TrainConfig
from core.training.jobs import JobQueue
from core.training.jobs_entry import Job, recipe_of
from core.words import _
from pages.parts import shelf, training_link

_REMEMBER = """
export default function ({ setStateValue, data }) {
  const key = "small-plates-visitor";
  let id = "";
  try {
    id = localStorage.getItem(key) || "";
    if (!/^[0-9a-f]{32}$/.test(id)) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      id = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
      localStorage.setItem(key, id);
    }
  } catch (refused) {
    return; // a browser that keeps nothing: this tab alone is known
  }
  if (data.known !== id) setStateValue("id", id);
}
"""
_TOLD = "visitor"
_remember = st.components.v2.component("small_plates_visitor", js=_REMEMBER)


def visitor() -> str:
    """The secret name of this browser, so that it finds its runs again after its tab was closed.

    It is drawn at random and kept by the browser; a browser that keeps nothing is known by its tab.
    The page that asks for it calls `remember` at its end.
    """
    known: str = st.session_state.setdefault("visitor_id", uuid.uuid4().hex)
    return known


def remember() -> None:
    """Let the browser keep the visitor's name, or say the one that it kept.

    The last call of a page: what the browser says starts a run anew, and by then all controls have
    been drawn.
    """
    st.html("<style>.st-key-visitor_place {display: none}</style>")
    with st.container(key="visitor_place"):
        _remember(key=_TOLD, data={"known": visitor()}, on_id_change=_recognise)


def _recognise() -> None:
    """The browser has said a name: it counts before the page is drawn again."""
    st.session_state[training_link.ANSWERED] = True
    id = st.session_state[_TOLD].get("id")
    if isinstance(id, str) and re.fullmatch(r"[0-9a-f]{32}", id):
        st.session_state["visitor_id"] = id


def queue() -> JobQueue:
    """The queue over this machine's runs, shared by all sessions."""
    return _queue(str(runs_dir()))


@st.cache_resource(show_spinner=False)
def _queue(root: str) -> JobQueue:
    del root  # only the key of the cache
    return JobQueue()


def photographs() -> Index | None:
    """The local copy, looked up anew every minute, else the shipped dreams (`Index.is_dreamed`);
    None where there are neither (`explain_missing`)."""
    try:
        return _index(os.environ.get("FOOD11_ROOT"))
    except DataError:
        return _dreams(str(dreams_dir()), dreams_mark()) if dreams_available() else None


@st.cache_resource(ttl=60, max_entries=2, show_spinner=False)
def _index(root: str | None) -> Index:
    del root  # only the key of the cache: find_food11 reads the variable itself
    return find_food11()


@st.cache_resource(ttl=600, max_entries=2, show_spinner=False)
def _dreams(folder: str, mark: str) -> Index | None:
    del folder, mark  # only the key of the cache
    try:
        return find_food11(unpack())
    except DataError:
        return None


def explain_dreams(index: Index) -> None:
    """Say what a training learns from where no photograph is here, or those here are refused."""
    if named := os.environ.get("FOOD11_ROOT"):
        try:
            find_food11()
        except DataError as error:
            st.warning(
                _("The photographs in {folder} are not used. {why}").format(
                    folder=named, why=error
                ),
                icon=":material/rule_folder:",
            )
    n, px = f"{int(index.class_counts('training').sum()):,}", TRAIN_PX
    st.info(
        _(
            "There are no photographs on this machine. A training here learns from {n} pictures "
            "of {px} px instead, each **{mark}**. Its scores are over dreams, too: they say little "
            "about real food. Where a copy of Food-11 is in place, it learns from photographs."
        ).format(n=n, mark=MARK(), px=px),
        icon=":material/bedtime:",
    )


def explain_missing() -> None:
    """Say why no training can start, and how to get photographs."""
    try:
        find_food11()
    except UserError as error:
        st.info(
            _("Training needs photographs, and there are none on this machine. {why}").format(
                why=error
            ),
            icon=":material/photo_library:",
        )
    st.code("python -m core data fetch\nexport FOOD11_ROOT=/path/to/food11", language="bash")


def short_title(job: Job, among: Sequence[Job] = ()) -> str:
    """A run's name, short enough for the end of a curve; told apart from others of that name."""
    config = job.config
    kind = {
        "distilled": _("distilled"),
        "imagenet": _("from ImageNet"),
        "finetuned": _("fine-tuned"),
    }.get(recipe_of(config), _("from scratch"))
    name = f"{get(config.model).slug} {kind}, s{config.seed}"
    alike = [one for one in among if one.id != job.id and short_title(one) == name]
    return f"{name} #{job.id[-4:]}" if alike else name


def marked_title(job: Job, among: Sequence[Job] = ()) -> str:
    """`short_title` after the mark of the run's role."""
    return f"{glyph(role(job.config))} {short_title(job, among)}"


def role(config: TrainConfig) -> RoleKey:
    """What colour and mark a run has."""
    return role_of(get(config.model).family, recipe_of(config))


def curve(job: Job, among: Sequence[Job]) -> charts.Curve:
    """A run as the charts draw it; what all their networks share is left out of the names."""
    title = short_title(job, among)
    slugs = {get(one.config.model).slug for one in among}
    if len(slugs) == 1:
        title = title.removeprefix(slugs.pop()).strip()
    return charts.Curve(
        title,
        role(job.config),
        job.run.metrics(),
        job.config.alpha,
        bool(job.config.teacher),
    )


def checkpoint_of(job: Job) -> Checkpoint | None:
    """The checkpoint a finished run became, if it could be published."""
    return shelf.own().get(job.id)
