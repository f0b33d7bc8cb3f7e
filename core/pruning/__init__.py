"""Pruning: which weights or channels go, three ways to write that down, and what it costs."""
