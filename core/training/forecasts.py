"""Predicted times for the page: measured in a process of its own, once a kind of run, in turn.

`core.training.forecast` does the measuring; here nothing imports torch.
"""

import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from typing import Any, Literal, NamedTuple

from core.places import REPO
from core.training.config import TrainConfig
from core.training.jobs_process import config_arguments
from core.training.jobs_settings import JobSettings

TIME_LIMIT_S = 180.0
KEPT = 60

State = Literal["measuring", "done", "failed"]


class Forecast(NamedTuple):
    """What is known of a run's time."""

    state: State
    found: dict[str, Any]
    """`images_per_s`, `epoch_s`, `teacher_s`, `total_s`, `device`, once it is measured."""
    message: str = ""


class Forecasts:
    """The measurements of one server; safe to use from every session's thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Forecast] = OrderedDict()
        self._lock, self._one_at_a_time = threading.Lock(), threading.Lock()

    def look(self, config: TrainConfig) -> Forecast | None:
        """What is known; None where nobody has asked."""
        return self._known.get(_key(config))

    def ask(self, config: TrainConfig) -> None:
        """Measure this kind of run, unless that is done or under way."""
        with self._lock:
            known = self._known.get(_key(config))
            if known is not None and known.state != "failed":
                return
            self._known[_key(config)] = Forecast("measuring", {})
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        threading.Thread(target=self._measure, args=(config,), daemon=True).start()

    def _measure(self, config: TrainConfig) -> None:
        command = [sys.executable, "-m", "core", "train", *config_arguments(config)]
        environment = os.environ | {"OMP_NUM_THREADS": str(JobSettings.from_environment().threads)}
        try:
            with self._one_at_a_time:
                done = subprocess.run(
                    [*command, "--forecast", "--json"],
                    cwd=REPO,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    encoding="utf-8",  # of its answer, ASCII; what a library says may be anything
                    errors="replace",
                    timeout=TIME_LIMIT_S,
                )
            last = (done.stderr.strip().splitlines() or [""])[-1]
            failed = Forecast("failed", {}, last)
            told = failed if done.returncode else Forecast("done", json.loads(done.stdout))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            told = Forecast("failed", {}, str(error)[:200])
        with self._lock:
            self._known[_key(config)] = told


def _key(config: TrainConfig) -> str:
    return config.model_copy(update={"seed": 0, "alpha": 0.5, "temperature": 4.0}).key


FORECASTS = Forecasts()
"""Those of this server."""
