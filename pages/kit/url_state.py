"""A page's settings: kept while the visitor is elsewhere, in the address bar, set by links.

Each session keeps, for each page, its settings as the texts that a link has for them; a parameter
at its default is left out. A widget begins with what is kept and writes back what it is changed to;
the address bar is written from what is kept. So the settings of a page are whole:

- a page that was left is found again as it was, and its address says so again;
- a link with parameters sets those and leaves the others at their defaults;
- a value that no control could show counts as the default.

A link has keys, not labels, so it opens in another language. Guesses are kept as well but stand in
no link: they would give the next reader an answer.

Streamlit's own `bind="query-params"` writes labels, raises on numbers such as 1e999, and knows a
parameter by its name alone, although two pages may both have a "method".
"""

import re
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar, cast, overload
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.kit import streamlit_words

T = TypeVar("T")
K = TypeVar("K", bound=str | int)
G = TypeVar("G", bound=str | float)
N = TypeVar("N", int, float)
Texts = dict[str, list[str]]
"""Parameter -> its values in a link, in order."""

SHARED = ("lang", "room", "stage")
"""Parameters of the whole app, not of one page."""
OWN = ("room", "stage")
"""Those that a link to a setting leaves out: they are of this class, or this screen."""
LONGEST = 2000
"""Characters of a value in a link; what is longer is cut."""
_NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,20})?(e-[0-9]{1,2})?", re.ASCII)


class Spelling(NamedTuple, Generic[T]):
    """How a setting is read from a link (None: no control could show that) and written into one."""

    read: Callable[[list[str]], T | None]
    write: Callable[[T], list[str]]


@dataclass
class _State:
    """What one session has set."""

    page: str = ""
    kept: dict[str, Texts] = field(default_factory=dict)
    """Page -> its settings that are not at their default."""
    shared: Texts = field(default_factory=dict)
    guesses: dict[tuple[str, str], Any] = field(default_factory=dict)
    """(page, key) -> what was guessed."""
    drawn: set[str] = field(default_factory=set)
    """Keys of the widgets that were drawn since the visitor came to this page."""
    sliders: dict[str, dict[str, str]] = field(default_factory=dict)
    """Page -> parameters that only the browser moves -> their defaults."""
    reported: dict[tuple[str, str], int] = field(default_factory=dict)
    """(page, parameter) -> number of the browser's last report on it."""
    begun: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """(page, inputs of a chart) -> that chart, where its inputs began on this visit."""
    is_on_its_way: bool = False
    """Whether the browser may still be on the page that this run came from."""
    addresses: deque[Texts] = field(default_factory=lambda: deque(maxlen=8))
    """What the address bar said lately: a request may have been sent before the last change."""

    def of(self, key: str) -> Texts:
        """The settings among which `key` is kept."""
        return self.shared if key in SHARED else self.kept.setdefault(self.page, {})

    def whole(self) -> Texts:
        """All that the address bar should say."""
        return {**self.kept.get(self.page, {}), **self.shared}

    def begin(self, own: Texts | None = None) -> None:
        """Start a visit: the widgets are to show what is kept, or first `own`, a link's."""
        for key in self.drawn - set(SHARED):
            st.session_state.pop(key, None)
        self.drawn &= set(SHARED)
        self.begun.clear()
        if own is not None:
            self.kept[self.page] = dict(own)


def _state() -> _State:
    state = st.session_state.get("url_state")
    if state is None:
        state = st.session_state["url_state"] = _State()
        state.begin(_own())
        state.shared = {key: texts for key, texts in _address().items() if key in SHARED}
    return cast(_State, state)


def _address() -> Texts:
    return {key: st.query_params.get_all(key) for key in st.query_params}


def _own() -> Texts:
    """What the address bar says of the page."""
    return {
        key: [text[:LONGEST] for text in texts]
        for key, texts in _address().items()
        if key not in SHARED
    }


