"""Four scores that say how little a picture is like those that a network learned from.

A network gives logits z (11) = W f + b of features f (C): the mean of its last feature maps. Every
score is higher for a picture that is less like food:

- confidence: 1 - max softmax(z) (Hendrycks & Gimpel 2017, A Baseline for Detecting Misclassified
  and Out-of-Distribution Examples). The softmax looks at differences of logits alone.
- max_logit: -max z (Hendrycks et al. 2022, Scaling Out-of-Distribution Detection).
- energy: -log sum exp z (Liu et al. 2020, Energy-based Out-of-distribution Detection).
- distance: |r|, r = (f - m) - V V^T (f - m): how far f is from the plane through the mean m of the
  features of training photographs along the few directions V (C x DIRECTIONS) in which these differ
  most (the residual of Wang et al. 2022, ViM: Out-of-Distribution with Virtual-logit Matching).

The first three see z alone, the last one sees what W throws away. An answer counts as unsure where
the score is above a limit that LIMIT of the validation photographs keep to.
"""

import base64
import math
from typing import Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.i18n import _
from core.inference.predict import softmax

ScoreName = Literal["confidence", "max_logit", "energy", "distance"]
SCORES: tuple[ScoreName, ...] = get_args(ScoreName)
DECIDES: ScoreName = "distance"
"""The score by which an answer counts as unsure."""
LIMIT = 0.95
"""The share of validation photographs that are not above the limit."""
DIRECTIONS = 16
"""Of the plane of `distance`, at most half of the features'. With 64 two students answer alike."""


def score_title(score: ScoreName) -> str:
    """What a reader calls a score."""
    return {
        "confidence": _("Confidence (softmax)"),
        "max_logit": _("Maximum logit"),
        "energy": _("Energy"),
        "distance": _("Distance of the features"),
    }[score]


def energy(logits: ArrayLike) -> NDArray[np.float64]:
    """-log sum exp z over the last axis: low where any logit is high."""
    z = np.asarray(logits, dtype=np.float64)
    top = z.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = -(top[..., 0] + np.log(np.exp(z - top).sum(axis=-1)))
    return result


class Plane(NamedTuple):
    """Where the features of training photographs lie."""

    mean: NDArray[np.float32]
    """(C,)"""
    directions: NDArray[np.float32]
    """(K, C), orthonormal: K is DIRECTIONS, or half of C where that is less."""

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Self:
        """The plane nearest to features (N, C) of training photographs, N > DIRECTIONS, C > 1."""
        mean = features.mean(axis=0, dtype=np.float64)
        most = min(DIRECTIONS, len(mean) // 2)
        directions = np.linalg.svd(features - mean, full_matrices=False)[2][:most]
        # as it will be read again
        return cls.from_text(cls(mean.astype(np.float32), directions.astype(np.float32)).text)

    @property
    def text(self) -> str:
        """As it is kept in a file: C, and base64 of float16, the mean first."""
        values = np.vstack([self.mean, self.directions]).astype("<f2")
        return f"{len(self.mean)} {base64.b64encode(values.tobytes()).decode()}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The plane that `text` keeps. Raises ValueError for anything else."""
        n, _space, stored = text.partition(" ")
        values = np.frombuffer(base64.b64decode(stored, validate=True), "<f2").astype(np.float32)
        rows = values.reshape(-1, max(1, int(n)))
        if len(rows) < 2 or not np.isfinite(rows).all():
            raise ValueError("no plane")
        return cls(rows[0], rows[1:])

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far features (..., C) are from it: (...)."""
        apart = np.asarray(features, np.float64) - self.mean
        residual = apart - (apart @ self.directions.T) @ self.directions
        result: NDArray[np.float64] = np.linalg.norm(residual, axis=-1)
        return result


def scores(
    logits: NDArray[np.float32], features: NDArray[np.float32], plane: Plane
) -> dict[ScoreName, NDArray[np.float64]]:
    """Every score of answers: logits (N, 11), features (N, C) -> (N,) each."""
    return {
        "confidence": 1 - softmax(logits).max(axis=-1),
        "max_logit": -np.asarray(logits, np.float64).max(axis=-1),
        "energy": energy(logits),
        "distance": plane.distance(features),
    }


def limit(validation: ArrayLike, share: float = LIMIT) -> float:
    """The lowest of the scores (N,), N > 0, that at least `share` of them do not exceed."""
    ordered = np.sort(np.asarray(validation, np.float64))
    return float(ordered[math.ceil(share * len(ordered)) - 1])
