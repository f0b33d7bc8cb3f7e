"""The networks: building blocks, students, teachers, and the registry that names them all."""

from core.models.registry import MODELS, ModelSpec, get

__all__ = ["MODELS", "ModelSpec", "get"]
