"""Would the course have taken it? A student's totals against each homework's limit.

HW13's rule: the total that torchsummary prints counts, BatchNorm's parameters included; one more
than the limit and the student scores 0, whatever its accuracy. HW7 2020 weighed files: about 1 MB
for the networks of its question 4, and under 300 KB once the weights were 8 bits each.
"""

from dataclasses import dataclass
from typing import Literal

from core.course import BASELINES, PARAM_LIMITS, SIZE_LIMITS_BYTES, Baseline
from core.models.design.cost import Totals

Quantity = Literal["params", "float32_bytes", "int8_bytes"]
Answer = Literal["within", "over", "about"]

ABOUT = 0.15
"""How far from 1 MB still counts as “about 1 MB”: HW7 Q4's own networks are 3 to 12 % over it."""

_ONE_MB, _EIGHT_BIT = SIZE_LIMITS_BYTES


@dataclass(frozen=True)
class Budget:
    """One limit of the course and how much of it a network uses."""

    homeworks: tuple[str, ...]
    """Keys of `core.course`."""
    quantity: Quantity
    used: int
    limit: int
    strict: bool = True
    """False: a size to aim at, not a limit."""

    @property
    def share(self) -> float:
        """Used over limit; 1 is exactly full."""
        return self.used / self.limit

    @property
    def answer(self) -> Answer:
        """`within` the limit, `over` it, or `about` the size that was asked for."""
        if not self.strict and abs(self.share - 1) <= ABOUT:
            return "about"
        return "within" if self.used <= self.limit else "over"


@dataclass(frozen=True)
class YearVerdict:
    """One year's homework: whether a network may be handed in, and what it would have to reach."""

    year: str
    limit: int
    params: int
    baseline: Baseline

    @property
    def counts(self) -> bool:
        """False: it scores 0."""
        return self.params <= self.limit


def budgets(totals: Totals) -> list[Budget]:
    """The course's budgets, years with the same limit together, parameters first."""
    by_limit: dict[int, tuple[str, ...]] = {}
    for year, limit in PARAM_LIMITS.items():
        by_limit[limit] = (*by_limit.get(limit, ()), year)
    sizes = SIZE_LIMITS_BYTES
    return [
        *(Budget(years, "params", totals.params, limit) for limit, years in by_limit.items()),
        Budget((_ONE_MB,), "float32_bytes", totals.float32_bytes, sizes[_ONE_MB], strict=False),
        Budget((_EIGHT_BIT,), "int8_bytes", totals.int8_bytes, sizes[_EIGHT_BIT]),
    ]


def years(totals: Totals) -> list[YearVerdict]:
    """Each year's verdict with that year's baselines: figures of one year, never mixed."""
    return [
        YearVerdict(year, limit, totals.params, BASELINES[year])
        for year, limit in PARAM_LIMITS.items()
    ]
