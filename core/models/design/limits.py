"""Would the course have taken it? A student's totals against each homework's limit.

HW13's rule: the total that torchsummary prints counts, BatchNorm's parameters included; one more
than the limit and the student scores 0, whatever its accuracy. HW7 2020 weighed files: about 1 MB
for the networks of its question 4, and under 300 KB once the weights were 8 bits each.
"""

from dataclasses import dataclass
from typing import Literal

from core.course import PARAM_LIMITS, SIZE_LIMITS_BYTES
from core.models.design.cost import Totals

ABOUT = 0.15
"""How far from 1 MB still counts as “about 1 MB”: HW7 Q4's own networks are 3 to 12 % over it."""


@dataclass(frozen=True)
class Budget:
    """One limit of the course and how much of it a network uses."""

    homeworks: tuple[str, ...]
    """Keys of `core.course`."""
    quantity: Literal["params", "float32_bytes", "int8_bytes"]
    used: int
    limit: int
    strict: bool = True
    """False: a size to aim at, not a limit."""

    @property
    def share(self) -> float:
        """Used over limit; 1 is exactly full."""
        return self.used / self.limit

    @property
    def answer(self) -> Literal["within", "over", "about"]:
        """`within` the limit, `over` it, or `about` the size that was asked for."""
        if not self.strict and abs(self.share - 1) <= ABOUT:
            return "about"
        return "within" if self.used <= self.limit else "over"


def budgets(totals: Totals) -> list[Budget]:
    """The course's budgets, years with the same limit together, parameters first."""
    by_limit: dict[int, tuple[str, ...]] = {}
    for year, limit in PARAM_LIMITS.items():
        by_limit[limit] = (*by_limit.get(limit, ()), year)
    (about, about_bytes), (eight_bit, eight_bit_bytes) = SIZE_LIMITS_BYTES.items()
    return [
        *(Budget(years, "params", totals.params, limit) for limit, years in by_limit.items()),
        Budget((about,), "float32_bytes", totals.float32_bytes, about_bytes, strict=False),
        Budget((eight_bit,), "int8_bytes", totals.int8_bytes, eight_bit_bytes),
    ]
