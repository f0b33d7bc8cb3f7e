"""The film at the top of README: the app in a real Chromium, as an animated picture.

    python -m tools film                             # docs/film.gif, and docs/film.zh-Hant.gif

Needs what the browser tests need: playwright and a Chromium. The server sees no photographs, since
none of them may be published: the app then shows pictures generated from a teacher's weights.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from core.cli.answer import Answer
from core.errors import UserError
from core.i18n import LANGUAGES, SOURCE_LANGUAGE, _
from core.paths import REPO, write_atomic
from tools.load import server

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZE = (1240, 760)
MOVING_MS, LOOKING_MS = 140, 1800
"""How long a picture stands while something moves, and where there is something to read."""
IDLE = """document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === 'notRunning'
  && !document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]')"""


@dataclass
class Film:
    """Pictures of a tab, each with the time that it stands, ms."""

    page: "Page"
    frames: list[tuple[Image.Image, int]] = field(default_factory=list)

    def take(self, stands_ms: int = LOOKING_MS) -> None:
        """A picture of the top of the page as it is now."""
        self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append((picture, stands_ms))

    def settle(self) -> None:
        """Wait until Streamlit has drawn."""
        self.page.wait_for_function(IDLE)
        self.page.wait_for_timeout(700)

    def open(self, page: str) -> None:
        """Another page, by the menu."""
        self.page.click(f'[data-testid="stSidebarNavLink"][href$="/{page}"]')
        self.page.wait_for_function(f"location.pathname === '/{page}'")
        self.settle()
        self.take()

    def click(self, place: str, stands_ms: int = LOOKING_MS) -> None:
        """Press something, and look at what comes of it."""
        self.page.click(place)
        self.page.mouse.move(0, 0)  # over a chart it would show the chart's buttons
        self.settle()
        self.take(stands_ms)

    def drag(self, slider: str, key: str, steps: int, each: int = 1) -> None:
        """Move a slider with the keyboard, a picture each few steps."""
        self.page.focus(slider)
        for _step in range(steps):
            for _press in range(each):
                self.page.keyboard.press(key)
            self.page.wait_for_timeout(120)
            self.take(MOVING_MS)
        self.settle()
        self.take()


def _scenes(film: Film) -> None:
    """A network shrinks; its answers; the temperature; the pruning curve, guessed and seen."""
    film.take()
    for step in film.page.locator('.vega-bindings input[name="step"]').all()[1:]:
        step.check()
        film.page.mouse.move(0, 0)
        for _moving in range(3):
            film.page.wait_for_timeout(60)
            film.take(MOVING_MS)
        film.take(1200)
    film.open("compare")
    film.click(".st-key-next_example button, .st-key-next_dream button")
    film.open("temperature")
    film.click(".st-key-guess_grows button >> nth=1")
    film.drag('.vega-bindings input[name="T"]', "ArrowRight", steps=14, each=5)
    film.open("pruning")
    film.click(".st-key-guess_curve button >> nth=0")
    film.drag(".st-key-ratio [role=slider], .st-key-ratio input", "ArrowRight", steps=7)


@contextmanager
def _tab(address: str, language: str) -> Iterator["Page"]:
    from playwright.sync_api import sync_playwright

    browser = os.environ.get("SMALL_PLATES_CHROMIUM") or shutil.which("chromium")
    if not browser:
        raise UserError(_("No Chromium was found: install one, or name it in {variable}.").format(
            variable="SMALL_PLATES_CHROMIUM"))  # fmt: skip
    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-background-networking"]
        )
        width, height = SIZE
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        page.goto(f"{address}/?lang={language}")
        page.wait_for_selector(".welcome")
        page.keyboard.press("Escape")
        yield page
        chromium.close()


def as_gif(frames: list[tuple[Image.Image, int]]) -> bytes:
    """An animated GIF of (picture, ms); all share one palette, so that nothing flickers."""
    every = frames[:: max(1, len(frames) // 12)]
    strip = Image.new("RGB", (SIZE[0], SIZE[1] * len(every)))
    for number, (picture, _ms) in enumerate(every):
        strip.paste(picture, (0, SIZE[1] * number))
    palette = strip.quantize(method=Image.Quantize.MAXCOVERAGE)  # rare colours are the charts'
    first, *rest = (
        picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture, _ms in frames
    )
    file = io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=rest, duration=[ms for _picture, ms in frames],
        loop=0, optimize=False,
    )  # fmt: skip
    return file.getvalue()


@dataclass(frozen=True)
class FilmCommand:
    """Make the film at the top of README, in each language, with the app as it is now."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        os.environ.pop("FOOD11_ROOT", None)
        sizes = {}
        with server() as running:
            for language in LANGUAGES:
                mark = "" if language == SOURCE_LANGUAGE else f".{language}"
                path = REPO / "docs" / f"film{mark}.gif"
                with _tab(running.address, language) as page:
                    film = Film(page)
                    film.settle()
                    _scenes(film)
                data = as_gif(film.frames)
                write_atomic(path, data)
                sizes[path.name] = len(data)
        text = "\n".join(f"docs/{name}: {size / 1e6:.1f} MB" for name, size in sizes.items())
        return Answer(sizes, text)
