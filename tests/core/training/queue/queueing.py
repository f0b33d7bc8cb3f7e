"""A queue whose jobs are small scripts: they note when they run, and end as they are told."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.training.config import TrainConfig
from core.training.queue.line import JobQueue, JobSettings

FINGERPRINT = "0123456789abcdef"
SCRIPT = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
with open(folder / "starts.txt", "a") as file:
    file.write(f"{os.getpid()} {time.time()}\\n")
threads, waits = os.environ["OMP_NUM_THREADS"], os.environ.get("OMP_WAIT_POLICY")
print("hello from", threads, waits, os.nice(0), flush=True)
give_up = time.monotonic() + 60
while not (folder / "go").exists():
    time.sleep(0.02)
    if time.monotonic() > give_up or not folder.exists():
        sys.exit(3)
print("bye", flush=True)
said = (folder / "go").read_text()
if said:
    print(said, flush=True)
    sys.exit(2)
told = {"state": "done", "reason": "", "message": ""}
(folder / "ended.json").write_text(json.dumps(told))
"""


def script(config: TrainConfig, folder: Path, device: str) -> list[str]:
    """In place of `train_command`: waits for a file `go`; what stands in it is its complaint."""
    return [sys.executable, "-S", "-c", SCRIPT, str(folder)]


def queue(root: Path, per_visitor: int = 4, devices: tuple[str, ...] = ("",)) -> JobQueue:
    """A queue over `root` whose jobs are scripts."""
    return JobQueue(root, JobSettings(devices, 1, per_visitor, 60), script)


def config(seed: int = 0) -> TrainConfig:
    """Some run; other seeds are other runs."""
    return TrainConfig(epochs=3, seed=seed)


def starts(root: Path) -> list[str]:
    """A line a process that ever ran, of all jobs."""
    return [line for file in root.glob("*/starts.txt") for line in file.read_text().splitlines()]


def has_begun(root: Path, id: str) -> bool:
    """Whether a job's process has said its number."""
    file = root / id / "starts.txt"
    return file.exists() and file.read_text().endswith("\n")


def wait_until(true: Callable[[], object], patience_s: float = 30.0) -> None:
    """Until `true()` is; AssertionError if it takes too long."""
    give_up = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(0.03)