def arrive(page: str) -> None:
    """Before `page` is drawn: give it its settings back, or those of the link that led there."""
    state, context, own = _state(), get_script_run_ctx(), _own()
    if page != state.page:
        state.is_on_its_way = bool(state.page)
        state.page = page
        state.addresses.clear()
        state.begin(own if own or page not in state.kept else None)
    else:
        sliders = state.sliders.get(page, {})  # the browser alone moves these in the address bar
        lately = [
            {key: texts for key, texts in address.items() if key not in sliders}
            for address in (own, *state.addresses)
        ]
        if (context is not None and context.is_history_navigation) or lately[0] not in lately[1:]:
            state.begin(own)  # back or forward in the browser, or a link to the page that is open
    state.addresses.append(own)


def write_address() -> None:
    """Bring the address bar to the settings; call it at the end of a page, however it ended."""
    state = _state()
    if (whole := state.whole()) != _address():
        if state.is_on_its_way:  # it would give the parameters to the page that it comes from
            query = urlencode(whole, doseq=True)
            path = "" if state.page == "home" else state.page
            _written(key=_ADDRESS, data={"path": path, "query": query, "visit": uuid.uuid4().hex})
        else:
            st.query_params.from_dict(whole)
        own = {key: texts for key, texts in whole.items() if key not in SHARED}
        state.addresses.append(own)
    state.is_on_its_way = False


def write_in_fragment() -> None:
    """`write_address` where only a fragment is drawn: of a whole run, app.py does it at the end."""
    context = get_script_run_ctx()
    if context is not None and context.fragment_ids_this_run:
        write_address()


def link() -> str:
    """The address of this page with all its settings."""
    base = (st.context.url or "").split("?", 1)[0]
    shown = {key: texts for key, texts in _state().whole().items() if key not in OWN}
    query = urlencode(shown, doseq=True)
    return f"{base}?{query}" if query else base


def page() -> str:
    """The page that is open, by its key in the contents."""
    return _state().page


def settings() -> Texts:
    """The settings of this page that are not at their default."""
    return dict(_state().kept.get(_state().page, {}))


def give(page: str, settings: Texts) -> None:
    """Set all of a page as a link would; before it is drawn."""
    state = _state()
    state.kept[page] = {key: list(texts) for key, texts in settings.items() if key not in SHARED}
    if page == state.page:
        state.begin()


def take(key: str) -> str:
    """What a link says for `key`, which then leaves the address; "" if nothing."""
    texts = _state().of(key).pop(key, None)
    return texts[0] if texts else ""


def texts(key: str) -> list[str]:
    """What a link to this page as it is now says for `key`; empty at its default."""
    return list(_state().of(key).get(key, ()))


def in_browser(key: str, spelling: Spelling[T], default: T) -> T:
    """Where a Vega parameter begins that the browser moves by itself, `key` its name."""
    state = _state()
    state.sliders.setdefault(state.page, {})[key] = spelling.write(default)[0]
    value = current(key, spelling, default)
    _keep(key, spelling.write(value), spelling.write(default))
    return value


def report(page: str, key: str, text: str, number: int) -> None:
    """The browser's own parameter `key` of `page` was moved; its reports are numbered upwards.

    What is no parameter of that page is ignored.
    """
    state = _state()
    default = state.sliders.get(page, {}).get(key)
    if default is None or state.reported.get((page, key)) == number:
        return
    state.reported[page, key] = number
    settings = state.kept.setdefault(page, {})
    settings.pop(key, None)
    if text != default:
        settings[key] = [text[:LONGEST]]


def say(key: str, *texts: str) -> None:
    """Set a parameter as a link would; without a text, to its default. Its widget follows."""
    state = _state()
    state.drawn.discard(key)
    state.of(key).pop(key, None)
    if texts:
        state.of(key)[key] = list(texts)


def current(key: str, spelling: Spelling[T], default: T) -> T:
    """The setting as it is before its widget is drawn."""
    state = _state()
    if key in state.drawn and (held := st.session_state.get(key)) is not None:
        texts: list[str] | None = spelling.write(held)
    else:
        texts = state.of(key).get(key)
    value = spelling.read(texts) if texts is not None else None
    return default if value is None else value


