"""A class of forty at the app: sessions over the websocket, without browsers.

    make load                                        # 40 sessions for two minutes
    python -m tools.load --sessions 100 --json
    python -m tools.load --cold 5                    # from starting the server to its first page
    python -m tools.load --passing 1000              # memory while so many come and go
    python -m tools.soak                             # half an hour with photos, trainings, a room

Starts a server of its own on this machine and does three things to it in turn:

1. *first visitors*: as many sessions as asked for open Home of the fresh server at the same moment;
2. *alone*: once the server has opened every page beforehand, one session opens every page twice and
   changes some of its widgets and tabs, one at a time; here the CPU time of a single touch can be
   told;
3. *class*: every session changes a widget every few seconds (exponential, mean `--think`) or, one
   time in four, opens another page. No button is pressed, so nothing is trained or measured.

A *touch* changes one widget and reruns what a browser would ask for: its fragment, or the page.
Latency runs from sending the request to Streamlit's `script_finished`, so drawing in the browser is
not in it. CPU is the server's and its children's. It needs no more than the app itself does.
"""

import argparse
import asyncio
import itertools
import json
import math
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Slider_pb2 import Slider

from pages.kit import frame

REPO = Path(__file__).resolve().parents[1]
WIDGETS = ("slider", "selectbox", "radio", "checkbox", "button_group", "number_input")
"""What a session touches. Buttons are left alone: they start trainings and measurements."""
LEFT_ALONE = ("button", "file_uploader")
"""What it does not touch at random: `press` and `upload` do that."""
TOUCHES_ALONE = 4
"""How many widgets of each page are changed one at a time."""
SETTLE_S = 0.15
"""How long after an answer its CPU time is read: the server tidies up after a run."""
PATIENCE_S = 300.0

Why = Literal["open", "page", "touch", "guess", "photo"]


class Answer(NamedTuple):
    """One request: why, on which page, seconds until its run had ended, what went wrong."""

    why: Why
    page: str
    seconds: float
    wrong: str = ""


class Widget(NamedTuple):
    """A widget that the server has drawn."""

    kind: str
    proto: Any
    fragment: str
    path: tuple[int, ...]
    """Where it stands: its containers' places, from the page's own."""


@dataclass
class Report:
    """What was measured. Times in seconds, CPU in milliseconds, memory in MB (10^6 bytes)."""

    sessions: int
    think_s: float
    seconds: float
    """How long the class lasted."""
    first_visitors_s: dict[str, float] = field(default_factory=dict)
    """Until Home of a fresh server was there: median and last of the sessions."""
    alone_cpu_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of a request that nothing else ran beside: n, median, mean, most; by kind of request."""
    alone_by_page: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same by page: kind of request -> median CPU in ms."""
    requests: int = 0
    p50_s: float = 0.0
    p95_s: float = 0.0
    touch_p50_s: float = 0.0
    touch_p95_s: float = 0.0
    class_cpu_ms_per_request: float = 0.0
    """CPU time of the whole class over its requests: page visits are among them."""
    memory_mb: dict[str, float] = field(default_factory=dict)
    """Before the class, at its most, and what each session added to the former."""
    sent_mb: float = 0.0
    errors: list[str] = field(default_factory=list)
    pages: dict[str, dict[str, float]] = field(default_factory=dict)
    """By page: n, median and 95th percentile of a request of the class, in seconds."""


