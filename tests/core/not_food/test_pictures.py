"""Pictures that are not food: the same each time, and as many as one asks for."""

import hashlib

import numpy as np
import pytest

from core.not_food.pictures import KINDS, SIDE, Kind, kind_title, picture


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_named_by_kind_and_number(kind: Kind) -> None:
    images = [picture(kind, number) for number in (0, 1, 2, 3, 50)]
    assert {(image.mode, image.size) for image in images} == {("RGB", (SIDE, SIDE))}
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    assert len(set(hashes)) == len(images)
    again = picture(kind, 50)  # made alone, after others
    assert hashlib.sha256(again.tobytes()).hexdigest() == hashes[-1]
    assert all(np.asarray(image).std() > 2 for image in images)  # shows something


def test_every_kind_has_a_name() -> None:
    assert len({kind_title(kind) for kind in KINDS}) == len(KINDS)
