"""The class's room on every page: who sits where, the bar on top, the class's guesses, following.

A visitor is in the room whose code stands in the address as `room`. Who is in none pays nothing;
who is in one asks the room's file every few seconds whether there is something new.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any, cast

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.charts import numbers
from core.classroom import (
    LONGEST_ABOUT,
    Attempts,
    Device,
    Place,
    Question,
    Room,
    Rooms,
    Spot,
    Tally,
    read_code,
)
from core.classroom.chart import device_title, devices_chart, medians
from core.errors import ClassroomError, UserError
from core.i18n import _, bracketed, labelled
from core.paths import data_dir
from core.stats import Score
from pages.kit import figure, frame, lab, networks, url_state
from pages.kit.visitor import visitor

CODE = "room"
"""The parameter with the room's code."""
TOKEN = "lead"
"""The parameter of a private link: who opens it leads the room. It leaves the address at once."""
WATCH_S = 2.5
"""How often a pupil's browser asks for news."""
LEAD_WATCH_S = 1.0
"""How often the lecturer's does, who watches the guesses come in."""
NEWS = "room-news"
"""The address, below the app's, where it asks: a run of a script would cost ten times as much."""
TRIES = Attempts(per_session=10, per_address=100, together=300)
"""Wrong codes in ten minutes."""
MADE = Attempts(per_session=5, per_address=30, together=100, window_s=3600)
"""Rooms opened in an hour."""


@dataclass
class Seat:
    """A visitor's place in a room."""

    code: str
    secret: str
    """The secret name of the browser, as the room knows it."""
    room: Room
    """What the room had set when the page was last drawn."""
    token: str = ""
    """The private link's, if this tab came by it."""
    leads: bool = False
    has_joined: bool = False
    follows: bool = True
    version: int = 0
    """The version of the room that was last drawn."""
    sent: int = 0
    """How many of the lecturer's calls to a page this pupil has heard."""


def rooms() -> Rooms:
    """The rooms of this server, and of others on its folder."""
    return Rooms(data_dir())


def forget_old() -> None:
    """Delete the rooms whose day is over."""
    with suppress(UserError):  # a full disk: the pages say so
        rooms().forget_old()


def seat() -> Seat | None:
    """This visitor's place; None outside a room."""
    return cast(Seat | None, st.session_state.get("room_seat"))


def holds_back() -> bool:
    """Whether answers wait for the lecturer here, unless he has opened them."""
    place = seat()
    return place is not None and place.room.holds


def enter() -> None:
    """Before the page is drawn: enter the room that the address names, follow its lecturer."""
    named = next(iter(url_state.texts(CODE)), "")
    if not named:
        st.session_state.pop("room_seat", None)
        return
    try:
        _enter(named, url_state.take(TOKEN))
    except ClassroomError as error:
        st.warning(str(error), icon=":material/groups:")
    _bar()


def _enter(named: str, token: str) -> None:
    place = seat()
    is_new = place is None or place.code != read_code(named)
    if place is None or is_new:
        st.session_state.pop("room_seat", None)
        place = st.session_state["room_seat"] = _sit(named)
    room = rooms().room(place.code)
    if room is None:
        leave()
        raise ClassroomError(_("The room {code} has ended.").format(code=place.code))
    place.room = room
    url_state.say(CODE, place.code)  # however it was typed, the address has it as others do
    if token:
        _lead(place, token)
    if is_new:  # who this is, the browser tells a moment later: a lecturer must not be sent away
        st.session_state["room_follows"] = True
        return
    _join(place)
    place.version = room.version
    if not place.leads and place.follows and room.sent > place.sent:
        place.sent = room.sent
        _follow(room)


def _sit(named: str) -> Seat:
    code, secret = read_code(named), visitor()
    if code is None:
        leave()
        raise ClassroomError(_("A code has six letters, such as BCDFGH."))
    attempt = TRIES.claim(_session(), st.context.ip_address)
    if attempt is None:
        raise ClassroomError(_("Too many codes were tried. Wait ten minutes, then try again."))
    room = rooms().room(code)
    if room is None:
        leave()
        raise ClassroomError(_("There is no room with this code. Look at it again."))
    TRIES.forgive(attempt)
    # who opens a link to another page reads there; who comes by the front door follows at once
    heard = 0 if url_state.page() in ("home", "class") else room.sent
    return Seat(code, secret, room, leads=rooms().leads(code, secret), sent=heard)


