"""The predicted time: from real steps, in proportion to the work, and close to what happens."""

import time
from pathlib import Path

import pytest

from core.training.config import TrainConfig
from core.training.forecast import START_S, forecast
from core.training.forecasts import Forecasts
from core.training.loop import train
from tests.core.training.queueing import wait_until


def test_it_is_near_what_the_run_takes(tiny: TrainConfig, tmp_path: Path) -> None:
    config = tiny.model_copy(update={"epochs": 8, "ema_decay": 0.0, "augment": "light"})
    found = forecast(config, 44, 22)
    train(config.model_copy(update={"epochs": 1}), tmp_path / "warm")  # the pixel cache
    began = time.perf_counter()
    train(config, tmp_path / "run")
    took, said = time.perf_counter() - began, found["total_s"] - START_S
    assert said / 8 < took < said * 8 + 5  # others may use this machine meanwhile
    assert found["teacher_s"] == 0
    assert found["total_s"] == pytest.approx(START_S + 8 * found["epoch_s"], abs=0.2)


def test_the_server_asks_a_process_once(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Forecasts()
    assert known.look(tiny) is None
    monkeypatch.setattr(known, "_measure", lambda config: None)
    known.ask(tiny)
    told = known.look(tiny.model_copy(update={"seed": 5, "temperature": 9.0}))
    assert told is not None and told.state == "measuring"  # neither changes the time
    assert known.look(tiny.model_copy(update={"epochs": 4})) is None


def test_a_measurement_that_fails_says_why(tiny: TrainConfig, tmp_path: Path) -> None:
    known = Forecasts()
    gone = tiny.model_copy(update={"data": str(tmp_path / "gone")})
    known.ask(gone)

    def over() -> bool:
        told = known.look(gone)
        return told is not None and told.state != "measuring"

    wait_until(over, 90)
    told = known.look(gone)
    assert told is not None and told.state == "failed" and "gone" in told.message
