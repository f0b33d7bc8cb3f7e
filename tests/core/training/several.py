"""Training in several processes with the environment that `torchrun` gives, forked from a server
that has imported torch once; also a network without BatchNorm."""

import json
import multiprocessing
import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from core.errors import UserError
from core.models import registry
from core.models.registry import ModelSpec
from core.training.config import TrainConfig
from core.training.loop import train

REPO = Path(__file__).resolve().parents[3]
UNNORMED = "unnormed"
_METHODS = multiprocessing.get_all_start_methods()
CONTEXT: Any = multiprocessing.get_context("forkserver" if "forkserver" in _METHODS else "spawn")
if "forkserver" in _METHODS:
    # whoever makes an optimiser or DDP waits for `_dynamo`
    CONTEXT.set_forkserver_preload([__name__, "torch._dynamo"])


def unnormed(num_classes: int = 11) -> nn.Module:
    """Nothing in it looks at a whole batch."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, num_classes),
    )


def register() -> None:
    """Make the network known to this process."""
    registry.MODELS[UNNORMED] = ModelSpec(
        UNNORMED, "No BatchNorm", "student", 32, "tests.core.training.several:unnormed", "tests"
    )


class Stop(Exception):
    """The test has seen enough epochs."""


def train_until(config: TrainConfig, folder: Path, stop_after: int = 0) -> None:
    """Train, or break off after so many epochs have been stored."""

    def report(entry: dict[str, Any]) -> None:
        if entry["epoch"] == stop_after:
            raise Stop

    try:
        train(config, folder, report, "cpu")
    except Stop:
        return


class Started(NamedTuple):
    """One of the processes, and the file of what it says."""

    process: Any
    said: Path


def start(config: TrainConfig, folder: Path, n: int = 2, stop_after: int = 0) -> list[Started]:
    """`n` processes that train one run."""
    with closing(socket.socket()) as place:
        place.bind(("127.0.0.1", 0))
        port = str(place.getsockname()[1])
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(n)}
    started = []
    for rank in range(n):
        environment = os.environ | meet | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        said = folder.parent / f"{folder.name}-{rank}.txt"
        arguments = (environment, config.model_dump_json(), folder, stop_after, said)
        process = CONTEXT.Process(target=_work, args=arguments)
        process.start()
        started.append(Started(process, said))
    return started


def finish(started: list[Started], patience_s: float = 120) -> list[tuple[int | None, str]]:
    """Exit code (None: it had to be killed) and last line on stderr of each."""
    ended = []
    for one in started:
        one.process.join(patience_s)
        code = one.process.exitcode
        one.process.kill()
        lines = one.said.read_text().strip().splitlines() if one.said.exists() else []
        ended.append((code, (lines or [""])[-1]))
    return ended


def _work(
    environment: dict[str, str], config: str, folder: Path, stop_after: int, said: Path
) -> None:
    os.environ.update(environment)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    torch.set_num_threads(1)
    register()
    try:
        settings = TrainConfig.model_construct(**json.loads(config))  # also what is out of range
        train_until(settings, folder, stop_after)
    except UserError as error:
        os.write(2, f"{error}\n".encode())
        os._exit(2)  # as a process that ends with an error does: it says goodbye to nobody
