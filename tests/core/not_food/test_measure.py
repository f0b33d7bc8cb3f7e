"""What is measured of a network, counted again by torch; stopped and resumed; refused elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core import checkpoints
from core.collection import reproduce
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.not_food import measure
from core.not_food.measure import make_not_food, missing_versions, state
from core.not_food.pictures import KINDS, picture
from core.not_food.rows import INT8, PUBLISHED, Doubt, NotFood
from core.photos import prepare
from core.stats import labelled
from tests.core.conftest import TINY
from tests.core.tiny_shelf import PX
from tests.tiny_network import SPEC

PER_KIND = 3


def by_torch(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 11) and features (N, 12) of the tiny network."""
    net = checkpoints.load_model(TINY)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (SPEC.mean, SPEC.std))
    with torch.inference_mode():
        maps = net.block(net.stem((torch.from_numpy(pixels.copy()).float() - mean) / std))  # type: ignore[operator]
        features = maps.mean((2, 3))
        return net.fc(features).numpy(), features.numpy()  # type: ignore[operator]


def distances(features: np.ndarray, measured: NotFood) -> np.ndarray:
    mean, directions = measured.training
    apart = features - mean
    return np.sqrt(((apart - apart @ directions.T @ directions) ** 2).sum(1))


@pytest.fixture
def few(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny network beside its photographs."""
    monkeypatch.setattr(measure, "_bundled", lambda: iter(()))
    measure._pictures.cache_clear()
    return here


def test_counts_limits_and_doubt_are_those_that_torch_gives(few: Path) -> None:
    assert state(TINY) == "missing"
    lines: list[str] = []
    make_not_food(TINY, lines.append, per_kind=PER_KIND)
    measured = NotFood.load(TINY)
    assert measured is not None and state(TINY) == "done" and missing_versions(TINY) == []
    assert measured.fingerprint == find_food11().fingerprint and measured.commit
    row = measured.row(PUBLISHED)
    assert row is not None and any(PUBLISHED in line for line in lines)
    photographs = load_pixels(find_food11(), PX, progress=False)
    test = labelled(photographs, "testing", PX)
    values = {
        split: distances(by_torch(labelled(photographs, split, PX).pixels)[1], measured)
        for split in ("validation", "testing")
    }
    limit = row.limits["distance"]
    assert (values["validation"] <= limit + 1e-3).mean() >= 0.95
    n_above = len(values["validation"]) // 20
    assert limit == pytest.approx(np.sort(values["validation"])[-1 - n_above], rel=1e-3)
    logits = by_torch(test.pixels)[0]
    assert row.n == len(test.labels) and row.correct == (logits.argmax(1) == test.labels).sum()
    clear = np.abs(values["testing"] - limit) > 1e-3 * limit
    flagged = np.isin(np.arange(row.n), row.unsure)
    assert (flagged == (values["testing"] > limit))[clear].all()
    assert row.alarms["distance"] == len(row.unsure)
    p = torch.softmax(torch.from_numpy(logits).double(), 1).max(1).values.numpy()
    assert row.confidence == pytest.approx(p.mean(), abs=2e-4)
    for kind in KINDS:
        images = [picture(kind, number) for number in range(PER_KIND)]
        features = by_torch(np.stack([prepare(image, PX) for image in images]))[1]
        found = row.pictures[kind]
        expected = distances(features, measured) > limit
        assert found.n == PER_KIND and [flag == "1" for flag in found.flags] == expected.tolist()
        assert found.unsure["distance"] == expected.sum()
    spread = row.spreads["energy"]
    assert sum(spread.food) == row.n and sum(spread.other) == PER_KIND * len(KINDS)

    checkpoint = checkpoints.get(TINY)
    doubt = Doubt.of(checkpoint, features[0].astype(np.float32))
    assert doubt is not None
    assert doubt.score == pytest.approx(distances(features, measured)[0] / limit, rel=1e-3)
    assert doubt.is_unsure == expected[0]
    file = checkpoint.model_copy(update={"id": f"{TINY}.onnx-int8"})
    eight_bits = measured.row(INT8)
    of_file = Doubt.of(file, features[0].astype(np.float32))
    assert (of_file is None) == (eight_bits is None)
    assert Doubt.of(checkpoint, np.zeros(5, np.float32)) is None  # another network's features
    other = checkpoint.model_copy(update={"files": checkpoint.files | {
        "weights.safetensors": checkpoint.files["weights.safetensors"].model_copy(
            update={"sha256": "0" * 64})}})  # fmt: skip
    assert Doubt.of(other, features[0]) is None  # trained anew: nobody has measured these weights


def test_a_stopped_measurement_goes_on_and_a_done_one_is_not_repeated(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measure.openers
    monkeypatch.setattr(
        measure, "openers", lambda id: {PUBLISHED: whole(id)[PUBLISHED], "again": lambda: None}
    )
    with pytest.raises(AttributeError):  # the second version breaks
        make_not_food(TINY, lambda line: None, per_kind=PER_KIND)
    assert state(TINY) == "started" and missing_versions(TINY) == ["again"]
    kept = NotFood.path(TINY).read_bytes()
    monkeypatch.setattr(measure, "openers", lambda id: {PUBLISHED: whole(id)[PUBLISHED]})
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("measured again"))
    reproduce.reproduce(only=(), steps=("not_food",), log=lambda line: None)
    assert NotFood.path(TINY).read_bytes() == kept and state(TINY) == "done"


def test_other_photographs_are_left_out(
    few: Path, food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.food import make_food11

    other = tmp_path / "other"
    make_food11(other, per_class={"training": 1, "validation": 1, "testing": 1}, size=(40, 40))
    monkeypatch.setenv("FOOD11_ROOT", str(other))
    lines: list[str] = []
    make_not_food(TINY, lines.append)
    assert state(TINY) == "missing" and "left out" in lines[0]