def draw(
    widget: Callable[..., Any],
    *args: Any,
    key: str,
    spelling: Spelling[T],
    default: Any,
    **more: Any,
) -> Any:
    """Draw a widget for a setting, `key` its name in the address bar; returns the value.

    What is no longer on offer counts as `default`, and so does a choice that was taken back.
    """
    state = _state()
    value = current(key, spelling, default)
    held = st.session_state.get(key) if key in state.drawn else ...
    if held != value and not (held is None and key in st.session_state):  # None: taken back
        st.session_state[key] = value
    state.drawn.add(key)
    # persist_state: a widget that the browser never heard of is told its value again
    chosen = widget(*args, key=key, persist_state="session", **more)
    value = default if chosen is None else chosen
    _keep(key, *([] if each is None else spelling.write(each) for each in (value, default)))
    return value


def _keep(key: str, texts: list[str], default: list[str]) -> None:
    settings = _state().of(key)
    if texts == default:
        settings.pop(key, None)
    else:
        settings[key] = texts
    write_in_fragment()


def choice(options: Sequence[K]) -> Spelling[K]:
    """One of `options`."""
    by_text = {str(option): option for option in options}
    return Spelling(
        lambda texts: by_text.get(texts[0]) if texts else None, lambda option: [str(option)]
    )


def choices(options: Sequence[K], most: int) -> Spelling[list[K]]:
    """At most `most` of `options`; none of them is an empty text."""
    by_text = {str(option): option for option in options}

    def read(texts: list[str]) -> list[K] | None:
        chosen = [by_text[text] for text in dict.fromkeys(texts) if text in by_text]
        return chosen[:most] if chosen or texts == [""] else None

    return Spelling(read, lambda chosen: [str(option) for option in chosen] or [""])


def number(least: N, most: N, digits: int = 12, clamp: bool = True) -> Spelling[N]:
    """A number from `least` to `most`, whole if these are, else rounded to `digits`.

    Another one is brought inside, or is none without `clamp`.
    """
    whole = isinstance(least, int)

    def read(texts: list[str]) -> N | None:
        if not texts or not _NUMBER.fullmatch(texts[0]):
            return None
        value = float(texts[0])
        if (whole and not value.is_integer()) or not (clamp or least <= value <= most):
            return None
        return type(least)(min(max(round(value, digits), least), most))

    return Spelling(read, lambda value: [f"{value:.12g}"])


def _flag(texts: list[str]) -> bool | None:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False}.get(
        "".join(texts[:1]).lower()
    )


FLAG: Spelling[bool] = Spelling(_flag, lambda on: ["true" if on else "false"])


def line(longest: int) -> Spelling[str]:
    """Any text, cut after `longest` characters."""
    return Spelling(lambda texts: texts[0][:longest] if texts else None, lambda text: [text])


@overload
def one_of(
    widget: Any,
    label: str,
    options: Mapping[K, str] | Sequence[K],
    key: str,
    default: K,
    **more: Any,
) -> K: ...
@overload
def one_of(
    widget: Any,
    label: str,
    options: Mapping[K, str] | Sequence[K],
    key: str,
    default: K | None,
    **more: Any,
) -> K | None: ...
def one_of(
    widget: Any,
    label: str,
    options: Mapping[K, str] | Sequence[K],
    key: str,
    default: K | None,
    **more: Any,
) -> K | None:
    """One of `options` by a `widget` (`st.selectbox`, `st.segmented_control`, `st.pills` ...).

    A mapping says how each is shown. Without a choice the default counts, which may be None.
    """
    if isinstance(options, Mapping):
        more["format_func"] = options.__getitem__
    offered = list(options)
    spelling = choice(offered)
    chosen: K | None = draw(
        widget, label, offered, key=key, spelling=spelling, default=default, **more
    )
    return chosen


def several_of(
    widget: Any,
    label: str,
    options: Mapping[K, str] | Sequence[K],
    key: str,
    default: Sequence[K],
    most: int,
    **more: Any,
) -> list[K]:
    """At most `most` of `options` by a `widget` (`st.multiselect`, `st.pills`), as `one_of`."""
    if isinstance(options, Mapping):
        more["format_func"] = options.__getitem__
    offered = list(options)
    spelling = choices(offered, most)
    chosen = draw(
        widget, label, offered, key=key, spelling=spelling, default=list(default)[:most], **more
    )
    return list(chosen)


