"""The course's limits, applied as the course applied them."""

import pytest

from core.models.design.cost import Totals, layer_rows, totals
from core.models.design.limits import budgets, years
from core.models.design.plans import describe
from core.models.design.spec import read


def of(line: str) -> Totals:
    return totals(layer_rows(read(line)))


def registered(key: str) -> Totals:
    found = describe(key)
    return totals(layer_rows(found.parts, found.input_px))


@pytest.mark.parametrize(
    ("key", "may_be_handed_in"),
    [
        ("hw13_sample", {"HW13 2021", "HW13 2022"}),
        ("hw13_residual", {"HW13 2021", "HW13 2022"}),
        ("hw13_residual_bottleneck", set()),
        ("dwpw_256k", set()),
    ],
)
def test_students_of_the_reports(key: str, may_be_handed_in: set[str]) -> None:
    assert {one.year for one in years(registered(key)) if one.counts} == may_be_handed_in


def test_one_parameter_over_scores_nothing() -> None:
    """Exactly at the limit is in, one more is out."""
    base = registered("hw13_sample")
    for params, counts in ((100_000, True), (100_001, False), (60_000, True), (60_001, False)):
        sums = Totals(**{**vars(base), "params": params})
        limits = {one.limit: one.counts for one in years(sums)}
        assert limits[100_000 if params > 90_000 else 60_000] is counts


def test_budgets_of_hw7s_networks() -> None:
    """Its question 4 compares networks of “about 1 MB”; at 8 bit they are under 300 KB."""
    for key in ("dwpw_256k", "plain_275k", "group8_277k"):
        first, second, megabyte, eight_bit = budgets(registered(key))
        assert (first.limit, second.limit) == (100_000, 60_000)
        assert first.homeworks == ("HW13 2021", "HW13 2022") and second.homeworks == ("HW13 2023",)
        assert first.answer == second.answer == "over"
        assert megabyte.answer == "about" and 1 < megabyte.share < 1.15
        assert eight_bit.answer == "within"
    assert budgets(registered("plain_2m"))[2].answer == "over"
    assert budgets(registered("plain_2m"))[3].answer == "over"
    small = budgets(of("px64-relu-stem4-plain4"))
    assert {one.answer for one in small} == {"within"}


def test_sizes_count_statistics_too() -> None:
    """One 3 x 3 stem of 4, one plain 4: by hand."""
    sums = of("px64-relu-stem4-plain4")
    params = (3 * 9 * 4 + 4) + 8 + (4 * 9 * 4 + 4) + 8 + (4 * 11 + 11)
    assert sums.params == params
    assert sums.int8_bytes == params + 2 * 8
    assert sums.float32_bytes == 4 * (params + 2 * 8) + 2 * 8
