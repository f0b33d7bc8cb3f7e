"""What only a browser can show: uploads, a slider that sends nothing, narrow screens, keys."""

import io
import math
import re
from typing import TYPE_CHECKING, Literal

import pytest

from core.distillation.temperature import examples
from core.inference.predict import open_session, run_batches
from tests.browser.waiting import until_still
from tests.food import food_picture
from tests.pages import shelf

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser


def settle(page: "Page", chart: bool = True) -> None:
    """Until Streamlit has stopped running and its charts are drawn."""
    page.wait_for_selector("h1")
    until_still(page)
    if chart:
        page.wait_for_selector("svg.marks")


def chart_texts(page: "Page") -> list[str]:
    texts: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('svg.marks text')].map(t => t.textContent)"
    )
    return texts


def wait_for_temperature(page: "Page", shown: str) -> None:
    page.wait_for_function(
        "shown => [...document.querySelectorAll('svg.marks text')]"
        ".some(t => t.textContent == shown)",
        arg=shown,
    )


def test_a_link_to_a_page_works_on_a_cold_server(page: "Page", server: str) -> None:
    """First in this file: Streamlit would run the page without app.py (pages/__init__.py)."""
    page.goto(f"{server}/compare")
    settle(page, chart=False)
    page.wait_for_selector('[data-testid="stSidebarNav"] >> text=Temperature')
    navigation = page.inner_text('[data-testid="stSidebarNav"]')
    assert "Home" in navigation and "app" not in navigation.split()


def test_home_names_the_best_network_and_leads_to_the_pages(page: "Page", server: str) -> None:
    page.goto(server)
    settle(page)
    assert "Depthwise 257 k, distilled" in chart_texts(page)
    page.get_by_role("tab", name="Every network").click()
    page.wait_for_selector('[data-testid="stMarkdown"] table')
    page.click('[data-testid="stMain"] [data-testid="stPageLink"] >> text=Architecture')
    page.wait_for_selector("h1 >> text=parameters sit")


def test_an_uploaded_photo_gets_an_answer_from_each_network(page: "Page", server: str) -> None:
    file = io.BytesIO()
    food_picture(4, 7, (96, 80)).save(file, "JPEG")
    page.goto(f"{server}/compare")
    settle(page, chart=False)
    page.set_input_files(
        '[data-testid="stFileUploader"] input[type="file"]',
        {"name": "lunch.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()},
    )
    page.wait_for_selector('img[alt="The photo lunch.jpg"]')
    page.wait_for_selector("svg.marks")
    answers = [text.split(": ") for text in chart_texts(page) if ": " in text]
    assert [name.split(" ", 1)[1] for name, _food in answers] == ["Teacher", "Student"]
    assert answers[0][1] == "Fried food"
    page.click('[data-testid="stSelectbox"] input')
    page.keyboard.type("Fried")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Right so far")
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')].some(t => t.textContent.includes('✓'))"
    )


def test_dragging_the_temperature_sends_nothing(page: "Page", server: str) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    page.goto(f"{server}/temperature")
    settle(page)
    assert not page.query_selector(".vega-bindings input")  # it would answer the guess
    page.click('text="Just show me"')
    page.wait_for_selector(".vega-bindings input")
    settle(page)
    assert frames  # the app does talk to its server: the count below can fail
    assert live_numbers(page) == expected_numbers(1.0)
    page.focus('input[type="range"][name="T"]')
    before, sent = chart_texts(page), len(frames)
    for _press in range(10):
        page.keyboard.press("ArrowRight")
    wait_for_temperature(page, "T = 2.0")
    page.wait_for_timeout(500)
    assert len(frames) == sent

    after = chart_texts(page)
    assert figures(before) == expected_figures(1.0)
    assert figures(after) == expected_figures(2.0)
    assert [text for text in after if text.startswith("entropy ")] == expected_entropies(2.0)
    assert live_numbers(page) == expected_numbers(2.0)


def live_numbers(page: "Page") -> list[str]:
    """The numbers in the sentences that follow the slider: T, the answer's share, the others',
    the entropy, and the runner-up's share of the others."""
    sentences = page.inner_text(".st-key-follows_t")
    found = re.search(
        r"At T = (\S+) the teacher gives \D+ (\S+\s?%), and the other ten classes together "
        r"(\S+\s?%)\. Entropy: (\S+) of[\s\S]+ has (\S+\s?%) of what is not",
        sentences,
    )
    assert found, sentences
    return [one.replace("\u202f", " ") for one in found.groups()]


def expected_numbers(t: float) -> list[str]:
    teacher = softmax_by_hand(default_example()[0], t)
    entropy = -sum(p * math.log(p) for p in teacher if p)
    shares = [teacher[0], 1 - teacher[0], teacher[1] / (1 - teacher[0])]
    top, rest, second = (f"{p * 100:.0f} %" for p in shares)
    return [f"{t:.1f}", top, rest, f"{entropy:.2f}", second]


def figures(texts: list[str]) -> list[str]:
    """The percentages beside the bars: behind six labels of the axis, both panels in turn."""
    return [text for text in texts if re.fullmatch(r"<?\d+%", text)][6:]


def default_example() -> list[list[float]]:
    """Logits of the page's default example, from the test pictures: the teacher's, sorted by
    them, and the distilled student's in the same order."""
    pixels, labels = shelf.test_pictures()
    both = [
        run_batches(open_session(shelf.colour_graph(noise)), pixels)
        for noise in (shelf.NOISE[shelf.TEACHER], shelf.NOISE[shelf.DISTILLED])
    ]
    row = examples(both[0], both[1], labels)["hesitates"][0]
    order = sorted(range(11), key=lambda k: -both[0][row][k])
    return [[float(one[row][k]) for k in order] for one in both]


