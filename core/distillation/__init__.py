"""Distillation: temperature, the terms of the loss, its traps, and whether it helps."""
