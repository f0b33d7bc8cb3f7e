"""`python -m tools bench`: how fast this machine is at what the app does.

`training` and `distillation` are measured in `tools.bench_training`. `browser` times the engine
that runs students in a visitor's browser. `photo` is how long a visitor waits: from a photo's bytes
to what every checkpoint says of it. The photo is read anew each time, the sessions are open, as
they are for every visitor but the first. Timed by `core.timing` (warm-up, interleaved rounds,
median and 95th percentile).
"""

import base64
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from tyro.conf import arg, subcommand

from core import limited
from core.checkpoints import load_manifest
from core.cli.answer import Answer, table
from core.cli.train import device_here
from core.errors import CheckpointError, ConfigError, PhotoError
from core.export.browser import ENGINE, browser_file
from core.i18n import _
from core.inference.predict import THREADS, predict_photo, predictor
from core.photos import LIMITS, prepare, read_photo, read_photo_file
from core.photos.decode import size
from core.timing import time_calls

PHONE = (4000, 3000)
"""Width and height of the made-up photo: what a phone's 12 megapixels are."""


def phone_photo(size: tuple[int, int] = PHONE) -> bytes:
    """A JPEG of that size in pixels, soft shapes under sensor-like noise: a few megabytes."""
    rng = np.random.default_rng(0)
    shapes = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    soft = np.asarray(shapes.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = soft + rng.integers(-6, 7, soft.shape, dtype=np.int16)
    written = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(written, "JPEG", quality=90)
    return written.getvalue()


def bench_photo(
    photo: Path | None = None, ids: Sequence[str] = (), repeats: int = 30
) -> dict[str, Any]:
    """Time the way from `photo` (else a made-up one) to the answers of `ids` (else all).

    Returns {"photo", "megapixels", "bytes", "checkpoints": [id], "threads", "steps": {step: Timing
    as a dict, milliseconds}}. Steps: `read` (bytes to RGB), `answer` (read, cut, one run of every
    checkpoint) and `compare` (what the Compare page does: as `answer`, each run timed repeatedly).
    Raises CheckpointError where there is no checkpoint, PhotoError for a bad photo.
    """
    chosen = list(ids) or list(load_manifest())
    if not chosen:
        raise CheckpointError(
            _("There are no checkpoints yet. Make them with: python -m core reproduce")
        )
    if photo is not None:
        read_photo_file(photo)  # refuses what is no photo, and too large a file, before it is read
    data = phone_photo() if photo is None else photo.read_bytes()
    width, height = limited.call(size, data, limits=LIMITS, error=PhotoError)
    steps = time_calls(
        {
            "read": partial(read_photo, data),
            "answer": lambda: _answer(data, chosen),
            "compare": lambda: predict_photo(read_photo(data), chosen),
        },
        repeats=repeats,
        threads=THREADS,
    )
    return {
        "photo": photo.name if photo else _("made up, {w} x {h}").format(w=PHONE[0], h=PHONE[1]),
        "megapixels": round(width * height / 1e6, 1),
        "bytes": len(data),
        "checkpoints": chosen,
        "threads": THREADS,
        "steps": {name: timing.model_dump() for name, timing in steps.items()},
    }


def _answer(data: bytes, ids: Sequence[str]) -> None:
    image = read_photo(data)
    ready = [predictor(id) for id in ids]
    seen = [(network.checkpoint.input_px, network.checkpoint.crop) for network in ready]
    squares = {view: prepare(image, *view)[None] for view in set(seen)}
    for network, view in zip(ready, seen, strict=True):
        network.logits(squares[view])


@dataclass(frozen=True)
class Training:
    """Images per second of our training loop against a loop written the course's way: the same
    network and photographs, taking turns in one run.
    """

    model: str = "dwpw_256k"
    """Network to train: a key of `python -m core models`."""

    px: int = 128
    """Side of the square picture the network sees."""

    batch_size: int = 64
    """Photographs per step."""

    turns: int = 5
    """Counted turns of each loop; one more of each warms up."""

    steps: int = 4
    """Steps in a turn."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to compute; without it, on the GPU if there is one."""

    data: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with Food-11, instead of FOOD11_ROOT or data/food11."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from tools.bench_training import bench_training

        if min(self.turns, self.steps) < 1 or self.batch_size < 2 or not 32 <= self.px <= 512:
            raise ConfigError(
                _("At least 1 turn, 1 step and a batch of 2, on pictures of 32 to 512 pixels.")
            )
        device = device_here(self.device)
        measured = bench_training(
            self.model, self.px, self.batch_size, self.turns, self.steps, device, self.data
        )
        rows: list[dict[str, Any]] = [
            {"images per second": _("the course's way")} | measured["course"]["images_per_s"],
            {"images per second": _("ours")} | measured["ours"]["images_per_s"],
            {"images per second": _("ours / the course's")} | measured["ratio"],
        ]
        heading = _(
            "{model}, {px} px, batch {batch_size}, {turns} turns of {steps} steps; {device}; {data}"
        ).format(**measured)
        return Answer(measured, f"{heading}\n\n{table(rows)}")


@dataclass(frozen=True)
class Distillation:
    """Seconds of a distilled student's epoch against one from scratch, taking turns in one run:
    with the teacher's answers kept from before, and with the teacher asked.
    """

    model: str = "dwpw_256k"
    """Student to train: a key of `python -m core models`."""

    teacher: str = ""
    """Checkpoint that teaches; without it, the first teacher there is."""

    px: int = 128
    """Side of the square picture the network sees."""

    share: float = 1.0
    """Share of the training photographs, the same in every class."""

    turns: int = 3
    """Counted epochs of each; one more of each warms up."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to compute; without it, on the GPU if there is one."""

    data: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with Food-11, instead of FOOD11_ROOT or data/food11."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from tools.bench_training import bench_distillation

        possible = self.turns >= 1 and 0 < self.share <= 1 and 32 <= self.px <= 512
        if not possible or self.px % 16:
            raise ConfigError(
                _("At least 1 turn, a share up to 1, on pictures of 32 to 512 pixels (16, 32 ...).")
            )
        device = device_here(self.device)
        measured = bench_distillation(
            self.model, self.teacher, self.px, self.share, self.turns, device, self.data
        )
        titles = {
            "scratch": _("labels alone"),
            "kept": _("with the teacher's kept answers"),
            "asked": _("with the teacher asked"),
        }
        rows: list[dict[str, Any]] = [
            {"seconds an epoch": titles[way]} | spread
            for way, spread in measured["epoch_s"].items()
        ]
        rows += [
            {"seconds an epoch": _("{way} / labels alone").format(way=titles[way])} | spread
            for way, spread in measured["ratio"].items()
        ]
        heading = _(
            "{model} taught by {teacher} ({teacher_runs_on}), {px} px, batch {batch_size}, "
            "{photographs:,} photographs, {turns} turns; {device}; {data}"
        ).format(**measured)
        run = _(
            "A run of {epochs} epochs over {views} views costs {first_student:.2f} times the "
            "scratch run for a teacher's first student, {later_students:.2f} times for every later "
            "one (aim: {aim})."
        ).format(**measured["run"], aim=measured["aim"])
        return Answer(measured, f"{heading}\n\n{table(rows)}\n\n{run}")


@dataclass(frozen=True)
class Photo:
    """How long a visitor waits: from a photo's bytes to the answers of every checkpoint."""

    photo: Annotated[Path | None, arg(metavar="FILE")] = None
    """The photo to use; without it, a made-up one of 12 megapixels."""

    repeats: int = 30
    """Counted rounds."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:

        if self.repeats < 1:
            raise ConfigError(_("At least 1 round."))
        measured = bench_photo(self.photo, repeats=self.repeats)
        rows = [
            {"step": name, "median ms": t["median_ms"], "p95 ms": t["p95_ms"], "rounds": t["n"]}
            for name, t in measured["steps"].items()
        ]
        heading = _(
            "{photo}: {megapixels} megapixels, {bytes:,} bytes; checkpoints {n}, threads {threads}"
        ).format(**measured, n=len(measured["checkpoints"]))
        return Answer(measured, f"{heading}\n\n{table(rows)}")


_IN_PAGE = """
([plan, file]) => {
  const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
  const network = new Network(JSON.parse(plan), bytes.buffer), took = [];
  const picture = new Uint8Array(4 * network.plan.px ** 2).map((_value, at) => at * 7);
  for (let round = 0; round < 5; round++) network.run(picture);
  window.again = (rounds) => {
    for (let round = 0; round < rounds; round++) {
      const start = performance.now();
      network.run(picture);
      took.push(performance.now() - start);
    }
    return took;
  };
}
"""


def bench_browser(ids: Sequence[str] = (), repeats: int = 30) -> dict[str, Any]:
    """Time one picture of `ids` (else a shipped network of each student) in a real Chromium.

    Returns {"checkpoints": {id: {"bytes", "cpu_ms", "median_ms", "p95_ms", "n"}}}, after five
    pictures for warming up, one thread. `cpu_ms` is processor time, which other programs do not
    lengthen much. Raises ConfigError where there is no Chromium.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError(_("This needs playwright: see requirements-dev.txt.")) from error
    chromium = os.environ.get("SMALL_PLATES_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise ConfigError(_("This needs Chromium: name it in SMALL_PLATES_CHROMIUM."))
    listed = load_manifest()
    first = {each.model: id for id, each in listed.items() if each.family == "student"}
    measured = {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=ENGINE.read_text(encoding="utf-8"))
        session = browser.new_browser_cdp_session()

        def cpu_s() -> float:
            processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
            return sum(each["cpuTime"] for each in processes if each["type"] == "renderer")

        for id in ids or first.values():
            plan, weights = browser_file(listed[id], "safetensors")
            page.evaluate(_IN_PAGE, [plan, base64.b64encode(weights).decode()])
            before = cpu_s()
            took = page.evaluate("again", repeats)
            measured[id] = {
                "bytes": len(weights) + len(plan),
                "cpu_ms": 1000 * (cpu_s() - before) / repeats,
                "median_ms": float(np.median(took)),
                "p95_ms": float(np.percentile(took, 95)),
                "n": len(took),
            }
        browser.close()
    return {"checkpoints": measured}


@dataclass(frozen=True)
class InBrowser:
    """How fast the engine of the Export page computes each student in Chromium."""

    ids: Annotated[tuple[str, ...], arg(metavar="ID")] = ()
    """Checkpoints to time; without any, one of each student."""

    repeats: int = 30
    """Counted pictures."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        """Measure."""
        if self.repeats < 1:
            raise ConfigError(_("At least 1 round."))
        measured = bench_browser(self.ids, self.repeats)
        rows = [{"checkpoint": id, **row} for id, row in measured["checkpoints"].items()]
        return Answer(measured, table(rows))


@dataclass(frozen=True)
class Bench:
    """Measure speed on this machine."""

    what: (
        Annotated[Training, subcommand("training")]
        | Annotated[Distillation, subcommand("distillation")]
        | Annotated[Photo, subcommand("photo")]
        | Annotated[InBrowser, subcommand("browser")]
    )

    @property
    def json(self) -> bool:
        """Whether the chosen measurement was asked for as JSON."""
        return self.what.json

    def run(self) -> Answer:
        """Measure."""
        return self.what.run()