def softmax_by_hand(logits: list[float], t: float) -> list[float]:
    powers = [math.exp((z - max(logits)) / t) for z in logits]
    return [power / sum(powers) for power in powers]


def expected_figures(t: float) -> list[str]:
    """What stands beside the bars at T, by plain arithmetic."""
    return [
        "<1%" if p < 0.005 else f"{math.floor(p * 100 + 0.5)}%"
        for logits in default_example()
        for p in softmax_by_hand(logits, t)
    ]


def expected_entropies(t: float) -> list[str]:
    found = []
    for logits in default_example():
        entropy = -sum(p * math.log(p) for p in softmax_by_hand(logits, t) if p)
        found.append(f"entropy {entropy:.2f} nats")
    return found


@pytest.mark.parametrize(
    ("path", "scheme"), [("", "light"), ("compare", "light"), ("temperature", "dark")]
)
def test_a_phone_needs_no_sideways_scroll(
    page: "Page", server: str, path: str, scheme: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{server}/{path}")
    settle(page, chart=path != "compare")
    wide = page.evaluate(
        "() => [document.documentElement, document.querySelector('[data-testid=\"stMain\"]')]"
        ".some(e => e.scrollWidth > e.clientWidth + 1)"
    )
    assert not wide
    cut = page.evaluate(
        "() => [...document.querySelectorAll('svg.marks')]"
        ".some(s => s.getBoundingClientRect().right > window.innerWidth + 1)"
    )
    assert not cut
    assert not page.query_selector('[data-testid="stException"]')


def card(page: "Page") -> "Locator":
    return page.get_by_role("dialog", name="New here?")


@pytest.mark.parametrize(("key", "width"), [("Escape", 390), ("Enter", 1280)])
def test_a_first_visitor_is_greeted_once(page: "Page", server: str, key: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme="dark" if width == 390 else "light")
    page.goto(server)
    settle(page)
    card(page).wait_for()
    box = card(page).bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
    assert box["y"] >= 0 and box["y"] + box["height"] <= 844
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert card(page).get_by_role("button").evaluate("e => e.getRootNode().activeElement === e")
    tops = "() => [...document.querySelectorAll('h1, h2, svg.marks')].map(e => e.offsetTop)"
    before, sent = page.evaluate(tops), []
    page.on("request", lambda request: sent.append(request.url))
    page.on("websocket", lambda socket: sent.append(socket.url))
    page.evaluate(
        "() => { const send = WebSocket.prototype.send; window.messages = 0;"
        "WebSocket.prototype.send = function (...all) { window.messages++;"
        "return send.apply(this, all); }; }"
    )
    page.keyboard.press(key)
    card(page).wait_for(state="detached")
    page.wait_for_timeout(500)
    assert page.evaluate(tops) == before and sent == [] and page.evaluate("window.messages") == 0
    page.reload()
    settle(page)
    assert card(page).count() == 0


def test_links_to_a_setting_rooms_and_presenters_are_not_greeted(page: "Page", server: str) -> None:
    for query in ("?cost=macs", "?stage=true", "?tab=networks"):
        page.goto(f"{server}/{query}")
        settle(page)
        assert card(page).count() == 0


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_of_the_page_moves_for_who_wants_less_motion(
    page: "Page", server: str, motion: Literal["reduce", "no-preference"]
) -> None:
    page.emulate_media(reduced_motion=motion)
    page.goto(server)
    settle(page)
    longest = page.evaluate(
        "() => Math.max(...[...document.querySelectorAll('*')].flatMap(e => {"
        "const {animationDuration, transitionDuration} = getComputedStyle(e);"
        "return (animationDuration + ',' + transitionDuration).split(',').map(parseFloat)}))"
    )
    assert longest < 0.001 if motion == "reduce" else longest > 0.1


def test_a_browsers_chinese_comes_first_and_a_choice_stays(browser: "Browser", server: str) -> None:
    """On every page, at 390 px, in a link, after a reload of the link in an English browser."""
    chinese = browser.new_context(locale="zh-TW", viewport={"width": 390, "height": 844})
    english = browser.new_context(locale="en-GB")
    try:
        page = chinese.new_page()
        page.goto(f"{server}/temperature?lang=")
        settle(page)
        assert page.inner_text("h1") == "溫度升高會怎樣？"
        wait_for_temperature(page, "乳製品")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        other = english.new_page()
        other.goto(f"{server}/temperature")
        settle(other)
        assert other.inner_text("h1") == "What does a higher temperature do?"
        other.get_by_role("radio", name="繁體中文").click()
        other.wait_for_selector("h1 >> text=溫度升高會怎樣？")
        other.wait_for_function("location.search.includes('lang=zh-Hant')")
        other.click('[data-testid="stSidebarNav"] >> text=卷積')
        other.wait_for_selector("h1 >> text=一個卷積層的成本是多少？")
        other.wait_for_function("location.search.includes('lang=zh-Hant')")
        # Streamlit's own words, too
        other.get_by_label("複製 Vega-Lite 規格：").first.wait_for(state="attached")
        other.goto(f"{server}/compare?lang=zh-Hant")
        upload = other.get_by_test_id("stFileUploaderDropzone")
        upload.get_by_role("button", name="上傳", exact=True).wait_for()
        other.get_by_role("radio", name="English").click()
        upload.get_by_role("button", name="Upload", exact=True).wait_for()
        again = english.new_page()
        again.goto(f"{server}/convolutions?lang=zh-Hant")
        again.wait_for_selector("h1 >> text=一個卷積層的成本是多少？")
    finally:
        chinese.close()
        english.close()
