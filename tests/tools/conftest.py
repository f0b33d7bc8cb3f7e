"""Tiny networks and photographs, as the tests of `core` make them."""

from tests.core.conftest import (
    _published,
    _taught,
    food,
    pretrained,
    tiny,
    tiny_checkpoint,
    tiny_teacher,
)

__all__ = [
    "_published", "_taught", "food", "pretrained", "tiny", "tiny_checkpoint", "tiny_teacher",
]  # fmt: skip
