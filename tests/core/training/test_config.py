"""The run's configuration refuses what cannot work and says why."""

import pytest
from pydantic import ValidationError

from core.training.config import TrainConfig


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"alpha": 1.5}, "less than or equal to 1"),
        ({"temperature": 0}, "greater than 0"),
        ({"px": 100}, "multiple of 16"),
        ({"start_px": 256}, "between 32 and px"),
        ({"pretrained": True, "start_from": "x"}, "choose one"),
        ({"warmup_epochs": 60}, "must be under epochs"),
        ({"learning_rate": 1}, "Extra inputs"),
        ({"lr": float("nan")}, "less than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TrainConfig.model_validate(settings)


def test_every_field_is_explained() -> None:
    for name, field in TrainConfig.model_fields.items():
        assert field.description, name


def test_key_changes_with_any_setting() -> None:
    assert TrainConfig().key == TrainConfig().key
    assert TrainConfig(seed=1).key != TrainConfig().key


def test_side_grows_to_full_size() -> None:
    config = TrainConfig(px=128, start_px=64, epochs=12)
    sides = [config.px_at(epoch) for epoch in range(12)]
    assert sides[0] == 64
    assert sides == sorted(sides)
    assert all(side % 16 == 0 for side in sides)
    assert set(sides[8:]) == {128}
    assert {TrainConfig(px=128).px_at(epoch) for epoch in range(60)} == {128}


@pytest.mark.parametrize(
    ("settings", "warmup"),
    [({}, 2.0), ({"epochs": 3}, 2.0), ({"epochs": 2}, 1.0), ({"epochs": 1}, 0.5)],
)
def test_a_short_run_needs_no_word_about_warm_up(
    settings: dict[str, object], warmup: float
) -> None:
    assert TrainConfig.model_validate(settings).warmup == warmup
