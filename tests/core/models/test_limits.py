"""The course's limits, applied as the course applied them."""

from core.models.design.cost import Totals, layer_rows, totals
from core.models.design.limits import budgets
from core.models.design.plans import describe
from core.models.design.spec import read


def of(line: str) -> Totals:
    return totals(layer_rows(read(line)))


def registered(key: str) -> Totals:
    found = describe(key)
    return totals(layer_rows(found.parts, found.input_px))


def test_students_of_the_reports() -> None:
    """HW13's two students may be handed in in 2021 and 2022; the others in no year."""
    both, none = ["within", "over"], ["over", "over"]
    fits = {"hw13_sample": both, "hw13_residual": both, "hw13_residual_bottleneck": none,
            "dwpw_256k": none}  # fmt: skip
    for key, answers in fits.items():
        assert [budget.answer for budget in budgets(registered(key))[:2]] == answers


def test_one_parameter_over_scores_nothing() -> None:
    """Exactly at the limit is in, one more is out."""
    base = vars(registered("hw13_sample"))
    for place, limit in enumerate((100_000, 60_000)):
        for params, answer in ((limit, "within"), (limit + 1, "over")):
            budget = budgets(Totals(**{**base, "params": params}))[place]
            assert (budget.limit, budget.answer) == (limit, answer)


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
    assert {budget.answer for budget in small} == {"within"}


def test_sizes_count_statistics_too() -> None:
    """One 3 x 3 stem of 4, one plain 4: by hand."""
    sums = of("px64-relu-stem4-plain4")
    params = (3 * 9 * 4 + 4) + 8 + (4 * 9 * 4 + 4) + 8 + (4 * 11 + 11)
    assert sums.params == params
    assert sums.int8_bytes == params + 2 * 8
    assert sums.float32_bytes == 4 * (params + 2 * 8) + 2 * 8
