"""Presenter mode: large text, one section at a time, keys and clickers move on, a QR code to join.

It is on where the address says `stage=true` (or 1). The page is the one that everybody sees: the
browser enlarges it, and hides all but the section that is shown.
"""

import streamlit as st

from core.i18n import _
from pages.kit import figure, room, url_state

STAGE = "stage"
"""The parameter that turns it on."""

_MAIN = "[data-testid='stMainBlockContainer']"
_BLOCKS = ":is([data-testid='stElementContainer'], [data-testid='stLayoutWrapper'])"
_KEPT = ":not(:has(.st-key-stage, .st-key-room-bar), .st-key-stage *, .st-key-room-bar *)"
_TABS = "[data-testid='stTabs']"
_CLASS = f"[class*='st-key-class-guesses']:not({_TABS} *)"
_CSS = (
    "[data-testid='stSidebar'], [data-testid='stHeader'], .st-key-foot, hr {display: none}"
    # 14 px, the smallest text of a page or chart, becomes 24.5 px on a screen of 1,920
    f"{_MAIN} {{zoom: var(--stage-zoom, 1.75); max-width: none; padding: 1rem 8.5rem 2rem 2rem}}"
    # Vega measures in pixels of the screen: it draws as wide as there, and is enlarged again
    "[data-testid='stVegaLiteChart'] {width: calc(100% / var(--stage-zoom, 1.75)) !important}"
    f"[data-stage='top'] {_MAIN} {_BLOCKS}:has(> {_TABS}), [data-stage='top'] {_MAIN} {_TABS}, "
    f"[data-stage='tab'] {_MAIN} {_BLOCKS}:not(:has({_TABS}), {_TABS} *){_KEPT} {{display: none}}"
    # a class's guesses stand above the QR code: beside the picture, wherever one has scrolled to
    f"{_MAIN}:has({_CLASS}) {{padding-right: 13rem}}"
    f"{_CLASS} {{position: fixed; right: 1rem; top: 0.8rem; width: 11rem; gap: 0.4rem; "
    "max-height: 23rem; overflow-y: auto}"
    f"{_CLASS} [role='img'] {{grid-template-columns: fit-content(60%) 1fr !important; "
    "gap: 0.2rem 0.5rem !important; line-height: 1.25}"
    f"{_CLASS} button {{width: 100%; text-align: left}}"
    f"{_TABS} [class*='st-key-class-question'] {{display: none}}"  # it stands right above
    f"{_CLASS} [data-testid='stMarkdownContainer'] p {{line-height: 1.25}}"
    ".st-key-stage {position: fixed; right: 1rem; bottom: 1rem; width: 7rem; gap: 0.4rem}"
    ".st-key-stage b {display: block; text-align: center; letter-spacing: 0.1em}"
    f"{_MAIN} [data-testid='stSliderTickBar'] * {{font-size: 0.875rem}}"
)
_SCRIPT = """
const html = document.documentElement;
let path = "";

const size = () => html.style.setProperty("--stage-zoom", Math.max(1, innerWidth / 1097));
addEventListener("resize", size);

function show(step) {
  html.dataset.stage = step;
  document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
}

// one screen on within a section, then the next section, then the next page
function move(way) {
  const main = document.querySelector('[data-testid="stMain"]');
  const left = way > 0 ? main.scrollHeight - main.clientHeight - main.scrollTop : main.scrollTop;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  if (left > 40) return main.scrollBy({top: way * 0.85 * main.clientHeight, behavior});
  const list = main.querySelector('[data-testid="stTabs"] [role="tablist"]');
  const tabs = list ? [...list.querySelectorAll('[role="tab"]')] : [];
  const open = tabs.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
  const next = (html.dataset.stage === "tab" ? open : -1) + way;
  if (next < -1) return;
  if (next >= tabs.length) return main.querySelector(".st-key-foot a")?.click();
  if (next >= 0 && next !== open) tabs[next].click();
  show(next < 0 ? "top" : "tab");
}

addEventListener("keydown", (event) => {
  const end = document.querySelector(".st-key-stage button");
  if (!end || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const way = {PageDown: 1, ArrowRight: 1, PageUp: -1, ArrowLeft: -1}[event.key];
  const moves = 'input, textarea, select, [role="slider"], [role="radio"], [role="tab"], ' +
    '[role="combobox"], [contenteditable="true"]';
  const isMine = event.key.startsWith("Page") || !event.target.closest?.(moves);
  if (event.key === "Escape") end.click();
  if (!way || !isMine) return;
  event.preventDefault();
  event.stopPropagation();
  move(way);
}, true);

export default function () {
  size();
  if (path !== location.pathname || !html.dataset.stage) show("top");
  path = location.pathname;
}
"""
_keys = st.components.v2.component("small_plates_stage", js=_SCRIPT)


def enter() -> None:
    """Before the page is drawn: where presenter mode is on, its look, its keys, and the corner."""
    if not url_state.is_on(STAGE):
        return
    address = room.address("class" if room.seat() else url_state.page())
    place = room.seat()
    st.html(f"<style>{_CSS}</style>")
    with st.container(key="stage"):
        if place is None or url_state.page() != "class":  # which shows the code in large
            code = figure.kept(lambda: room.qr(address), "room qr", address)
            st.html(f"{code}<b>{place.code if place else ''}</b>")
        st.button(_("End"), on_click=url_state.say, args=(STAGE,), type="tertiary", width="stretch")
        _keys(key="stage_keys")


def switch() -> None:
    """The button that turns presenter mode on."""
    if st.button(
        _("Presenter mode"),
        icon=":material/present_to_all:",
        help=_("PageUp, PageDown and the arrow keys move on; Esc ends it."),
        key="stage_on",
    ):
        url_state.say(STAGE, "true")
        st.rerun()  # all of the page, and not only the section that the button is in
