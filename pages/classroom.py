"""Class: a lecturer opens a room, pupils join by its code; what the class guesses and measures."""

from collections import Counter
from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple

import streamlit as st

from core.charts import numbers
from core.classroom import Point, Tally
from core.classroom.chart import Axis, points_chart
from core.i18n import _, bracketed, ngettext
from core.low_rank.rows import LowRankGrid
from core.pruning.rows import PruningGrid
from core.quantization.rows import QuantizationGrid
from core.stats import Score
from pages.kit import figure, frame, networks, room, stage, url_state
from pages.kit.room import Seat
from pages.kit.visitor import visitor

KEY = "class"


class Curve(NamedTuple):
    """Which curve points lie on."""

    page: str
    network: str
    method: str


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    visitor()  # the browser has said its name when a room is opened, and leads it after a reload
    place = room.seat()
    if place is None:
        st.markdown(
            _(
                "In a room, every guess on every page is counted for the whole class. Nobody gives "
                "a name, and the room is forgotten after a day."
            )
        )
        enter()
    elif place.leads:
        lead(place)
        guesses()
    else:
        st.markdown(
            _("You are in. Guess on any page; what the class guesses stands here, too.")
            if place.follows
            else _("You are in, and go your own way: guess on any page.")
        )
        guesses()
    frame.foot(KEY)


@frame.section
def enter() -> None:
    """Two doors: for a pupil who has a code, for a lecturer who opens a room."""
    pupil, lecturer = st.columns(2, gap="large")
    with pupil, st.form("room_join", border=False):
        st.header(_("Join a room"))
        code = st.text_input(_("Code of the room"), max_chars=20, key="room_code")
        if st.form_submit_button(_("Join"), type="primary"):
            url_state.say(room.CODE, code.strip() or "?")
            st.rerun()
    with lecturer:
        st.header(_("Open a room"))
        st.markdown(
            _(
                "You get a code and a QR code for your pupils. You see their guesses come in, and "
                "show the answers when you want."
            )
        )
        if st.button(_("Open a room"), icon=":material/groups:", key="room_make"):
            room.create()
            st.rerun()
        stage.switch()


@frame.section
def lead(place: Seat) -> None:
    """The code, and what the lecturer sets."""
    controls, picture = st.columns([1, 1.4], gap="large")
    address = room.address()
    with picture:
        code = figure.kept(lambda: room.qr(address), "room qr", address)
        st.html(
            "<div style='display:flex; flex-wrap:wrap; gap:1.5rem; align-items:center'>"
            f"<div style='width:14rem; max-width:100%'>{code}</div>"
            f"<div><div style='font-size:3.2rem; font-weight:700; letter-spacing:0.15em'>"
            f"{place.code}</div><div>{escape(address)}</div></div></div>"
        )
        if "//localhost" in address or "//127." in address:
            st.caption(
                _(
                    "Only this computer knows this address. For phones, start the app with "
                    "--server.address 0.0.0.0 and open it under the name of this computer."
                )
            )
    with controls:
        st.markdown(_("Pupils scan the picture, or open the address and type the code."))
        holds = st.toggle(
            _("Hold answers until I show them"), value=place.room.holds, key="room_holds"
        )
        if holds != place.room.holds:
            room.rooms().hold(place.code, place.secret, holds)
            st.rerun()
        stage.switch()
        private_link(place)
        with st.popover(_("End this room"), icon=":material/delete:"):
            st.markdown(_("All guesses of this room are deleted now."))
            if st.button(_("Delete the room"), type="primary", key="room_end"):
                room.rooms().end(place.code, place.secret)
                room.leave()
                st.rerun()


def private_link(place: Seat) -> None:
    """A link by which the lecturer leads from another device, too; made when asked for."""
    popover = st.popover(
        _("Private link"), icon=":material/key:", key="room_private", on_change="rerun"
    )
    if not popover.open:
        st.session_state.pop("room_token", None)
        return
    if "room_token" not in st.session_state:
        token = room.rooms().new_link(place.code, place.secret)
        st.session_state["room_token"] = token
    with popover:
        st.markdown(
            _(
                "Who opens it leads this room: keep it to yourself. An earlier link stops working "
                "when you open this box."
            )
        )
        link = f"{room.address()}&{room.TOKEN}={st.session_state['room_token']}"
        st.code(link, language=None, wrap_lines=True)


