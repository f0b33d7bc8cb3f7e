"""Timing the real layers: bounded, one at a time, and leaving the process as it was."""

import threading
import time

import pytest
import torch

from core.convolutions import timing as conv_timing
from core.convolutions.method import KINDS, ConvSetting, Cost, compare
from core.convolutions.timing import TimingBusyError, is_too_heavy, time_layers
from core.errors import ConfigError

SMALL = ConvSetting(in_channels=8, out_channels=8, groups=2, map_size=8, rank=4)


def test_all_four_layers_are_timed_at_both_batch_sizes() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    measured = time_layers(SMALL, budget_s=0.05)
    assert tuple(measured.timings) == (1, 32)
    for timings in measured.timings.values():
        assert tuple(timings) == KINDS
        assert len({timing.n for timing in timings.values()}) == 1
        for timing in timings.values():
            assert 0 < timing.p25_ms <= timing.median_ms <= timing.p75_ms
            assert timing.threads == measured.threads == 1
    assert measured.torch_version == torch.__version__
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_more_work_takes_more_time() -> None:
    """The clock measures the layer: 64 times the MACs cannot take as little time."""
    large = ConvSetting(in_channels=64, out_channels=64, groups=2, map_size=16, rank=4)
    little = time_layers(SMALL, budget_s=0.1).timings[32]["standard"].median_ms
    much = time_layers(large, budget_s=0.1).timings[32]["standard"].median_ms
    assert much > 4 * little


def test_the_layers_timed_are_the_layers_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    build = conv_timing.build

    def counting(cost: Cost) -> torch.nn.Sequential:
        net = build(cost)
        assert not net.training
        built.append(sum(p.numel() for p in net.parameters()))
        return net

    monkeypatch.setattr(conv_timing, "build", counting)
    time_layers(SMALL, budget_s=0.0)
    assert built == [cost.params for cost in compare(SMALL).values()]


def test_one_timing_at_a_time() -> None:
    errors: list[BaseException] = []

    def second() -> None:
        try:
            time_layers(SMALL, budget_s=0.0, wait_s=0.01)
        except BaseException as error:
            errors.append(error)

    with conv_timing._ONE_AT_A_TIME:
        other = threading.Thread(target=second)
        other.start()
        other.join(timeout=30)
    assert isinstance(errors[0], TimingBusyError)
    assert "again" in str(errors[0])
    time_layers(SMALL, budget_s=0.0, wait_s=0.01)  # and it is free again


def test_the_lock_is_given_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(conv_timing, "_measure", fail)
    with pytest.raises(MemoryError):
        time_layers(SMALL)
    monkeypatch.undo()
    time_layers(SMALL, budget_s=0.0, wait_s=0.01)


@pytest.mark.slow
def test_what_would_freeze_the_machine_is_left_out() -> None:
    heavy = ConvSetting(in_channels=256, out_channels=256, map_size=64, rank=64)
    assert is_too_heavy(heavy, 32)
    assert not is_too_heavy(heavy, 1)
    measured = time_layers(heavy, budget_s=0.0)
    assert tuple(measured.timings) == (1,)

    start = time.process_time()
    vast = time_layers(ConvSetting(1024, 1024, kernel_size=11, padding=5, map_size=224))
    assert vast.timings == {}
    assert time.process_time() - start < 5


def test_memory_counts_too() -> None:
    wide = ConvSetting(in_channels=64, out_channels=64, kernel_size=1, padding=0, map_size=224)
    assert is_too_heavy(wide, 32)  # 1.6 GB of maps
    assert not is_too_heavy(wide, 1)


def test_a_setting_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="evenly"):
        time_layers(ConvSetting(groups=7))