def number_of(
    widget: Any,
    label: str,
    least: N,
    most: N,
    default: N,
    step: N,
    key: str,
    *,
    clamp: bool = True,
    **more: Any,
) -> N:
    """A number from `least` to `most` by a `widget` (`st.slider`, `st.number_input`)."""
    spelling = number(least, most, clamp=clamp)
    chosen: N = draw(
        widget, label, least, most, step=step, key=key, spelling=spelling, default=default, **more
    )
    return chosen


def toggle(label: str, key: str, default: bool = False, **more: Any) -> bool:
    """A switch."""
    return bool(draw(st.toggle, label, key=key, spelling=FLAG, default=default, **more))


def is_on(key: str) -> bool:
    """Whether a switch that is off by default is on, also where it was not drawn."""
    return bool(_flag(texts(key)))


def guess(
    label: str,
    options: Mapping[G, str] | Sequence[G],
    key: str,
    widget: Callable[..., Any] = st.pills,
    **more: Any,
) -> G | None:
    """What a visitor expects, None before that is said: kept like a setting, but in no link."""
    if isinstance(options, Mapping):
        more["format_func"] = options.__getitem__
    state = _state()
    place = (state.page, key)
    if key not in state.drawn or key not in st.session_state:
        st.session_state[key] = state.guesses.get(place)
    if st.session_state[key] not in options:
        st.session_state[key] = None
    state.drawn.add(key)
    chosen: G | None = widget(label, list(options), key=key, persist_state="session", **more)
    state.guesses[place] = chosen
    return chosen


def next_of(place: Any, label: str, key: str, first: int = 0, last: int = 9999) -> int:
    """Which of something is shown, from `first` to `last`; the button `label` goes to the next."""
    at = current(key, number(first, last), first)
    place.button(
        label,
        icon=":material/skip_next:",
        width="stretch",
        key=f"next_{key}",
        on_click=say,
        args=(key, str(at + 1)) if at < last else (key,),
    )
    return at


# Sliders that the browser alone answers, and how their values still come into the link. A Vega
# parameter with an input of its own sends nothing to the server, whatever it is moved to. A script
# in the page listens to these inputs. It puts each value into the address bar at once, and tells
# the server a moment after something else was touched: before that, nobody needs to know.
_SCRIPT = """
const moved = {};
let number = 0, told = 0, toldAt = 0, lastByHand = false, waiting, send;

const inside = (place) => place instanceof Element && place.closest(".vega-bindings");
const here = () => location.pathname.replace(/\\/+$/, "").split("/").pop();

function note(event) {
  const input = event.target;
  if (!inside(input) || !input.name) return;
  lastByHand = true;
  (moved[here()] ??= {})[input.name] = [input.value, ++number];
  const address = new URL(location.href);
  address.searchParams.set(input.name, input.value);
  history.replaceState(history.state, "", address);
}

function tell() {
  if (told === number || !send) return;
  told = number;
  toldAt = Date.now();
  send("moved", structuredClone(moved));
}

// Streamlit sends what changes at the same time as one message, and then draws only the fragment
// of the first change: so let go first what is just being touched
//
// A message sent between a click on another page and that page's first answer names the page before
// it: Streamlit then throws away what it has drawn of the new page. And one that comes while a run
// ends loses the end of that run. So wait until the page is there and the run has ended.
function soon(ms = 50) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const isOnItsWay = Date.now() - (document.documentElement.dataset.leaving ?? 0) < 10000;
    if (isOnItsWay || state() === "running") soon(100);
    else tell();
  }, ms);
}

const state = () => document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState;
const leave = (at = Date.now()) => { document.documentElement.dataset.leaving = at; };
new MutationObserver(() => { if (state() === "running") leave(0); }).observe(document.body,
  {attributes: true, attributeFilter: ["data-test-script-state"], subtree: true});

// A run that began before the server was told may draw a chart anew, its inputs where they began:
// put those back to where they were moved to
const known = new WeakSet();
function restore() {
  if (!lastByHand || (told === number && Date.now() - toldAt > 5000)) return;
  for (const input of document.querySelectorAll(
    '.vega-bindings input[type="range"], .vega-bindings select')) {
    if (known.has(input)) continue;
    known.add(input);
    const [value] = moved[here()]?.[input.name] ?? [input.value];
    if (value === input.value) continue;
    input.value = value;
    for (const name of ["input", "change"])
      input.dispatchEvent(new Event(name, {bubbles: true}));
  }
}
new MutationObserver(restore).observe(document.body, {childList: true, subtree: true});

const on = (place, name, heard) => place.addEventListener(name, heard, true);
on(document, "input", note);
on(document, "click", (event) => {
  const link = event.target instanceof Element && event.target.closest("a[href]");
  if (link && !link.target && link.pathname !== location.pathname) leave();
});
on(document, "pointerup", (event) => inside(event.target) || soon());
on(document, "focusout", (event) => {
  if (inside(event.target) && !inside(event.relatedTarget)) soon();
});
on(document, "visibilitychange", () => soon(0));
on(window, "popstate", () => { lastByHand = false; leave(); soon(); });

export default function ({ setStateValue, data }) {
  send = setStateValue;
  document.documentElement.lang = data.language; // Streamlit says "en", whatever the words
  say(data);
}
"""
# Streamlit sends a page's parameters apart from its path, and a browser that is busy takes them in
# first. This script waits for the path. It writes over the address without parameters that the menu
# led to: "back" then leaves the page.
_WRITE = """
let last;
export default function ({ data }) {
  if (last === data.visit) return;
  last = data.visit;
  const until = Date.now() + 60000;
  const write = () => {
    if (last !== data.visit || Date.now() > until) return;
    const isThere = location.pathname.replace(/\\/+$/, "").split("/").pop() === data.path;
    if (!isThere) return setTimeout(write, 20);
    const address = new URL(location.href);
    address.search = data.query;
    history.replaceState(history.state, "", address);
  };
  write();
}
"""
_ADDRESS = "browser_address"
_written = st.components.v2.component("small_plates_address", js=_WRITE)
_SLIDERS = "browser_sliders"
_listener = st.components.v2.component("small_plates_sliders", js=streamlit_words.SCRIPT + _SCRIPT)
LINK_FRAGMENT = "link_to_this_setting"
"""Key of the fragment and of the popover that show the link."""