@frame.section
def guesses() -> None:
    """What the class has guessed on all pages, the newest question first; what it measured."""
    place = room.seat()
    if place is None:
        return
    pulse = room.rooms().pulse(place.room.door)
    tallies = room.rooms().tallies(place.code, place.secret)
    st.header(_("Guesses"))
    if not tallies:
        st.markdown(_("Nobody has guessed yet."))
    for tally in tallies:
        question(place, tally)
    points(place)
    room.devices()
    room.listen("room_guesses", pulse)


def question(place: Seat, tally: Tally) -> None:
    """One question: where it stands, what was guessed as far as this visitor may see it."""
    page = next(
        (entry for entry in frame.entries() if entry.key == tally.question.place.page), None
    )
    with st.container(border=True):
        about = tally.question.place.about
        st.markdown(f"**{tally.question.text}**" + (f"  \n:gray[{about}]" if about else ""))
        if place.leads or tally.is_open or (tally.own is not None and not place.room.holds):
            room.bars(tally)
        else:
            st.caption(
                _("The lecturer shows the answer to all.")
                if tally.own is not None
                else _("You have not guessed yet.")
            )
        with st.container(horizontal=True):
            if page is not None:
                frame.page_link(page, page.name)
            if place.leads:
                room.open_button(tally)


def points(place: Seat) -> None:
    """What the class had measured with "Run it here": each point once, over the cached curve.

    The curve answers a guess: pupils see it where answers are not held, the lecturer when he wants.
    """
    found = room.rooms().points(place.code, place.secret)
    counts = Counter(Curve(*point.spot[:3]) for point in found)
    if not counts:
        return
    st.header(_("Measured by the class"))
    curves = sorted(counts, key=lambda each: (-counts[each], each))
    at = st.selectbox(
        _("Curve"),
        curves,
        format_func=lambda each: bracketed(title(each), str(counts[each])),
        key="room_curve",
    )
    shows = not place.room.holds
    if place.leads:
        shows = st.toggle(_("Show what was measured before"), value=shows, key="room_before")
    drawn = [point for point in found if Curve(*point.spot[:3]) == at]
    before = cached(at) if shows else []
    axis = axis_of(at.page)
    figure.show(points_chart(drawn, before, axis), in_words(drawn, axis), key="room-points")
    stars = ngettext(
        "Star: a point of the class, with its 95 % interval.",
        "Stars: {n} points of the class, each with its 95 % interval.",
        len(drawn),
    ).format(n=len(drawn))
    line = _("Line: the same network and method, measured before.") if before else ""
    st.caption(f"{stars} {line}".strip())


def in_words(drawn: list[Point], axis: Axis) -> str:
    """The points for who cannot see the chart."""
    places = [
        _("{place}: {accuracy} right").format(
            place=axis.text(point.spot.x),
            accuracy=numbers.percent(point.correct / point.n, point.n),
        )
        for point in drawn
    ]
    return _("{title}. {points}.").format(title=axis.title, points=_("; ").join(places))


def title(curve: Curve) -> str:
    """Page, network and method in the reader's language."""
    from core.low_rank.chart import method_title as factored  # altair: not before it is needed
    from core.pruning.chart import method_title as pruned
    from core.quantization.chart import scheme_title

    titles: dict[str, Callable[[Any], str]] = {
        "pruning": pruned,
        "quantization": scheme_title,
        "low_rank": factored,
    }
    shipped = {each.id: each for each in networks.checkpoints()}
    network = shipped.get(curve.network)
    name = networks.name_of(network) if network else curve.network
    return _(", ").join([frame.entry(curve.page).name, name, titles[curve.page](curve.method)])


def axis_of(page: str) -> Axis:
    """What a page's curves lie over."""
    return {
        "pruning": Axis(_("Pruning ratio"), 0, 1, True),
        "quantization": Axis(_("Bits per weight"), 0, 9, False),
        "low_rank": Axis(_("Energy kept"), 0, 1, True),
    }[page]


def cached(curve: Curve) -> list[tuple[float, Score]]:
    """Places and accuracies of the curve in the repository; empty where it was not measured."""
    shipped = [each for each in networks.checkpoints() if each.id == curve.network]
    kinds: dict[str, Any] = {
        "pruning": PruningGrid,
        "quantization": QuantizationGrid,
        "low_rank": LowRankGrid,
    }
    grid = networks.measured_rows(kinds[curve.page], shipped).get(curve.network)
    if grid is None:
        return []
    field = {"pruning": "ratio", "quantization": "bits", "low_rank": "energy"}[curve.page]
    rows = [row for row in grid.of(curve.method) if row.score is not None]
    return list({float(getattr(row, field)): row.score for row in rows}.items())


if __name__ == "__main__":
    main()