def _lead(place: Seat, token: str) -> None:
    attempt = TRIES.claim(_session(), st.context.ip_address)
    if attempt is None or not rooms().leads(place.code, token):
        raise ClassroomError(_("This private link does not work any more."))
    TRIES.forgive(attempt)
    place.token = token
    rooms().trust(place.code, token, place.secret)
    place.leads = True


def _join(place: Seat) -> None:
    """Be counted as a pupil, under the name that the browser keeps."""
    secret = visitor()
    if place.has_joined and secret == place.secret:
        return
    if place.leads and secret != place.secret:  # this tab leads; so does its browser from now on
        rooms().trust(place.code, place.token or place.secret, secret)
    place.leads = rooms().leads(place.code, secret)
    if place.leads:
        if place.has_joined:
            rooms().leave(place.code, place.secret)
    else:
        former = place.secret if place.has_joined else ""
        rooms().join(place.code, secret, former)
    place.has_joined, place.secret = True, secret


def _session() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""


def _follow(room: Room) -> None:
    """Go to the page to which the lecturer has sent everybody."""
    target = next((entry for entry in frame.entries() if entry.key == room.page), None)
    if target is None:
        return
    url_state.give(target.key, room.settings)
    if target.key != url_state.page():
        st.switch_page(target.file)


def leave() -> None:
    """Be in no room any more; what was guessed there stays counted."""
    url_state.say(CODE)
    st.session_state.pop("room_seat", None)


def create() -> None:
    """Open a room and lead it. Raises ClassroomError where too many were opened."""
    if MADE.claim(_session(), st.context.ip_address) is None:
        raise ClassroomError(_("Too many rooms were opened. Try again in an hour."))
    url_state.say(CODE, rooms().create(visitor()))


@frame.section
def _bar() -> None:
    """One line on every page: the room, and what this visitor may do with it."""
    place = seat()
    if place is None:
        return
    st.html(  # below Streamlit's header; the title needs no more room above it
        "<style>.st-key-room-bar {margin-top: 0.8rem}"
        "@media (max-width: 640px) {.st-key-room-bar {column-gap: 0.5rem}}"
        "[data-testid='stMainBlockContainer']:has(.st-key-room-bar) h1 {padding-top: 0}</style>"
    )
    with st.container(horizontal=True, vertical_alignment="center", key="room-bar"):
        st.markdown(_(":material/groups: Room **{code}**").format(code=place.code), width="content")
        if not place.leads:
            label = _("Follow the lecturer")
            place.follows = st.toggle(label, key="room_follows", persist_state="session")
            leaves = st.button(_("Leave"), type="tertiary", key="room_leave")
            if leaves:
                leave()
                st.rerun()
        else:
            if st.button(_("Bring everyone here"), icon=":material/campaign:", key="room_send"):
                rooms().send(place.code, place.secret, url_state.page(), url_state.settings())
                st.toast(_("Everybody who follows you comes here now."))
            frame.page_link(frame.entry("class"), _("All guesses"))
        _watch()


@frame.section
def _watch() -> None:
    """Draw the page again when the room has news; the lecturer sees how many have joined."""
    place = seat()
    if place is None:
        return
    pulse = rooms().pulse(place.room.door)
    context = get_script_run_ctx()
    is_alone = context is not None and bool(context.fragment_ids_this_run)
    if is_alone and (pulse is None or pulse[0] != place.version):
        st.rerun()
    if place.leads:
        count = rooms().pupils(place.code)
        st.caption(_("Pupils: {n}").format(n=count), width="content")
    # a new seat has seen version 0: the page is drawn once more, when the browser has said its name
    listen("room_watch", pulse if place.leads and place.version else (place.version,))


# Streamlit's own timer also fires while a page is drawn, and in between two pages: then it loses
# what it has drawn. So ask from here, and only where nothing runs.
_SCRIPT = """
const timers = new WeakMap();
const isBusy = () =>
  document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === "running" ||
  Date.now() - (document.documentElement.dataset.leaving ?? 0) < 10000;

export default function ({ data, parentElement, setTriggerValue }) {
  const again = () => {
    clearTimeout(timers.get(parentElement));
    timers.set(parentElement, setTimeout(look, data.every_ms));
  };
  async function look() {
    if (!parentElement.isConnected) return;
    try {
      if (!document.hidden && !isBusy()) {
        const reply = await fetch(new URL(`./${data.news}`, location.href), {cache: "no-store"});
        const news = reply.status === 404 ? "" : (await reply.text()).split(" ");
        const isNew = news === "" || data.seen.some((number, at) => number !== Number(news[at]));
        if ((reply.ok || reply.status === 404) && isNew && !isBusy())
          setTriggerValue("news", data.sent);
      }
    } catch (offline) {}
    again();
  }
  again();
}
"""
_listener = st.components.v2.component("small_plates_room", js=_SCRIPT)


