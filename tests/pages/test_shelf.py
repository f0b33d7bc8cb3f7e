"""What pages begin with: the strong teacher, and one student with and without it."""

from core.checkpoints import Checkpoint, load_manifest
from core.stats import Score
from pages.kit import networks

TEACHER, SCRATCH, DISTILLED = (
    "efficientnet_lite2-imagenet_more-s0",
    "dwpw_256k-scratch-s0",
    "dwpw_256k-distilled_stronger-s0",  # the one that this teacher taught
)


def in_order() -> list[Checkpoint]:
    """The shipped checkpoints as `networks.checkpoints` lists them: the largest first."""
    found = networks.checkpoints()
    assert found[0].id != TEACHER  # else nothing is shown here
    return found


def test_pages_begin_with_the_strong_teacher_and_its_student_twice() -> None:
    assert networks.starters(in_order()) == [TEACHER, SCRATCH, DISTILLED]


def test_a_student_of_other_photographs_is_nobodys_twin() -> None:
    found = in_order()
    twin = next(one for one in found if one.id == SCRATCH)
    elsewhere = twin.model_copy(update={"id": "dwpw_256k-food101-s0", "recipe": "food101"})
    assert networks.starters([elsewhere, *found]) == [TEACHER, SCRATCH, DISTILLED]


def test_teachers_go_by_their_validation_accuracy() -> None:
    teachers = networks.teachers(in_order())
    assert teachers[0].id == TEACHER
    unmeasured = teachers[0].model_copy(update={"validation": None})
    assert networks.teachers([unmeasured, *teachers[1:]])[-1] is unmeasured
    worse = teachers[0].model_copy(update={"validation": Score.of(1, 863)})
    assert networks.teachers([worse, *teachers[1:]])[-1] is worse


def test_without_some_of_them_pages_begin_with_what_is_there() -> None:
    found = load_manifest()
    assert networks.starters([found[SCRATCH]]) == [SCRATCH]
    assert networks.starters([found["plain_2m-scratch-s0"], found[TEACHER]]) == [
        TEACHER,
        "plain_2m-scratch-s0",
    ]
    assert networks.starters([]) == []