class Session:
    """One visitor: a websocket, the widgets on his page, and what he has set them to."""

    def __init__(self, address: str, seed: int) -> None:
        self.address, self.random = address, random.Random(seed)
        self.page, self.query, self.received = "", "", 0
        self.id, self._xsrf = "", ""
        self.widgets: dict[str, Widget] = {}
        self._tabs: dict[tuple[int, ...], list[str]] = {}
        self.values: dict[str, tuple[str, Any]] = {}
        self.answers: list[Answer] = []
        self._socket: Any = None

    async def connect(self) -> None:
        self._socket = await websockets.connect(
            self.address.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=[websockets.Subprotocol("streamlit")],
            origin=websockets.Origin(self.address),
            max_size=None,
            open_timeout=PATIENCE_S,
        )

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def open(self, page: str, why: Why = "page", query: str = "") -> Answer:
        """Go to a page by the menu, whose address bears no settings, or by a link with some."""
        self.page, self.query, self.widgets, self.values = page, query, {}, {}
        return await self._ask(why)

    async def guess(self, key: str) -> str:
        """Answer a question of this page at random; the words of the guess."""
        name = self._named(key)
        self._change(name)
        words: str = self.values[name][1][0]
        await self._ask("guess", self.widgets[name].fragment)
        return words

    async def touch(self) -> Answer | None:
        """Change a widget at random; None where the page has none."""
        names = sorted(n for n, widget in self.widgets.items() if widget.kind not in LEFT_ALONE)
        if not names:
            return None
        name = self.random.choice(names)
        self._change(name)
        return await self._ask("touch", self.widgets[name].fragment)

    async def press(self, key: str) -> Answer:
        """Press the button with this key; KeyError where the page has none, or it is disabled."""
        name = self._named(key)
        self.values[name] = ("button", True)
        try:
            return await self._ask("touch", self.widgets[name].fragment)
        finally:
            self.values.pop(name, None)

    async def upload(self, key: str, photo: bytes) -> Answer:
        """Give a photo to the file uploader with this key, as a browser does."""
        name, file = self._named(key), str(uuid.uuid4())
        await asyncio.to_thread(self._put, file, photo)
        self.values[name] = ("file_uploader", (file, len(photo)))
        return await self._ask("photo", self.widgets[name].fragment)

    def _named(self, key: str) -> str:
        named = [name for name in self.widgets if name.endswith(f"-{key}")]
        if not named:
            raise KeyError(f"{self.page or 'home'} has no {key!r}")
        return named[0]

    def _put(self, file: str, photo: bytes) -> None:
        if not self._xsrf:
            with urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=60) as reply:
                self._xsrf = str(reply.headers["Set-Cookie"]).partition(";")[0]
        head = (
            "--photo\r\nContent-Disposition: form-data; "
            'name="a"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        request = urllib.request.Request(
            f"{self.address}/_stcore/upload_file/{self.id}/{file}",
            head.encode() + photo + b"\r\n--photo--",
            {
                "Cookie": self._xsrf,
                "X-Xsrftoken": self._xsrf.partition("=")[2],
                "Content-Type": "multipart/form-data; boundary=photo",
            },
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=60):
            pass

    def _change(self, name: str) -> None:
        kind, widget = self.widgets[name][:2]
        pick = self.random
        value: Any
        if kind == "slider" and widget.type == Slider.SELECT_SLIDER:
            kind, value = "select_slider", [pick.choice(list(widget.options))]
        elif kind == "slider":
            steps = max(1, int((widget.max - widget.min) / (widget.step or 1)))
            ends = range(max(1, len(widget.default)))
            value = sorted(widget.min + (widget.step or 1) * pick.randint(0, steps) for _ in ends)
        elif kind == "number_input":
            most = widget.max if widget.has_max else widget.default + 10
            value = min(most, widget.default + pick.randint(0, 3))
        elif kind in ("selectbox", "radio"):
            value = pick.choice(list(widget.options)) if widget.options else ""
        elif kind == "tabs":
            value = pick.choice(widget) if widget else ""
        elif kind == "button_group":
            contents_of = [option.content for option in widget.options]
            value = [pick.choice(contents_of)] if contents_of else []
        else:
            value = pick.random() < 0.5
        self.values[name] = (kind, value)

    async def _ask(self, why: Why, fragment: str = "") -> Answer:
        message = BackMsg()
        call = message.rerun_script
        call.page_name, call.query_string, call.fragment_id = self.page, self.query, fragment
        for name, (kind, value) in self.values.items():
            state = call.widget_states.widgets.add()
            state.id = name
            if kind == "slider":
                state.double_array_value.data.extend(value)
            elif kind == "number_input":
                state.double_value = value
            elif kind in ("selectbox", "radio", "tabs"):
                state.string_value = value
            elif kind in ("button_group", "select_slider"):
                state.string_array_value.data.extend(value)
            elif kind == "button":
                state.trigger_value = True
            elif kind == "file_uploader":
                info = state.file_uploader_state_value.uploaded_file_info.add()
                info.file_id, info.size = value
                info.name, info.file_urls.file_id = "a.jpg", info.file_id
            else:
                state.bool_value = value
        began = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        drawn, root, wrong = await self._listen()
        if fragment:  # all that stood where it drew is gone
            others = self.widgets.items()
            drawn = {n: w for n, w in others if w.path[: len(root)] != root} | drawn
        self.widgets = drawn
        self.values = {name: value for name, value in self.values.items() if name in self.widgets}
        answer = Answer(why, self.page or "home", time.perf_counter() - began, wrong)
        self.answers.append(answer)
        return answer

    async def _listen(self) -> tuple[dict[str, Widget], tuple[int, ...], str]:
        """Until the run has ended: the widgets it drew, the container that holds all that it drew,
        and the exception it showed, if any."""
        drawn: dict[str, Widget] = {}
        root: tuple[int, ...] | None = None
        wrong = ""
        while True:
            raw = await asyncio.wait_for(self._socket.recv(), PATIENCE_S)
            self.received += len(raw)
            message = ForwardMsg.FromString(raw)
            kind = message.WhichOneof("type")
            if kind == "delta":
                path = tuple(message.metadata.delta_path)
                root = path[:-1] if root is None else _common(root, path)
            if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                name = element.WhichOneof("type")
                if name in WIDGETS or name in LEFT_ALONE:
                    widget = getattr(element, name)
                    if widget.id and not getattr(widget, "disabled", False):
                        drawn[widget.id] = Widget(name, widget, message.delta.fragment_id, path)
                elif name == "exception":
                    wrong = element.exception.message[:200]
            elif kind == "delta" and message.delta.WhichOneof("type") == "add_block":
                self._block(message, drawn)
            elif kind == "new_session":
                self.id = message.new_session.initialize.session_id
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "script_finished" and (
                message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
            ):
                return drawn, root or (), wrong

    def _block(self, message: ForwardMsg, drawn: dict[str, Widget]) -> None:
        """Note tabs that the server hears of: their labels come in blocks of their own."""
        block, path = message.delta.add_block, tuple(message.metadata.delta_path)
        if block.tab_container.id:
            labels = self._tabs[path] = []
            drawn[block.tab_container.id] = Widget("tabs", labels, message.delta.fragment_id, path)
        elif block.HasField("tab") and path[:-1] in self._tabs:
            self._tabs[path[:-1]].append(block.tab.label)


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(
        x for x, _y in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))
    )


