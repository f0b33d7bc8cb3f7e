"""Food-11: find it on this machine, index it, fetch it, and keep its pixels ready for training."""

from core.data.find import SPLITS, Index, find_food11, food11_available

__all__ = ["SPLITS", "Index", "find_food11", "food11_available"]
