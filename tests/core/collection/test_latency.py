"""All shipped networks timed in one sitting; a network that changed has no time in it."""

from pathlib import Path

import pytest

from core import checkpoints
from core.collection import reproduce
from core.collection.latency import LatencyTable, measure_latency, missing_latency
from core.errors import CheckpointError
from tests.pages import shelf


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)


def states() -> list[str]:
    return [row["state"] for row in reproduce.status(steps=("latency",))]


def test_every_network_is_timed_once_for_its_very_weights(shipped: None) -> None:
    assert LatencyTable.load() is None and states() == ["missing"]
    reproduce.reproduce(steps=("latency",), log=lambda line: None)
    table = LatencyTable.load()
    assert table is not None and states() == ["done"]
    assert set(table.networks) == {shelf.TEACHER, shelf.SCRATCH}
    for id, timed in table.networks.items():
        sha = checkpoints.get(id).weights_sha256
        spread = table.of(id, sha)
        assert spread == timed.ms and timed.px == shelf.PX
        assert 0 < spread.p25 <= spread.median <= spread.p75
        assert spread.n == table.rounds
        assert table.of(id, "0" * 64) is None
    assert table.of("nothing", "") is None
    before = LatencyTable.path().read_bytes()
    reproduce.reproduce(steps=("latency",))
    assert LatencyTable.path().read_bytes() == before  # nothing the second time

    shelf.fill(shelf.DISTILLED)
    assert missing_latency() == [shelf.DISTILLED] and states() == ["started"]
    table = measure_latency(lambda line: None, rounds=3, warmup=0)
    assert len(table.networks) == 3 and states() == ["done"]


def test_no_networks_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    assert states() == ["missing"]
    reproduce.reproduce(steps=("latency",))
    assert LatencyTable.load() is None
    with pytest.raises(CheckpointError, match="no checkpoints"):
        measure_latency()


def test_a_damaged_table_is_said(shipped: None) -> None:
    measure_latency(lambda line: None, rounds=1, warmup=0)
    LatencyTable.path().write_text(LatencyTable.path().read_text().replace('"threads"', '"thread"'))
    with pytest.raises(CheckpointError, match=r"latency\.json cannot be read"):
        LatencyTable.load()
