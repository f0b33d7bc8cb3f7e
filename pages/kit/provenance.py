"""Where the numbers come from: one line under them, everything else one click away."""

from collections.abc import Sequence
from typing import Protocol

import streamlit as st

from core.charts import numbers
from core.checkpoints import Checkpoint, DataInfo
from core.checkpoints.by_recipe import Collected, own_data
from core.collection.latency import LatencyTable
from core.errors import CheckpointError
from core.i18n import _
from core.provenance import commit_text
from pages.kit import frame
from pages.kit.networks import name_of
from pages.kit.url_state import one_of

MOST_LISTED = 4


class Measured(Protocol):
    """What a cached table says of its making."""

    @property
    def date(self) -> str:
        """Year, month, day."""

    @property
    def device(self) -> str:
        """The processor."""

    @property
    def commit(self) -> str:
        """The code that measured."""

    @property
    def versions(self) -> dict[str, str]:
        """Of what can change a number."""


def data_name(data: DataInfo) -> str:
    """The data set, with "not Food-11" said where it is not."""
    if data.is_food11 or "not food-11" in data.name.lower():
        return _(data.name)
    return _("{name} (not Food-11)").format(name=_(data.name))


def provenance(checkpoints: Sequence[Checkpoint]) -> None:
    """A line on what was measured on what, and a box with every detail of each checkpoint."""
    if not checkpoints:
        return
    sets: dict[str, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        sets.setdefault(checkpoint.data.fingerprint, []).append(checkpoint)
    lines = []
    for of_set in sets.values():
        name = data_name(own_data(of_set))
        counts = sorted({checkpoint.test.n for checkpoint in of_set if checkpoint.test})
        lines.append(
            _("{n} test photographs of {data}").format(
                n=" / ".join(map(numbers.count, counts)), data=name
            )
            if counts
            else name
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_("Accuracies measured on {data}.").format(data=_("; ").join(lines)))
        _sources(checkpoints)


@frame.section
def _sources(checkpoints: Sequence[Checkpoint]) -> None:
    """The box; a touch in it redraws it alone."""
    with st.popover(_("Sources"), icon=":material/fact_check:"):
        for checkpoint in _some(checkpoints):
            st.markdown(f"**{name_of(checkpoint)}**")
            st.markdown("\n".join(f"- {line}" for line in _details(checkpoint)))
            entry = st.expander(
                _("Its manifest entry, configuration and all"),
                on_change="rerun",
                key=f"entry-{checkpoint.id}",
            )
            if entry.open:
                entry.json(checkpoint.model_dump(mode="json"), expanded=False)


def _some(checkpoints: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """A few are listed; of many, the reader picks one."""
    if len(checkpoints) <= MOST_LISTED:
        return checkpoints
    by_id = {checkpoint.id: checkpoint for checkpoint in checkpoints}
    titles = {id: name_of(checkpoint) for id, checkpoint in by_id.items()}
    return [by_id[one_of(st.selectbox, _("Network"), titles, "provenance", checkpoints[0].id)]]


def measured_line(what: str, where: "Measured") -> None:
    """Where and when a table of measurements was made; `what` names it."""
    titles = {"system": _("system"), "cores": _("cores")}
    st.caption(
        _("{what}: measured {date} on {device}, commit {commit}, {versions}.").format(
            what=what,
            date=where.date,
            device=where.device,
            commit=commit_text(where.commit, 10),
            versions=_(", ").join(
                f"{titles.get(name, name)} {version}" for name, version in where.versions.items()
            ),
        )
    )


def accuracy_line(checkpoint: Checkpoint) -> str:
    """ "76.6 % right (74.4 to 78.7 %, n = 1,492)", or that it was not measured."""
    test = checkpoint.test
    if test is None:
        return _("test accuracy not measured; python -m core evaluate {id} does it").format(
            id=checkpoint.id
        )
    return _("{accuracy} right on the test split (95 % interval {interval}, n = {n})").format(
        accuracy=numbers.percent(test.accuracy, test.n),
        interval=numbers.interval(*test.ci95, test.n),
        n=numbers.count(test.n),
    )


def accuracy_lines(checkpoints: Sequence[Checkpoint]) -> list[tuple[Checkpoint, str]]:
    """`accuracy_line` of each; with its photographs, where those are not the same for all."""
    several = len({checkpoint.data.fingerprint for checkpoint in checkpoints}) > 1
    return [
        (
            checkpoint,
            _("{text}, {basis}").format(
                text=accuracy_line(checkpoint), basis=data_name(checkpoint.data)
            )
            if several
            else accuracy_line(checkpoint),
        )
        for checkpoint in checkpoints
    ]


def _details(checkpoint: Checkpoint) -> list[str]:
    lines = [
        _("checkpoint `{id}`, recipe {recipe}").format(id=checkpoint.id, recipe=checkpoint.recipe),
        accuracy_line(checkpoint),
        _("data: {data}, fingerprint `{mark}`").format(
            data=data_name(checkpoint.data), mark=checkpoint.data.fingerprint
        ),
        _("trained on {n} photographs at {px} px, {epochs} epochs, seed {seed}").format(
            n=numbers.count(checkpoint.data.training),
            px=checkpoint.input_px,
            epochs=checkpoint.epochs,
            seed=checkpoint.seed,
        ),
        _("on {date}, {device}, {minutes} minutes, commit {commit}").format(
            date=checkpoint.date[:10],
            device=checkpoint.device,
            minutes=numbers.count(round(checkpoint.wall_s / 60)),
            commit=commit_text(checkpoint.commit, 10),
        ),
    ]
    if checkpoint.config.get("start_from"):
        lines.insert(1, _("started from `{id}`").format(id=checkpoint.config["start_from"]))
    if checkpoint.teacher:
        lines.insert(1, _("taught by `{id}`").format(id=checkpoint.teacher))
    return lines


def not_measured(text: str, command: str) -> None:
    """Say that something was not measured yet, and the command that measures it."""
    st.info(text, icon=":material/query_stats:")
    st.code(command, language="bash")


def latency() -> LatencyTable | None:
    """The table of times; None where there is none. A damaged file is said."""
    try:
        return LatencyTable.now()
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None


def explain_missing_times() -> None:
    """Say that times are missing and which command measures them."""
    st.info(
        _("Some networks are not timed yet. On a machine that does nothing else, run:"),
        icon=":material/timer_off:",
    )
    st.code(LatencyTable.command, language="bash")


def latency_provenance(times: LatencyTable | None) -> None:
    """Where and how the times were measured."""
    if times is None:
        return
    st.caption(
        _(
            "Times: one picture, {engine} on {device}, {threads} thread, median of {rounds} rounds "
            "after {warmup} to warm up, all networks taking turns, {date}, commit {commit}."
        ).format(
            engine=times.engine,
            device=times.device,
            threads=times.threads,
            rounds=times.rounds,
            warmup=times.warmup,
            date=times.date,
            commit=commit_text(times.commit, 10),
        )
    )


def measured_elsewhere(groups: Sequence[Collected]) -> None:
    """Say which they are, how often right, on what; nothing where there are none."""
    if not groups:
        return
    lines = [
        _("*{title}*: {accuracy} of {n} test photographs of {data}").format(
            title=_(group.first.title),
            accuracy=numbers.percent(group.interval()[0], group.n),
            n=numbers.count(group.n),
            data=data_name(group.first.data),
        )
        for group in groups
    ]
    st.caption(
        _("Not shown, tested on other photographs: {networks}.").format(
            networks=_("; ").join(lines)
        )
    )
