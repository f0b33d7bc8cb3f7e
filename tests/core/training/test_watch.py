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


def test_losses_and_answers_are_those_of_the_run_and_change_nothing(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 0.0)  # asked about the pictures after every step
    config = tiny.model_copy(update={"select": "last"})
    train(config, tmp_path / "run")
    run, index = RunFolder(tmp_path / "run"), find_food11(Path(config.data))
    watched = read_watch(run.path)
    assert watched is not None
    assert watched.pictures == fixed_pictures(index) and len(watched.pictures) == 6
    steps = watched.steps_per_epoch
    assert watched.done == watched.steps == config.epochs * steps == len(watched.loss)
    for epoch, entry in enumerate(run.metrics()):  # all batches are equally large
        part = watched.loss[epoch * steps : (epoch + 1) * steps]
        assert np.mean(part) == pytest.approx(entry["loss"], abs=1e-3)

    spec = get(config.model)
    net = spec.build()
    net.load_state_dict(run.load_weights())
    pictures = labelled(load_pixels(index, px=config.px), "validation", config.px)
    with torch.inference_mode():
        logits = net.eval()(spec.normalize(torch.from_numpy(pictures.pixels.copy())))
    wanted = logits.softmax(1)[fixed_rows(pictures.labels)].numpy()
    assert np.allclose(watched.latest, wanted, atol=2e-3)
    assert not np.allclose(watched.first, wanted, atol=2e-3)

    monkeypatch.setattr(Learner, "answers_to_watched", lambda _self: [])
    monkeypatch.setattr(watch, "EVERY_S", 1e9)
    train(config, tmp_path / "alone")
    alone = RunFolder(tmp_path / "alone")
    times = {"seconds", "images_per_s"}
    for a, b in zip(run.metrics(), alone.metrics(), strict=True):
        assert {k: a[k] for k in a.keys() - times} == {k: b[k] for k in b.keys() - times}
    weights, others = run.load_weights(), alone.load_weights()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_the_first_loss_is_told_at_once_and_others_when_it_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 1e9)
    told = Watch(tmp_path, [Picture("a.jpg", 3)], 4)
    told.write(lambda: BLIND)
    for loss in (2.5, 2.25):
        told.step(loss, lambda: BLIND)
        watched = read_watch(tmp_path)
        assert watched is not None and watched.loss == [2.5]


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
