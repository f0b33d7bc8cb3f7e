"""A visitor's own student in a browser: the verdict, its answer beside the teacher's, pruning."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.maps import photo
from tests.core.own.test_file import homework_student, saved

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
SLOW_MS = 300_000
"""A process imports torch and exports the network, on a machine that tests keep busy."""


def test_a_student_is_brought_compared_pruned_and_removed(
    page: "Page", server: str, tmp_path: Path
) -> None:
    file = tmp_path / "lunch_net.pth"
    file.write_bytes(saved({"model_state_dict": homework_student().state_dict()}))
    page.goto(f"{server}/architecture?mode=own")
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_text("HW13 2023: at most 60,000. It is over: 0 points").wait_for()
    assert "256,779" in page.locator("[data-testid='stMain']").inner_text()
    page.get_by_role("button", name="Use it on the other pages").click()
    page.get_by_role("button", name="Remove", exact=True).wait_for(timeout=SLOW_MS)

    main = page.locator("[data-testid='stMain']")
    main.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare?**")
    picture = {"name": "disc.png", "mimeType": "image/png", "buffer": photo()}
    page.locator("input[type=file]").first.set_input_files(picture)  # type: ignore[arg-type]
    main.get_by_text("What you see").wait_for()
    answers = page.locator("svg.marks").first.text_content() or ""
    assert "Your lunch_net: " in answers and "Teacher: " in answers

    page.go_back()
    main.get_by_role("link", name="Pruning").click()
    page.wait_for_url("**/pruning?**")
    main.get_by_text("The curves of this network are not measured yet").wait_for()
    assert "Your lunch_net" in page.get_by_role("combobox", name="Network").input_value()
    main.get_by_role("tab", name="Layers").click()
    page.get_by_role("combobox", name="Convolution").wait_for()

    page.get_by_role("link", name="Architecture").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Remove", exact=True).wait_for(state="detached")
