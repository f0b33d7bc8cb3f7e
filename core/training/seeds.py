"""Random numbers that depend on what they are for, not on what ran before.

Each epoch's order, view and dropout come from a generator seeded by (run seed, purpose, epoch).
A resumed run therefore needs no saved generator state: it continues exactly as if never stopped.
"""

import hashlib

import torch


def derive(*parts: object) -> int:
    """A 63-bit seed from its parts, the same on every machine."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(*parts))
