"""A touch redraws the section that it belongs to: nothing else of the page is sent, or drawn."""

from typing import TYPE_CHECKING, Any

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.waiting import until_still

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TABBED = ("compare", "pruning")
MARK = """() => {
  const tabs = document.querySelector('[data-testid="stTabs"]');
  const kept = [...document.querySelectorAll('[data-testid="stMain"] [data-testid]')]
    .filter((e) => !e.contains(tabs) && !tabs.contains(e));
  window.kept = kept.map((e) => [e, e.outerHTML]);
  return kept.length;
}"""
CHANGED = """() => window.kept.filter(([e, was]) => !e.isConnected || e.outerHTML !== was)
  .map(([e]) => e.dataset.testid)"""


@pytest.mark.parametrize("name", TABBED)
def test_another_tab_leaves_the_rest_of_the_page_alone(
    page: "Page", server: str, name: str
) -> None:
    received: list[Any] = []
    page.on(
        "websocket", lambda socket: socket.on("framereceived", lambda data: received.append(data))
    )
    page.goto(f"{server}/{name}")
    page.wait_for_selector('[data-testid="stTabs"] [role="tab"]')
    until_still(page)
    assert page.evaluate(MARK) > 5
    received.clear()
    page.locator('[data-testid="stTabs"] [role="tab"]').nth(1).click()
    page.wait_for_function("location.search.includes('tab=')")
    until_still(page)

    messages = [ForwardMsg.FromString(data) for data in received]
    deltas = [one.delta for one in messages if one.WhichOneof("type") == "delta"]
    ends = [one.script_finished for one in messages if one.WhichOneof("type") == "script_finished"]
    assert ends == [ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY]
    assert deltas and all(delta.fragment_id for delta in deltas)
    assert page.evaluate(CHANGED) == []