def listen(key: str, seen: Sequence[int] | None) -> None:
    """Draw the fragment that this is called in again when the room's pulse is not `seen` any more:
    the version alone, or also how much was guessed.

    After a restart of the server the page still knows which of the lecturer's calls it has heard.
    """
    place = seat()
    if place is None or seen is None:
        return
    st.html(f"<style>:has(> .st-key-{key}_place) {{display: none}}</style>")
    news = f"{NEWS}/{place.room.door}"
    every_s = LEAD_WATCH_S if place.leads else WATCH_S
    data = {
        "news": news, "seen": list(seen), "sent": place.sent, "every_ms": round(1000 * every_s),
    }  # fmt: skip
    with st.container(key=f"{key}_place"):
        heard = _listener(key=key, data=data, on_news_change=lambda: None).news
    if isinstance(heard, int) and not place.version:
        place.sent = min(place.sent, heard)


def route() -> Route:
    """The address where browsers ask for news of their room: its version, and its activity."""

    def news(request: Request) -> Response:
        try:
            pulse = rooms().pulse(request.path_params["door"])
        except UserError:  # a full disk, a damaged file: the pages say so
            return Response(status_code=503)
        return Response("" if pulse is None else f"{pulse[0]} {pulse[1]}", 200 if pulse else 404)

    base = st.get_option("server.baseUrlPath").strip("/")
    return Route(f"{'/' if base else ''}{base}/{NEWS}/{{door}}", news)


def ask(text: str, options: Mapping[Any, str], key: str, about: str) -> Tally | None:
    """Let the room know a question, and what the class has guessed; None outside a room."""
    place = seat()
    if place is None:
        return None
    question = Question(
        Place(url_state.page(), key, about[:LONGEST_ABOUT]),
        text,
        [(str(value), words) for value, words in options.items()],
    )
    try:
        tally = rooms().tally(place.code, question.place, place.secret)
        if tally is None:
            rooms().ask(place.code, question)
            tally = rooms().tally(place.code, question.place, place.secret)
    except ClassroomError as error:
        st.toast(str(error), icon=":material/error:")
        return None
    return tally


def guessed(place: Place, widget: str, options: Mapping[Any, str]) -> None:
    """The visitor has touched the widget of a question: the room counts the guess."""
    own = seat()
    if own is None or own.leads:
        return
    chosen = st.session_state.get(widget)
    try:
        _join(own)
        if chosen is None:
            rooms().withdraw(own.code, own.secret, place)
        else:
            option = str(chosen) if chosen in options else None  # else: "Just show me"
            rooms().guess(own.code, own.secret, place, option)
    except ClassroomError as error:
        st.session_state["room_problem"] = str(error)


def show_class(tally: Tally, is_open: bool) -> None:
    """Under a question: the class's guesses as far as this visitor may see them."""
    place = seat()
    if place is None:
        return
    if problem := st.session_state.pop("room_problem", None):
        st.toast(problem, icon=":material/error:")
    if tally.is_open or place.leads or is_open:
        # presenter mode puts the first one of a page beside its picture
        with st.container(key=f"class-guesses-{tally.question.place.key}"):
            if url_state.is_on("stage"):  # the question itself may be further down
                with st.container(key=f"class-question-{tally.question.place.key}"):
                    st.markdown(f"**{tally.question.text}**")
            if tally.is_open:
                bars(tally)
            else:
                _growing(tally.question.place)
    elif tally.own is not None:
        st.caption(_("Your guess counts. You can change it until the lecturer shows the answer."))
    else:
        st.caption(_("Guess: the lecturer shows the answer to all."))


@frame.section
def _growing(of: Place) -> None:
    """The class's guesses while they come in; the lecturer opens the answer here."""
    place = seat()
    if place is None:
        return
    pulse = rooms().pulse(place.room.door)
    tally = rooms().tally(place.code, of, place.secret)
    if tally is not None:
        bars(tally)
        if place.leads:
            open_button(tally)
    listen(f"room_growing_{of.key}", pulse)


def open_button(tally: Tally) -> None:
    """Let the lecturer open an answer for all."""
    place, of = seat(), tally.question.place
    label, icon = _("Show the answer to all"), ":material/visibility:"
    key = f"room_open_{of.page}_{of.key}_{of.about}"
    if place is not None and not tally.is_open and st.button(label, icon=icon, key=key):
        rooms().open(place.code, place.secret, of)
        st.rerun()


