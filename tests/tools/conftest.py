"""Tiny networks and photographs, as the tests of `core` make them."""

from tests.core.conftest import _published, food, pretrained, tiny, tiny_checkpoint, tiny_teacher

__all__ = ["_published", "food", "pretrained", "tiny", "tiny_checkpoint", "tiny_teacher"]
