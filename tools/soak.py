"""Half an hour of a busy class: does the server keep what it takes?

    python -m tools.soak                             # 20 sessions for 30 minutes
    python -m tools.soak --minutes 5 --json

Starts a server of its own and lets sessions over the websocket (`tools.load`) do what a class does:
touch widgets, change pages, guess in a room, give photos to *Compare*; every few minutes one of
them starts a short training. All the while memory, threads, file handles and children of the
server are written down. What counts is what happens after `SETTLED_S`: by then every page has been
opened and every store is full, so nothing should grow any more.
"""

import argparse
import asyncio
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from core.classroom import Rooms
from pages.kit import frame
from tools.load import Answer, Session, Watch, quantile, server

SETTLED_S = 300.0
"""The first five minutes may fill caches."""
SAMPLE_S = 10.0
TRAIN_EVERY_S = 300.0
TRAINS_FOR_S = 90.0
"""None begins so shortly before the end: a training outlives the server that started it."""
PHOTO_SHARE, PAGE_SHARE = 0.05, 0.25
"""Of what a session does: a photo; another page. The rest are touches."""
PHOTO_PX = (1200, 900)


@dataclass
class Soak:
    """What was seen. Times in seconds, memory in MB (10^6 bytes)."""

    sessions: int
    think_s: float
    seconds: float
    samples: list[dict[str, float]] = field(default_factory=list)
    """Every `SAMPLE_S`: seconds since the start, memory_mb, threads, files, children."""
    done: dict[str, int] = field(default_factory=dict)
    """How often what was done: page, touch, photo, training."""
    p95_s: float = 0.0
    errors: list[str] = field(default_factory=list)

    def settled(self, what: str) -> tuple[float, float, float]:
        """Of what was sampled after `SETTLED_S`: median of its first and of its last third, and
        the slope of the line through all, per hour. Raises ValueError for under six samples."""
        late = [(each["at"], each[what]) for each in self.samples if each["at"] >= SETTLED_S]
        if len(late) < 6:
            raise ValueError(f"{len(late)} samples after {SETTLED_S:g} s: let it run for longer")
        third = len(late) // 3
        first, last = (
            statistics.median(v for _at, v in part) for part in (late[:third], late[-third:])
        )
        slope = statistics.linear_regression(*zip(*late, strict=True)).slope
        return first, last, slope * 3600


def made_photo(seed: int) -> bytes:
    """A JPEG of blurred colours: each seed another one, so that no answer is in a store."""
    small = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(PHOTO_PX, Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


async def _pupil(
    session: Session, pages: Sequence[str], room: str, until: float, think_s: float
) -> None:
    await session.connect()
    await session.open("", "open", query=f"room={room}")
    photo = session.random.randint(0, 10**9)
    while (pause := session.random.expovariate(1 / think_s)) + time.monotonic() < until:
        await asyncio.sleep(pause)
        chance = session.random.random()
        if chance < PHOTO_SHARE:
            photo += 1
            await session.open("compare", query=f"room={room}")
            await session.upload("uploads", made_photo(photo))
        elif chance < PHOTO_SHARE + PAGE_SHARE or await session.touch() is None:
            await session.open(session.random.choice(pages), query=f"room={room}")


async def _trainer(session: Session, until: float, report: Soak) -> None:
    """Start a short training now and then, each with another rate: no run was there before."""
    await session.connect()
    rate = 100
    while time.monotonic() < until - TRAINS_FOR_S:
        rate += 1
        await session.open("training", query=f"preset=minute&lr={rate / 1e5:.5f}&epochs=2&share=10")
        try:
            await session.press("start")
        except KeyError:  # no photographs and no dreams to learn from, or five runs wait already
            report.errors.append("the training page had no button to start")
            return
        report.done["training"] = report.done.get("training", 0) + 1
        await asyncio.sleep(min(TRAIN_EVERY_S, max(0.0, until - time.monotonic())))


async def _look(watch: Watch, until: float, began: float, report: Soak) -> None:
    while time.monotonic() < until:
        at = round(time.monotonic() - began, 1)
        report.samples.append({"at": at, **watch.held()})
        await asyncio.sleep(SAMPLE_S)


async def soak(sessions: int, seconds: float, think_s: float, room: str) -> Soak:
    """Let `sessions` of a class, all in `room`, use a fresh server for so long."""
    report = Soak(sessions, think_s, seconds)
    pages = ["" if page.key == "home" else page.key for page in frame.entries()]
    with server() as running:
        await running.warm()
        began = time.monotonic()
        until = began + seconds
        everyone = [Session(running.address, seed) for seed in range(sessions)]
        trainer = Session(running.address, sessions)
        ends = await asyncio.gather(
            _look(running.watch, until, began, report),
            _trainer(trainer, until, report),
            *(_pupil(session, pages, room, until, think_s) for session in everyone),
            return_exceptions=True,
        )
        report.errors += [repr(end)[:200] for end in ends if isinstance(end, BaseException)]
        await asyncio.gather(*(session.close() for session in (*everyone, trainer)))
    answers: list[Answer] = [answer for each in (*everyone, trainer) for answer in each.answers]
    for why in sorted({answer.why for answer in answers}):
        report.done[why] = sum(answer.why == why for answer in answers)
    report.p95_s = round(quantile((answer.seconds for answer in answers), 0.95), 3)
    report.errors += sorted({f"{a.page}: {a.wrong}" for a in answers if a.wrong})
    return report


def as_text(report: Soak) -> str:
    """The report for a reader."""
    did = ", ".join(f"{what} {n}" for what, n in sorted(report.done.items()))
    lines = [
        f"{report.sessions} sessions, each every {report.think_s:g} s, for "
        f"{report.seconds / 60:g} minutes: {did}; 95 % answered within {report.p95_s} s",
        "",
        f"after {SETTLED_S / 60:g} minutes     first third  last third  per hour",
    ]
    for what in ("memory_mb", "threads", "files", "children"):
        first, last, slope = report.settled(what)
        lines.append(f"  {what:<18}{first:>12.0f}{last:>12.0f}{slope:>+10.1f}")
    lines += ["", f"Errors: {len(report.errors)}", *(f"  {error}" for error in report.errors[:10])]
    return "\n".join(lines)


def main() -> None:
    """Soak, and print the report; exit code 1 if anything went wrong on a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--think", type=float, default=6, help="mean seconds between two requests")
    parser.add_argument("--json", action="store_true", help="one JSON document and nothing else")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ |= {"SMALL_PLATES_DATA": folder, "SMALL_PLATES_RUNS": f"{folder}/runs"}
        room = Rooms(Path(folder)).create(str(random.random()))
        report = asyncio.run(soak(given.sessions, 60 * given.minutes, given.think, room))
    print(json.dumps(asdict(report)) if given.json else as_text(report))
    sys.exit(1 if report.errors else 0)


if __name__ == "__main__":
    main()