class Watch:
    """CPU seconds and memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)

    def _each(self) -> Iterator[psutil.Process]:
        yield from (self._server, *self._server.children(recursive=True))

    def cpu_s(self) -> float:
        """Spent so far, with what children that have ended spent."""
        ended = self._server.cpu_times()
        total = ended.children_user + ended.children_system
        for process in self._each():
            try:
                if sys.platform == "linux":  # whose table counts in ticks of 10 ms only
                    # what clock_getcpuclockid(3) makes of a process id
                    clock = ~process.pid << 3 | 2
                    total += time.clock_gettime(clock)
                else:
                    total += sum(process.cpu_times()[:2])
            except (OSError, psutil.Error):  # ended meanwhile
                continue
        return total

    def held(self) -> dict[str, float]:
        """Memory in MB, threads and file handles of the server itself; how many children it has."""
        return {
            "memory_mb": round(self._server.memory_info().rss / 1e6, 1),
            "threads": self._server.num_threads(),
            "files": self._server.num_fds() if hasattr(self._server, "num_fds") else 0,
            "children": len(self._server.children(recursive=True)),
        }

    def memory_mb(self) -> float:
        total = 0
        for process in self._each():
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        return total / 1e6


class Running(NamedTuple):
    """A server: its address, a watch over it, and what it has printed."""

    address: str
    watch: Watch
    log: Path

    async def warm(self) -> None:
        """Wait until it has opened every page beforehand."""
        until = time.monotonic() + PATIENCE_S
        while "Every page was opened once" not in self.log.read_text(encoding="utf-8"):
            if time.monotonic() > until:
                sys.exit(f"the server opened no pages:\n{self.log.read_text(encoding='utf-8')}")
            await asyncio.sleep(0.2)


@contextmanager
def server(*script: str) -> Iterator[Running]:
    """A fresh server on a free port of this machine, of the app or of Streamlit's `hello`."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", *(script or ("run", "app.py"))]
    command += ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.log"
        with path.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=REPO, stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _answers(f"{address}/_stcore/health", process):
                sys.exit(f"the server did not start:\n{path.read_text(encoding='utf-8')}")
            yield Running(address, Watch(process.pid), path)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(url: str, process: "subprocess.Popen[bytes]", patience_s: float = 60.0) -> bool:
    until = time.monotonic() + patience_s
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except OSError:
            time.sleep(0.05)
    return False


async def guess_together(
    sessions: Sequence[Session], page: str, room: str, key: str, within_s: float
) -> list[str]:
    """Let every session enter a class's room on a page and answer the question with this key at a
    moment of its own `within_s`; the words of their guesses. How long each waited is the last of
    its `answers`."""

    async def pupil(session: Session) -> None:
        await session.connect()
        await session.open(page, query=f"room={room}")

    async def answer(session: Session) -> str:
        await asyncio.sleep(session.random.uniform(0, within_s))
        return await session.guess(key)

    await asyncio.gather(*(pupil(session) for session in sessions))
    return await asyncio.gather(*(answer(session) for session in sessions))


