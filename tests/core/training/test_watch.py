"""What a run tells while it goes on: true losses, true answers, and the run is the same for it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.models import get
from core.stats import labelled
from core.training import watch
from core.training.config import TrainConfig
from core.training.learner import Learner
from core.training.loop import train
from core.training.runs import RunFolder
from core.training.watch import MOST_POINTS, Picture, Watch, fixed_pictures, fixed_rows, read_watch

BLIND = [[round(1 / 11, 4)] * 11]


def test_a_run_is_the_same_whether_it_is_watched_or_not(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 0.0)  # asked about the pictures after every step
    train(tiny, tmp_path / "watched")
    monkeypatch.setattr(Learner, "answers_to_watched", lambda _self: [])
    monkeypatch.setattr(watch, "EVERY_S", 1e9)
    train(tiny, tmp_path / "alone")
    one, two = (RunFolder(tmp_path / name) for name in ("watched", "alone"))
    for a, b in zip(one.metrics(), two.metrics(), strict=True):
        assert {k: a[k] for k in a if k not in ("seconds", "images_per_s")} == {
            k: b[k] for k in b if k not in ("seconds", "images_per_s")
        }
    weights, others = one.load_weights(), two.load_weights()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_losses_and_answers_are_those_of_the_run(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 0.0)
    config = tiny.model_copy(update={"select": "last"})
    train(config, tmp_path / "run")
    run, index = RunFolder(tmp_path / "run"), find_food11(Path(config.data))
    found = read_watch(run.path)
    assert found is not None
    assert found.pictures == fixed_pictures(index) and len(found.pictures) == 6
    assert found.done == found.steps == config.epochs * found.steps_per_epoch == len(found.loss)
    metrics = run.metrics()
    steps = found.steps_per_epoch
    for epoch, entry in enumerate(metrics):  # all batches are equally large
        part = found.loss[epoch * steps : (epoch + 1) * steps]
        assert np.mean(part) == pytest.approx(entry["loss"], abs=1e-3)

    spec = get(config.model)
    net = spec.build()
    net.load_state_dict(run.load_weights())
    pictures = labelled(load_pixels(index, px=config.px), "validation", config.px)
    with torch.inference_mode():
        logits = net.eval()(spec.normalize(torch.from_numpy(pictures.pixels.copy())))
    wanted = logits.softmax(1)[fixed_rows(pictures.labels)].numpy()
    assert np.allclose(found.latest, wanted, atol=2e-3)
    assert not np.allclose(found.first, wanted, atol=2e-3)


@given(st.lists(st.floats(0, 10), max_size=3000), st.integers(1, 700))
def test_points_are_means_of_equally_many_steps(losses: list[float], at_a_time: int) -> None:
    told = Watch(None, steps=max(1, len(losses)))
    for start in range(0, len(losses), at_a_time):
        told._add(losses[start : start + at_a_time])
    points, stride = told.now.loss, told.now.stride
    assert len(points) == len(losses) // stride <= MOST_POINTS + 1
    for number, point in enumerate(points):
        part = losses[number * stride : (number + 1) * stride]
        assert point == pytest.approx(np.mean(part), abs=0.01)


def test_a_resumed_run_goes_on_where_its_last_whole_epoch_ended(tmp_path: Path) -> None:
    pictures = [Picture("validation/3_1.jpg", 3)]
    first = Watch(tmp_path, pictures, 40, 10)
    first.write(lambda: BLIND)
    for step in range(25):  # the third epoch is not whole
        first.step(float(step), lambda: BLIND)
    first.write(lambda: [[1.0] + [0.0] * 10])
    second = Watch(tmp_path, pictures, 40, 10, done=20)
    second.write(lambda: BLIND)
    found = read_watch(tmp_path)
    assert found is not None and found.loss == [float(step) for step in range(20)]
    assert (found.done, found.first) == (20, BLIND)
    other = Watch(tmp_path, [Picture("validation/4_1.jpg", 4)], 40, 10, done=20)
    assert other.now.loss == []  # another set's


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0}, {"stride": 0}, {"done": -1}, {"loss": ["x"]}, {"loss": [float("nan")]},
        {"latest": []}, {"latest": [[1.0]]}, {"pictures": [["a.jpg", 11]]}, {"first": None},
    ],
)  # fmt: skip
def test_what_is_not_whole_is_nothing(tmp_path: Path, change: dict[str, object]) -> None:
    Watch(tmp_path, [Picture("a.jpg", 3)], 4).write(lambda: BLIND)
    assert read_watch(tmp_path) is not None
    path = tmp_path / watch.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_watch(tmp_path) is None
    path.write_text("{")
    assert read_watch(tmp_path) is None
    assert read_watch(tmp_path / "nowhere") is None


@given(st.lists(st.integers(-1, 10), max_size=60))
def test_the_pictures_are_of_as_many_classes_as_can_be(labels: list[int]) -> None:
    there = np.array(labels, dtype=np.int64)
    rows = fixed_rows(there)
    known = there[there >= 0]
    assert len(rows) == len(set(rows)) == min(6, len(known))
    assert all(there[row] >= 0 for row in rows)
    assert len({labels[row] for row in rows}) == min(6, len(set(known.tolist())))
