"""How a test waits for a page: until nothing moves any more, however slow the machine is."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOOKS = 4
EVERY_MS = 100

STILL = """looks => {
  const app = document.querySelector('[data-testid="stApp"]');
  const main = document.querySelector('[data-testid="stMain"]');
  // what is hidden, as most of a page is from a presenter, is not drawn
  const shown = (selector) => [...main.querySelectorAll(selector)]
    .filter(each => each.getClientRects().length);
  const waits = () => shown('[data-testid="stSkeleton"], [data-stale="true"]').length;
  const drawn = () => shown('[data-testid="stVegaLiteChart"]')
    .every(chart => chart.querySelector('svg, canvas'));
  const rests = app?.dataset.testScriptState === 'notRunning'
    && main?.querySelector('[data-testid="stElementContainer"]')
    && !waits() && drawn();
  const controls = rests && [...main.querySelectorAll('input, select, textarea')];
  const now = rests && [location.href, main.scrollHeight, main.innerHTML]
    .concat(controls.map(each => `${each.value} ${each.checked}`)).join();
  const last = window.stillness;
  const count = rests && last?.now === now ? last.count + 1 : 0;
  window.stillness = {now, count};
  return count >= looks;
}"""
"""Streamlit has stopped running, all is drawn, and so many looks in a row saw the same page."""


def until_still(page: "Page") -> None:
    """Until Streamlit has stopped running, all is drawn, and the page has not changed since."""
    page.evaluate("window.stillness = null")
    page.wait_for_function(STILL, arg=LOOKS, polling=EVERY_MS)
