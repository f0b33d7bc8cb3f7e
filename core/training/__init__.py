"""Training: the configuration, the one loop, a folder per run."""

from core.training.config import TrainConfig

__all__ = ["TrainConfig"]