async def cold_start(rounds: int) -> dict[str, float]:
    """Seconds from starting a server until its first page is there, in turn with `streamlit hello`.

    Medians of `rounds`, and the median ratio of a round.
    """
    took: dict[str, list[float]] = {"app": [], "hello": []}
    for _round in range(rounds):
        for name, script in (("hello", ("hello",)), ("app", ())):
            began = time.perf_counter()
            with server(*script) as running:
                visitor = Session(running.address, 0)
                await visitor.connect()
                await visitor.open("")
                took[name].append(time.perf_counter() - began)
                await visitor.close()
    ratios = [app / hello for app, hello in zip(took["app"], took["hello"], strict=True)]
    medians = {f"{name}_s": round(statistics.median(each), 2) for name, each in took.items()}
    return {"rounds": rounds, **medians, "ratio": round(statistics.median(ratios), 2)}


async def passing(visitors: int, pages: Sequence[str]) -> list[tuple[int, int]]:
    """(visitors so far, MB) while so many come one after another, open two pages, and leave."""
    seen: list[tuple[int, int]] = []
    with server() as running:
        await running.warm()
        for number in range(visitors + 1):
            if number % max(1, visitors // 20) == 0:
                seen.append((number, round(running.watch.memory_mb())))
            visitor = Session(running.address, number)
            await visitor.connect()
            for page in ("", visitor.random.choice(pages)):
                await visitor.open(page)
            await visitor.close()
    return seen


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


async def _first_visitors(sessions: Sequence[Session], report: Report) -> None:
    async def visit(session: Session) -> float:
        began = time.perf_counter()
        await session.connect()
        await session.open("", "open")
        return time.perf_counter() - began

    waited = await asyncio.gather(*(visit(session) for session in sessions))
    report.first_visitors_s = {
        "median": round(statistics.median(waited), 3),
        "last": round(max(waited), 3),
    }


async def _alone(session: Session, pages: Sequence[str], watch: Watch, report: Report) -> None:
    spent: dict[str, list[float]] = {"first visit": [], "page": [], "touch": []}
    by_page: dict[str, dict[str, list[float]]] = {}

    async def cost(kind: str, step: Any) -> None:
        before = watch.cpu_s()
        done = await step
        await asyncio.sleep(SETTLE_S)
        if done is not None:
            spent[kind].append(1000 * (watch.cpu_s() - before))
            by_page.setdefault(session.page or "home", {}).setdefault(kind, []).append(
                spent[kind][-1]
            )

    for kind in ("first visit", "page"):
        for page in pages:
            await cost(kind, session.open(page))
    for page in pages:
        await session.open(page)
        await asyncio.sleep(SETTLE_S)
        for _time in range(TOUCHES_ALONE):
            await cost("touch", session.touch())
    report.alone_cpu_ms = {
        kind: {
            "n": len(times),
            "median": round(statistics.median(times), 1),
            "mean": round(statistics.fmean(times), 1),
            "most": round(max(times), 1),
        }
        for kind, times in spent.items()
        if times
    }
    report.alone_by_page = {
        page: {kind: round(statistics.median(times), 1) for kind, times in kinds.items()}
        for page, kinds in by_page.items()
    }


async def _class(
    sessions: Sequence[Session], pages: Sequence[str], watch: Watch, report: Report
) -> None:
    until, at_most = time.monotonic() + report.seconds, [watch.memory_mb()]

    async def visit(session: Session) -> None:
        while True:
            pause = session.random.expovariate(1 / report.think_s)
            if time.monotonic() + pause > until:
                return
            await asyncio.sleep(pause)
            if session.random.random() < 0.25 or await session.touch() is None:
                await session.open(session.random.choice(pages))

    async def look() -> None:
        while time.monotonic() < until:
            at_most.append(watch.memory_mb())
            await asyncio.sleep(1)

    for session in sessions:
        session.answers.clear()
    cpu = watch.cpu_s()
    ends = await asyncio.gather(
        look(), *(visit(session) for session in sessions), return_exceptions=True
    )
    report.errors += [repr(end)[:200] for end in ends if isinstance(end, BaseException)]
    answers = [answer for session in sessions for answer in session.answers]
    touches = [answer.seconds for answer in answers if answer.why == "touch"]
    report.requests = len(answers)
    report.p50_s = round(quantile((a.seconds for a in answers), 0.5), 3)
    report.p95_s = round(quantile((a.seconds for a in answers), 0.95), 3)
    report.touch_p50_s = round(quantile(touches, 0.5), 3)
    report.touch_p95_s = round(quantile(touches, 0.95), 3)
    report.class_cpu_ms_per_request = round(1000 * (watch.cpu_s() - cpu) / max(1, len(answers)), 1)
    report.sent_mb = round(sum(session.received for session in sessions) / 1e6, 1)
    report.memory_mb |= {"most": round(max(at_most))}
    report.errors += sorted({f"{a.page}: {a.wrong}" for a in answers if a.wrong})
    by_page: dict[str, list[float]] = {}
    for answer in answers:
        by_page.setdefault(answer.page, []).append(answer.seconds)
    report.pages = {
        page: {
            "n": len(seconds),
            "p50": round(quantile(seconds, 0.5), 3),
            "p95": round(quantile(seconds, 0.95), 3),
        }
        for page, seconds in sorted(by_page.items())
    }


async def measure(sessions: int, seconds: float, think_s: float, pages: Sequence[str]) -> Report:
    """Run all three parts; `pages` are addresses, "" for Home."""
    report = Report(sessions, think_s, seconds)
    with server() as running:
        watch = running.watch
        everyone = [Session(running.address, seed) for seed in range(sessions)]
        guide = Session(running.address, sessions)
        try:
            await _first_visitors(everyone, report)
            await running.warm()
            await guide.connect()
            await guide.open("", "open")
            await _alone(guide, pages, watch, report)
            before = watch.memory_mb()
            report.memory_mb = {"before": round(before)}
            await _class(everyone, pages, watch, report)
            added = (report.memory_mb["most"] - before) / max(1, sessions)
            report.memory_mb["per_session"] = round(added, 1)
        finally:
            await asyncio.gather(*(session.close() for session in (*everyone, guide)))
    return report


def as_text(report: Report) -> str:
    """The report for a reader."""
    waited = report.first_visitors_s
    lines = [
        f"{report.sessions} first visitors at once: Home after {waited['median']} s (median), "
        f"{waited['last']} s (last)",
        "",
        "CPU of one request, nothing else running, ms      n   median     mean     most",
    ]
    lines += [
        f"  {kind:<44}{spent['n']:>6}{spent['median']:>9}{spent['mean']:>9}{spent['most']:>9}"
        for kind, spent in report.alone_cpu_ms.items()
    ]
    lines += [f"  {'medians by page':<24}" + "".join(f"{kind:>14}" for kind in report.alone_cpu_ms)]
    lines += [
        f"    {page:<22}" + "".join(f"{kinds.get(kind, 0):>14}" for kind in report.alone_cpu_ms)
        for page, kinds in report.alone_by_page.items()
    ]
    lines += [
        "",
        f"{report.sessions} sessions, each every {report.think_s:g} s, for {report.seconds:g} s: "
        f"{report.requests} requests",
        f"  all        p50 {report.p50_s} s, p95 {report.p95_s} s",
        f"  touches    p50 {report.touch_p50_s} s, p95 {report.touch_p95_s} s",
        f"  CPU        {report.class_cpu_ms_per_request} ms a request",
        f"  memory     {report.memory_mb['before']} MB before, {report.memory_mb['most']} MB at "
        f"most, {report.memory_mb['per_session']} MB a session; {report.sent_mb} MB sent",
        "",
        "By page, s                        n      p50      p95",
    ]
    lines += [
        f"  {page:<28}{times['n']:>6}{times['p50']:>9}{times['p95']:>9}"
        for page, times in report.pages.items()
    ]
    lines += ["", f"Errors: {len(report.errors)}", *(f"  {error}" for error in report.errors[:10])]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the report; exit code 1 if anything went wrong on a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=120, help="how long the class lasts")
    parser.add_argument("--think", type=float, default=6, help="mean seconds between two requests")
    every = ["" if page.key == "home" else page.key for page in frame.entries()]
    parser.add_argument("--pages", nargs="*", default=every, help='"" is Home')
    parser.add_argument("--cold", type=int, metavar="ROUNDS", help="only time cold starts")
    parser.add_argument("--passing", type=int, metavar="VISITORS", help="only watch the memory")
    parser.add_argument("--json", action="store_true", help="one JSON document and nothing else")
    given = parser.parse_args()
    if given.cold or given.passing:
        only = cold_start(given.cold) if given.cold else passing(given.passing, given.pages)
        print(json.dumps(asyncio.run(only)))
        return
    report = asyncio.run(measure(given.sessions, given.seconds, given.think, given.pages))
    print(json.dumps(asdict(report)) if given.json else as_text(report))
    sys.exit(1 if report.errors else 0)


if __name__ == "__main__":
    main()
