"""What frames every page: the table of contents, the sections that redraw alone, tabs, the foot."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, ParamSpec

import streamlit as st
from streamlit.errors import StreamlitAPIException

from core import i18n
from core.charts.theme import SLOTS
from core.errors import UserError
from core.i18n import _
from pages.kit import url_state

P = ParamSpec("P")


# Plate, knife and fork, as an address: to recognise an emoji, Streamlit reads its list of them all.
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'%3E"
    "%3Ctext y='.9em' font-size='90'%3E%F0%9F%8D%BD%EF%B8%8F%3C/text%3E%3C/svg%3E"
)
SIDEBAR_PX = 256
"""As wide as its longest line, the languages, needs: the rest belongs to the page."""


class Entry(NamedTuple):
    """One page: its file, place in the address bar, icon, short name, and the question it asks."""

    key: str
    icon: str
    name: str
    question: str
    prepared: tuple[str, ...] = ()
    """Settings that the server opens beforehand, too: those that cost most to draw first."""

    @property
    def file(self) -> str:
        """Path from the folder of app.py, as Streamlit wants it."""
        return f"pages/{'classroom' if self.key == 'class' else self.key}.py"


def sections() -> dict[str, list[Entry]]:
    """Section title -> its pages, in reading order, in the language of the session.

    A new page is a new line here: nothing else lists the pages.
    """
    # fmt: off
    return {
        "": [
            Entry("home", ":material/restaurant_menu:", _("Home"),
                  _("How does a big network become a small one?"),
                  ("cost=macs", "cost=size_bytes", "cost=latency_ms", "trials=true")),
        ],
        _("See"): [
            Entry("compare", ":material/photo_camera:", _("Compare"),
                  _("What does each network see on your plate?")),
            Entry("results", ":material/leaderboard:", _("Results"),
                  _("Do the findings of two homeworks hold?")),
        ],
        _("Build"): [
            Entry("convolutions", ":material/grid_on:", _("Convolutions"),
                  _("What does a convolution cost?")),
            Entry("architecture", ":material/account_tree:", _("Architecture"),
                  _("Where do a network's parameters sit?")),
        ],
        _("Distil"): [
            Entry("temperature", ":material/device_thermostat:", _("Temperature"),
                  _("What does a higher temperature do?")),
            Entry("distillation", ":material/local_drink:", _("Distillation"),
                  _("What does a student learn from its teacher?")),
            Entry("training", ":material/model_training:", _("Training"),
                  _("Can you train a student yourself?")),
        ],
        _("Cut"): [
            Entry("pruning", ":material/content_cut:", _("Pruning"),
                  _("Does pruning make a network small and fast?"),
                  ("tab=weights", "tab=channels")),
            Entry("quantization", ":material/straighten:", _("Quantisation"),
                  _("How few bits does a weight need?")),
            Entry("low_rank", ":material/view_column_2:", _("Low rank"),
                  _("Does a layer need all its ranks?"), ("tab=time", "tab=trap")),
        ],
        _("Ship"): [
            Entry("export", ":material/phone_iphone:", _("Export"),
                  _("What do you put on the phone?"), ("measure=time", "tab=way")),
        ],
        _("Teach"): [
            Entry("class", ":material/groups:", _("Classroom"),
                  _("What does the whole class guess?")),
            Entry("report", ":material/assignment:", _("Report"),
                  _("What did you find out?")),
        ],
    }
    # fmt: on


def entries() -> Iterator[Entry]:
    """All pages in reading order."""
    for listed in sections().values():
        yield from listed


def navigation() -> dict[str, list[Any]]:
    """The contents as `st.navigation` takes them."""
    return {
        section: [
            st.Page(
                entry.file,
                title=entry.name,
                icon=entry.icon,
                url_path=entry.key,
                default=entry.key == "home",
            )
            for entry in listed
        ]
        for section, listed in sections().items()
    }


def entry(key: str) -> Entry:
    """The page `key`; KeyError if the contents do not list it."""
    return next(page for page in entries() if page.key == key)


def after(key: str) -> Entry:
    """The page to read after `key`; the first one after the last."""
    listed = list(entries())
    place = [page.key for page in listed].index(key)
    return listed[(place + 1) % len(listed)]


def section(draw: Callable[P, None]) -> Callable[P, None]:
    """A part of a page that a touch inside it redraws alone (a decorator over `st.fragment`).

    What depends on its settings must be drawn inside it; it may hold further sections, which then
    redraw alone or with it. A `UserError` is said in its place, and the rest of the page stands.
    """

    @st.fragment
    @functools.wraps(draw)
    def alone(*args: P.args, **kwargs: P.kwargs) -> None:
        speak()
        try:
            draw(*args, **kwargs)
        except UserError as error:
            st.error(str(error), icon=":material/error:")

    return alone


@contextmanager
def instrument(picture_first: bool = True) -> Iterator[tuple[Any, Any]]:
    """Two places side by side: for the controls, narrow, and for the picture they move.

    On a phone they stand below each other, the picture first unless told otherwise.
    """
    with st.container(key="instrument" if picture_first else None):
        controls, picture = st.columns([1, 2.2], gap="medium")
    yield controls, picture


class Tab(NamedTuple):
    """A tab: the word for it in the address bar, its label, and what draws it."""

    key: str
    label: str
    draw: Callable[[], None]
    settings: Sequence[str] = ()
    """Parameters that only this tab uses: a link that sets one, and names no tab, opens it."""
    former: Sequence[str] = ()
    """Keys of former tabs whose content is now in this one: older links name them."""


@section
def tabs(offered: Sequence[Tab], key: str = "tab") -> None:
    """Tabs of which only the open one is drawn; `key` names it in the address bar."""
    labels = [tab.label for tab in offered]
    by_key = {key: tab.label for tab in offered for key in (*tab.former, tab.key)}
    by_label = {tab.label: tab.key for tab in offered}
    opened: list[Any] = []

    def widget(shown: Sequence[str], *, key: str, persist_state: str) -> str:
        del persist_state  # tabs have no such setting: `url_state` keeps which is open
        opened.extend(st.tabs(shown, key=key, on_change="rerun"))
        return next((label for label, tab in zip(shown, opened, strict=True) if tab.open), shown[0])

    spelling = url_state.Spelling(
        lambda texts: by_key.get(texts[0]) if texts else None,
        lambda label: [by_label[label]] if label in by_label else [],  # [] in another language
    )
    meant = (tab.label for tab in offered if any(url_state.texts(name) for name in tab.settings))
    default = next(meant, labels[0])
    shown = url_state.draw(widget, labels, key=key, spelling=spelling, default=default)
    for tab, place in zip(offered, opened, strict=True):
        if tab.label == shown:
            with place:
                tab.draw()


def page_link(
    page: Entry, label: str, query: Mapping[str, str] | Sequence[tuple[str, str]] | None = None
) -> None:
    """A link to another page, with its settings if given; plain text where a page runs alone,
    without app.py around it."""
    try:
        st.page_link(page.file, label=label, icon=page.icon, query_params=query)
    except (StreamlitAPIException, KeyError):
        st.markdown(label)


def foot(page: str) -> None:
    """Draw the foot of `page` (a key of the contents)."""
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        _link()
        following = after(page)
        page_link(following, _("Next: {page}").format(page=following.name))


@st.fragment(key=url_state.LINK_FRAGMENT)
def _link() -> None:
    """The link, made when it is asked for: until then the browser may still move its sliders."""
    speak()
    place = st.popover(
        _("Link to this setting"),
        icon=":material/link:",
        on_change="rerun",
        key=url_state.LINK_FRAGMENT,
    )
    if place.open:
        place.code(url_state.link(), language=None, wrap_lines=True)


LANGUAGE = url_state.Spelling(
    lambda texts: i18n.known_language(texts[0]) if texts else None, lambda code: [code]
)
"""A link may say it in another spelling: zh-TW, zh_HK, zh-hant."""


def speak() -> None:
    """Set the language for this run.

    Call it first in app.py, and first in a function under `st.fragment`: a fragment's rerun does
    not pass through app.py, and the language is a context variable of the running thread.
    """
    chosen = st.session_state.get("lang") or i18n.known_language(st.query_params.get("lang"))
    i18n.set_language(chosen or i18n.match_language(st.context.locale))


def menu() -> None:
    """The language menu, in the sidebar; nothing where there is only English."""
    offered = i18n.available_languages()
    if len(offered) < 2:
        return
    chosen = url_state.draw(
        st.sidebar.segmented_control,
        _("Language"),
        list(offered),
        key="lang",
        spelling=LANGUAGE,
        default=i18n.match_language(st.context.locale),
        format_func=offered.__getitem__,
        label_visibility="collapsed",
    )
    i18n.set_language(chosen)


def theme(name: str) -> str:
    """A colour of the theme for CSS, by day and by night. Streamlit's own `--st-` variables are
    known inside components only, not in `st.html`."""
    day, night = (st.get_option(f"theme.{half}.{name}") for half in ("light", "dark"))
    return f"light-dark({day}, {night})"


def style() -> None:
    """Quiet words in the theme's own grey, and code in its inks: Streamlit's are too faint to read
    on a projector. A rim of the page's colour around every word in a chart: one that crosses a line
    stays readable. No room for the scripts of `url_state`, which have nothing to show. A page
    begins near the top; pills go on in a second line where there is no room."""

    page, strong = theme("backgroundColor"), theme("linkColor")
    quiet, fresh = (
        f"light-dark({SLOTS[slot].light}, {SLOTS[slot].dark})" for slot in ("muted", "pruned")
    )
    # Slanted characters are hard to read. A line can end anywhere: a title's last character would
    # stand alone, and a table's names one character to a line.
    chinese = (
        "[data-testid='stMarkdownContainer'] em {font-style: normal; font-weight: 600}"
        "h1, h2, h3 {text-wrap-style: balance}"
        "[data-testid='stMarkdownContainer'] :is(p, li) {text-wrap-style: pretty}"
        "[class*='st-key-table-'] tr > :first-child {min-width: 5em}"
        "@media (min-width: 641px) {[class*='st-key-table-'] th {word-break: keep-all}}"
        if i18n.language() == "zh-Hant"
        else ""
    )
    code = "[data-testid='stCode'] .token"  # Streamlit's own rules for it are more specific
    st.html(
        "<style>"
        "[data-testid='stCaptionContainer'], [data-testid='stImageCaption'] * "
        f"{{color: {quiet}; opacity: 1}}"
        f"{code} {{color: inherit !important}}"
        f"{code}:is(.keyword, .boolean, .number) {{color: {strong} !important}}"
        f"{code}.string {{color: {fresh} !important}}"
        f"{code}:is(.comment, .triple-quoted-string) {{color: {quiet} !important}}"
        "[data-testid='stMarkdownContainer'] :not(pre) > code, "
        "[data-testid='stCaptionContainer'] code {font-size: 0.95em !important}"
        "[data-testid='stSelectbox'] input {text-overflow: ellipsis}"
        "@media (min-width: 641px) {.st-key-instrument [data-testid='stSelectbox'] input "
        "{font-size: 0.875rem}}"  # names of networks are long
        ".st-key-instrument [data-testid='stFileUploaderDropzoneInstructions'] {display: none}"
        "[data-testid='stVegaLiteChart'] svg {overflow: visible}"  # else a last letter is cut
        "[data-testid='stVegaLiteChart'] .mark-text.role-mark text {paint-order: stroke; "
        f"stroke: {page}; stroke-width: 4px; stroke-linejoin: round}}"
        "[data-testid='stLayoutWrapper']:has(> * > .st-key-browser_sliders), "
        ".st-key-browser_address {display: none}"
        "[data-testid='stMainBlockContainer'] {padding-top: 3.2rem; padding-bottom: 2rem}"
        "@media (min-width: 641px) {[data-testid='stMainBlockContainer'] "
        "{padding-left: 3.5rem; padding-right: 3.5rem}}"
        "[data-testid='stButtonGroup'] > :has(> [data-variant='pills']), "
        ".st-key-instrument [role='radiogroup'] {flex-wrap: wrap}"
        f"{chinese}"
        "[data-testid='stMarkdownContainer'] table {display: block; overflow-x: auto}"
        "[class*='st-key-table-'] table {display: table !important; width: 100%}"
        f"[class*='st-key-table-'] th {{position: sticky; top: 0; background: {page}}}"
        "[class*='st-key-verdict'] {min-height: 3.2rem}"
        "[data-testid='stMarkdownContainer'] hr {margin: 0.8rem 0}"
        "@media (max-width: 640px) {[data-testid='stMarkdownContainer'] table {font-size: 0.875rem}"
        "[data-testid='stMarkdownContainer'] :is(th, td) "
        "{padding: 0.25rem 0.3rem !important}"
        ".st-key-instrument > * > [data-testid='stHorizontalBlock'], "
        ".st-key-instrument > [data-testid='stHorizontalBlock'] {flex-direction: column-reverse}"
        ".st-key-instrument [data-testid='stColumn'] {min-width: 100%}}"
        # Streamlit's own spinners, skeletons and fading, too; what is in a component asks itself
        "@media (prefers-reduced-motion: reduce) {*, ::before, ::after "
        "{animation-duration: 0.01ms !important; animation-iteration-count: 1 !important; "
        "transition-duration: 0.01ms !important; scroll-behavior: auto !important}}"
        "</style>"
    )