def bars(tally: Tally) -> None:
    """How many guess what; the visitor's own guess is marked."""
    own = _("you")
    most = max(1, *tally.counts.values())
    rows, texts = [], []
    for value, words in tally.question.options:
        count, mine = tally.counts[value], value == tally.own
        name = bracketed(words, own) if mine else words
        texts.append(labelled(name, str(count)))
        others = "color-mix(in srgb, currentColor 45%, transparent)"
        colour = frame.theme("primaryColor") if mine else others
        rows.append(
            f"<span>{escape(name)}</span><span><span style='display:inline-block; height:1em; "
            f"vertical-align:-0.1em; margin-right:0.5em; background:{colour}; "
            f"width:calc({100 * count / most:.1f}% - {3 * count / most:.1f}em)'></span>"
            f"{count}</span>"
        )
    head = _("Guesses of the class: {n}").format(n=tally.total)
    st.html(
        f"<div role='img' aria-label='{escape(_('; ').join([head, *texts]))}' "
        "style='display:grid; grid-template-columns:fit-content(45%) 1fr; gap:0.2em 1em'>"
        f"<strong style='grid-column:1/-1'>{escape(head)}</strong>{''.join(rows)}</div>"
    )


def report(about: str, device: object, ms: object) -> None:
    """Send to the room how fast something ran on this visitor's device.

    Raises ClassroomError for what cannot be right, and outside a room.
    """
    place = seat()
    if place is None:
        raise ClassroomError(_("You are in no room any more."))
    if not place.leads:
        _join(place)
    rooms().report(place.code, place.secret, about, str(device), cast(float, ms))
    words = _("{ms} on {device}").format(
        ms=numbers.milliseconds(cast(float, ms)), device=device_title(cast(Device, device), 1)
    )
    lab.measured("device", about, words, time.time(), {"network": about}, {"ms": ms})


def measured(spot: Spot, score: Score, when: float) -> None:
    """The server has measured a point for this visitor: it goes to the room, once.

    `when`: seconds since the epoch.
    """
    place = seat()
    if place is None:
        return
    told = cast(set[Any], st.session_state.setdefault("room_points", set()))
    point = (place.code, spot, when)
    if point in told:
        return
    told.add(point)
    try:
        if not place.leads:
            _join(place)
        rooms().measured(place.code, place.secret, spot, score.correct, score.n)
    except ClassroomError as error:
        st.toast(str(error), icon=":material/error:")


def devices(about: str = "") -> None:
    """The class's devices and how fast they are: of `about`, or of what most were measured with."""
    place = seat()
    timings = rooms().timings(place.code, place.secret) if place else []
    counts = Counter(each.about for each in timings)
    if not counts:
        return
    abouts = sorted(counts, key=lambda each: (-counts[each], each))
    st.header(_("Devices of the class"))
    titles = {each: networks.timed_title(each) for each in abouts}
    if len(abouts) > 1:
        first = about if about in counts else abouts[0]
        about = st.selectbox(
            _("Network"),
            abouts,
            abouts.index(first),
            format_func=titles.__getitem__,
            key="room_device_network",
        )
    else:
        about = abouts[0]
        st.markdown(titles[about])
    timings = [each for each in timings if each.about == about]
    lines = [
        _("{devices}: median {ms}").format(
            devices=device_title(device, n), ms=numbers.milliseconds(ms)
        )
        for device, (n, ms) in medians(timings).items()
    ]
    text = _("{sentence}.").format(sentence=_("; ").join(lines))
    figure.show(devices_chart(timings), text, key="room-devices")
    st.markdown(text)


def address(page: str = "class") -> str:
    """Where a pupil comes in: this app's address as the lecturer's browser has it."""
    root = (st.context.url or "").split("?", 1)[0].rstrip("/").removesuffix(f"/{url_state.page()}")
    place = seat()
    return f"{root}/{page}" + (f"?{CODE}={place.code}" if place else "")


def qr(text: str) -> str:
    """HTML of a QR code, dark on white in every theme; "" where `segno` is not installed."""
    try:
        import segno
    except ImportError:  # a server older than this page: code and address do without it
        return ""
    uri = segno.make(text, error="m").svg_data_uri(border=3, light="#fff")
    words = escape(_("QR code: {text}").format(text=text))
    return f'<img src="{uri}" alt="{words}" style="width: 100%; display: block">'