@st.fragment
def listen(language: str) -> None:
    """Load the script; app.py does it on every page, so that it may report after a change of page.

    A browser runs it once, however often it is loaded. `language` (BCP 47) is that of the page: a
    screen reader's voice, and the shapes of Han characters, depend on it.
    """
    data = {"language": language, **streamlit_words.for_script()}
    _listener(key=_SLIDERS, data=data, on_moved_change=_on_moved)


def _on_moved() -> None:
    """What the browser says was moved, from whatever is in the message."""
    moved = st.session_state[_SLIDERS].get("moved")
    for page, sliders in moved.items() if isinstance(moved, dict) else ():
        for key, report_of in sliders.items() if isinstance(sliders, dict) else ():
            match report_of:
                case [str(value), int(number)] if re.fullmatch(r"[-+.\w]{1,40}", value):
                    report(page or "home", key, value, number)
    context = get_script_run_ctx()
    if context is not None and context.fragment_ids_this_run and is_open(LINK_FRAGMENT):
        st.rerun(scope=LINK_FRAGMENT)  # the link stands there without what was moved


def is_open(popover: str) -> bool:
    """Whether the popover of that key stands open."""
    return st.session_state.get(popover) is True


def steady(chart: dict[str, Any], alt: str) -> None:
    """Let the inputs of a chart begin where they began when it was last drawn on this visit.

    The browser then keeps the chart, and what its inputs were moved to since. If anything else of
    it has changed, data apart, it is built anew: then they begin where they were moved to.
    """
    state = _state()
    inputs = {each["name"]: each for each in chart.get("params", ()) if "bind" in each}
    starts = {name: parameter.pop("value") for name, parameter in inputs.items()}
    rest = repr([alt, {key: part for key, part in chart.items() if key != "datasets"}])
    place = (state.page, *inputs)
    if state.begun.get(place, ("", {}))[0] != rest:
        state.begun[place] = (rest, starts)
    for name, parameter in inputs.items():
        parameter["value"] = state.begun[place][1][name]
