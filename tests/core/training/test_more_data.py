"""Further photographs in training: beside the set's own, never in what is measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import ConfigError
from core.models import get
from core.training.config import TrainConfig
from core.training.learner import Learner
from core.training.loop import train
from core.training.photographs import Photographs, joined, photographs
from core.training.runs import RunFolder
from core.training.speed import Compute
from tests.food import make_food11


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs a class to learn from, other than the set's own; and some to be ignored."""
    folder = tmp_path_factory.mktemp("more")
    make_food11(folder, per_class={"training": 6, "validation": 1, "testing": 1}, size=(44, 44))
    (folder / "PROVENANCE.md").write_text("# More photographs\n\nThis is NOT Food-11.\n")
    return folder


def _both(food: Path, more: Path) -> tuple[Photographs, Photographs, Photographs]:
    own, further = (
        photographs(load_pixels(find_food11(folder), 32, progress=False), "training")
        for folder in (food, more)
    )
    return own, further, joined(own, further)


def test_squares_and_labels_come_from_the_set_that_holds_them(food: Path, more: Path) -> None:
    own, further, both = _both(food, more)
    assert (len(own), len(further), len(both), both.added) == (44, 66, 110, 66)
    positions = torch.tensor([100, 3, 44, 43, 3, 109])
    for got, label, at in zip(
        both.take(positions, "cpu"), both.labels[positions], positions.tolist(), strict=True
    ):
        source, row = (own, at) if at < 44 else (further, at - 44)
        assert torch.equal(got, source.take(torch.tensor([row]), "cpu")[0])
        assert label == source.labels[row]
    assert both.fingerprint not in (own.fingerprint, further.fingerprint)


def test_squares_of_two_sizes_are_refused(food: Path) -> None:
    index = find_food11(food)
    small, large = (
        photographs(load_pixels(index, px, progress=False), "training") for px in (32, 48)
    )
    with pytest.raises(ValueError, match="squares"):
        joined(small, large)


def _learner(config: TrainConfig, training: Photographs, food: Path) -> Learner:
    spec = get(config.model)
    validation = photographs(load_pixels(find_food11(food), 32, progress=False), "validation")
    compute = Compute("cpu", bfloat16=False, channels_last=False)
    return Learner(config, spec, spec.build(), compute, training, validation)


def test_an_epoch_takes_all_own_photographs_and_a_share_of_the_others(
    food: Path, more: Path, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.model_copy(update={"more_data": str(more), "more_share": 0.5})
    learner = _learner(config, _both(food, more)[2], food)
    assert learner.steps == (44 + 33) // 11
    drawn = [learner._used(("bank", view)) for view in (0, 1, 0)]
    for used in drawn:
        assert bool(used[:44].all()) and int(used[44:].sum()) == 33
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    learned: list[int] = []
    step = learner._step

    def heard(rows: torch.Tensor, *others: Any) -> torch.Tensor:
        learned.extend(rows.tolist())
        return step(rows, *others)

    monkeypatch.setattr(learner, "_step", heard)
    learner.epoch(0)
    assert sorted(learned) == learner._used((config.seed, "view", 0)).nonzero().flatten().tolist()


def test_a_run_says_what_it_learned_from_and_is_measured_on_its_own_set(
    food: Path, more: Path, tiny: TrainConfig, tmp_path: Path
) -> None:
    config = tiny.model_copy(update={"more_data": str(more)})
    result = train(config, tmp_path / "run")
    said = RunFolder(tmp_path / "run").read()
    assert result["validation"]["n"] == 22, "the set's own"
    assert (said["data"]["training"], said["data"]["more"]["training"]) == (44, 66)
    index = find_food11(more)
    assert said["data"]["more"]["fingerprint"] == index.fingerprint
    assert said["data"]["more"]["name"] == index.name and not said["data"]["more"]["is_food11"]


def test_a_run_does_not_go_on_with_other_further_photographs(
    more: Path, tiny: TrainConfig, tmp_path: Path
) -> None:
    config = tiny.model_copy(update={"more_data": str(more), "epochs": 1, "warmup_epochs": 0.0})
    train(config, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    victim = more / find_food11(more).files[0]
    kept = victim.read_bytes()
    try:
        victim.write_bytes(kept + b"\0")
        with pytest.raises(ConfigError, match="photographs have changed"):
            train(config, tmp_path / "run")
    finally:
        victim.write_bytes(kept)


def test_settings_without_further_photographs_are_written_as_before() -> None:
    assert not {"more_data", "more_share"} & TrainConfig().model_dump().keys()
    config = TrainConfig(more_data="FOODMORE_ROOT", more_share=0.5)
    assert TrainConfig.model_validate(config.model_dump()) == config
    assert config.key != TrainConfig(more_data="FOODMORE_ROOT").key != TrainConfig().key


def test_a_network_that_sees_the_whole_square_is_trained_and_measured_on_it(food: Path) -> None:
    pixels = load_pixels(find_food11(food), 32, progress=False, crop=1.0)
    assert pixels.stored == 32 and get("efficientnet_lite2").crop == 1.0
    assert np.asarray(pixels.pixels).shape[-1] == 32
