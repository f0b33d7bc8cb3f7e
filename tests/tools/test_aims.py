"""What was aimed for is compared with what is shipped, and with nothing else."""

import pytest

from tests import results_shelf
from tools.tables import AIMS, aims_rows, student_rows, trained

N = 1200


@pytest.fixture(autouse=True)
def shelf(pretrained: object) -> None:
    """An empty collection to publish into."""


def test_the_best_recipe_that_counts_is_held_against_each_aim() -> None:
    results_shelf.fill(
        {
            "efficientnet_lite0-imagenet": (1010,),
            "dwpw_256k-scratch": (1100,),  # better, but nobody taught it
            "dwpw_256k-distilled": (600, 700, 800),
            "dwpw_256k-food101_distilled": (640,),
            "dwpw_256k-distilled_narrow_bn_gamma22p6_ft1x5": (1150,),
            "best_100k-scratch_10ep": (1000,),  # a trial of ten epochs
        }
    )
    teacher, student, small = aims_rows(trained())
    assert teacher[3] == f"{1010 / N:.1%}" and teacher[5] == "reached"
    assert student[2].endswith(", distilled") and student[3] == f"{700 / N:.1%}"
    assert student[5] == f"{100 * (AIMS[1].accuracy - 700 / N):.1f} points"
    assert small[2] == "not trained yet"


def test_every_training_of_a_student_is_listed_the_best_last() -> None:
    results_shelf.fill(
        {
            "dwpw_256k-distilled": (600, 700, 800),
            "dwpw_256k-scratch": (500, 510),
            "dwpw_256k-scratch_qat4_ft5": (900,),
            "plain_2m-scratch": (900,),
            "best_100k-distilled": (450,),
        }
    )
    first, second, last = student_rows(trained())
    assert [row[2] for row in (first, second, last)] == ["0, 1", "0, 1, 2", "0"]
    assert [row[4] for row in (first, second, last)] == [
        f"{right / N:.1%}" for right in (505, 700, 450)
    ]
    assert "100,000" in last[0]
