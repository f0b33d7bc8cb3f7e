"""What every test shares: a home of its own, and which tests this machine can run.

- Caches and runs go to a folder that is removed at the end; nobody's real ones are touched. Each
  worker of pytest-xdist has its own.
- `photographs` tests run where FOOD11_ROOT names a folder; no other test sees that variable.
- `browser` tests run where there is a Chromium. With SMALL_PLATES_REQUIRE_BROWSER=1 a browser test
  that is skipped, for whatever reason, fails, and so does a whole run in which none was run.
"""

import gc
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

REPO = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRE_BROWSER = os.environ.get("SMALL_PLATES_REQUIRE_BROWSER", "") not in ("", "0")
HOME = pytest.StashKey[str]()
GRAPHS = REPO / ".pytest_cache" / "graphs"


def find_chromium() -> str | None:
    """The Chromium to drive: SMALL_PLATES_CHROMIUM, or the first known name on the PATH."""
    named = os.environ.get("SMALL_PLATES_CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def find_photographs() -> Path | None:
    """The folder FOOD11_ROOT names (a relative one from here, then from the repository)."""
    root = os.environ.get("FOOD11_ROOT")
    if not root:
        return None
    places = (Path(root).expanduser(), REPO / root)
    return next((place.resolve() for place in places if place.is_dir()), None)


def run_python(program: str, *arguments: object, **environment: object) -> str:
    """What a program prints in a fresh interpreter, in the repository; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO)} | {k: str(v) for k, v in environment.items()},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    if worker:  # it inherits its parent's environment, and the parent removes the folder
        home = f"{os.environ['SMALL_PLATES_TEST_HOME']}/{worker}"
    else:
        home = tempfile.mkdtemp(prefix="small-plates-tests-")
        config.stash[HOME] = os.environ["SMALL_PLATES_TEST_HOME"] = home
        config.pluginmanager.register(BrowserTests(), "browser-tests")
    os.environ["SMALL_PLATES_CACHE"] = f"{home}/cache"
    os.environ["SMALL_PLATES_RUNS"] = f"{home}/runs"
    os.environ["SMALL_PLATES_DATA"] = f"{home}/data"
    os.environ["SMALL_PLATES_VALIDATE_CHARTS"] = "1"
    os.environ["SMALL_PLATES_PREWARM"] = "0"  # a server that a test starts opens no page beforehand
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks: a second thread only waits
    import core  # noqa: F401  # what it tells libraries must stand before a test imports them


class BrowserTests:
    """Whether any browser test was run, here or by a worker."""

    def __init__(self) -> None:
        self.found = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.found |= getattr(report, "drives_a_browser", False)


def pytest_unconfigure(config: pytest.Config) -> None:
    if home := config.stash.get(HOME, ""):
        shutil.rmtree(home, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    drives = find_chromium() and importlib.util.find_spec("playwright")
    browser = pytest.mark.skip(reason="no Chromium on this machine (or no playwright)")
    photographs = pytest.mark.skip(reason="FOOD11_ROOT names no folder of photographs")
    has_photographs = find_photographs() is not None
    for item in items:
        if item.get_closest_marker("browser") and not drives:
            item.add_marker(browser)
        if item.get_closest_marker("photographs") and not has_photographs:
            item.add_marker(photographs)


def pytest_collection_finish() -> None:
    """What was imported to collect the tests stays: the garbage collector need not look at it."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    drives = item.get_closest_marker("browser") is not None
    vars(report)["drives_a_browser"] = drives  # travels from a worker with the report
    if REQUIRE_BROWSER and report.skipped and drives:
        report.outcome = "failed"
        report.longrepr = f"a browser test was skipped where it must run: {report.longrepr}"
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    counted = session.config.pluginmanager.get_plugin("browser-tests")  # None in a worker
    whole = not session.config.args or session.config.args == ["tests"]
    if REQUIRE_BROWSER and counted and whole and not counted.found and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def only_photograph_tests_see_photographs(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result must not hang on what happens to lie on the machine."""
    if not request.node.get_closest_marker("photographs"):
        monkeypatch.delenv("FOOD11_ROOT", raising=False)


@pytest.fixture(autouse=True)
def the_main_module_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves its script in its place, and a process that is spawned would run that."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """What a test writes need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def _architecture(net: Any, spec: Any, px: int) -> str:
    """All that a network's graph hangs on, but its weights."""
    plain = (bool, int, float, str, tuple, list, dict, type(None))
    parts = [str(net), repr(spec.mean), repr(spec.std), str(px)]
    for name, module in net.named_modules():
        own = {k: v for k, v in vars(module).items() if k[0] != "_" and isinstance(v, plain)}
        own.pop("training", None)
        parts.append(f"{name} {type(module)} {own}")
    parts += [f"{n} {tensor.dtype} {tensor.shape}" for n, tensor in net.state_dict().items()]
    return "\n".join(parts)


@pytest.fixture(scope="session", autouse=True)
def an_architecture_is_traced_once() -> Iterator[None]:
    """An ONNX graph takes seconds to trace, and many tests publish the same small networks.

    A graph is kept for each architecture, on the disk for all workers and for later runs, and gets
    the weights of every further network of it: its initializers have the state dict's names.
    Publishing compares its answers with torch's all the same, and the tests of the export trace
    every time. Where torch was not imported to collect the tests, none of them traces.
    """
    if "torch" not in sys.modules:
        yield
        return
    import onnx_ir

    from core.inference import export

    trace, known = export.trace, dict[str, Any]()
    makers = [Path(export.__file__).read_text(encoding="utf-8")]
    makers += [f"{name} {version(name)}" for name in ("torch", "onnx-ir", "onnxscript")]
    GRAPHS.mkdir(parents=True, exist_ok=True)

    def kept(net: Any, spec: Any, px: int, architecture: str) -> Any:
        digest = hashlib.sha256(repr([*makers, architecture]).encode()).hexdigest()
        file = GRAPHS / f"{digest}.onnx"
        with FileLock(GRAPHS / f"{digest}.lock"):
            if not file.exists():
                onnx_ir.save(trace(net, spec, px), file.with_suffix(".new"))
                file.with_suffix(".new").replace(file)
        return onnx_ir.load(file)

    def traced(net: Any, spec: Any, px: int) -> Any:
        key = _architecture(net, spec, px)
        if key not in known:
            known[key] = kept(net, spec, px, key)
        graph = known[key].clone()
        for name, tensor in net.state_dict().items():
            if (value := graph.graph.initializers.get(name)) is not None:
                weights = tensor.detach().cpu().float().contiguous().numpy().copy()
                value.const_value = onnx_ir.tensor(weights, name=name)
        return graph

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            ours = name.startswith(("core.", "tests.")) and not name.endswith(".test_export")
            if ours and vars(module).get("trace") is trace:
                patch.setattr(module, "trace", traced)
        yield


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium that browser tests drive."""
    path = find_chromium()
    assert path, "browser tests are skipped where there is no Chromium: mark yours"
    return path


@pytest.fixture(scope="session")
def photographs() -> Iterator[Path]:
    """The folder of photographs, for tests marked `photographs`."""
    root = find_photographs()
    assert root, "photographs tests are skipped where there are none: mark yours"
    yield root
