"""Seeds of one recipe are one thing; recipes are compared on the seeds and pictures they share."""

from pathlib import Path
from statistics import fmean, stdev

import pytest

from core import checkpoints
from core.checkpoints import TEST_LOGITS, load_manifest
from core.checkpoints.by_recipe import Collected, by_stem, collect, contrast, on_one_set
from tests import results_shelf as shelf


@pytest.fixture(autouse=True)
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    return tmp_path


def found() -> dict[str, Collected]:
    return by_stem(collect(load_manifest().values()))


def test_seeds_of_a_recipe_are_one(pretrained: Path) -> None:
    shelf.fill({"dwpw_256k-scratch": (600, 630), "plain_2m-scratch": (700,)})
    shelf.publish("dwpw_256k-distilled", 0, 800, test=None)
    groups = found()
    assert set(groups) == {"dwpw_256k-scratch", "plain_2m-scratch"}  # unmeasured ones stay out
    two = groups["dwpw_256k-scratch"]
    assert [one.seed for one in two.seeds] == [0, 1] and two.n == 1200
    mean, low, high = two.interval()
    assert mean == pytest.approx((600 + 630) / 2 / 1200)
    seeds_reach = 12.706 * stdev([0.5, 0.525]) / 2**0.5
    pictures_reach = 1.96 * (mean * (1 - mean) / 1200) ** 0.5
    assert high - mean == pytest.approx((seeds_reach**2 + pictures_reach**2) ** 0.5, rel=0.01)
    assert mean - low == pytest.approx(high - mean, rel=0.02)


def test_other_photographs_and_a_visitors_run_are_recipes_of_their_own() -> None:
    data = shelf.publish("dwpw_256k-scratch", 0, 600).data
    other = data.model_copy(update={"fingerprint": "f" * 16})
    shelf.publish("dwpw_256k-scratch", 1, 600, data=other)
    assert [len(group.seeds) for group in collect(load_manifest().values())] == [1, 1]
    shelf.publish("plain_2m-scratch", 0, 600)
    shelf.publish("plain_2m-scratch", 0, 640, id="plain_2m-scratch-s0-0a1b2c3d4e")
    assert {"plain_2m-scratch", "plain_2m-scratch-s0-0a1b2c3d4e"} <= set(found())


def test_one_seed_is_compared_picture_by_picture() -> None:
    shelf.fill({"dwpw_256k-scratch": (600,), "dwpw_256k-distilled": (690,)})
    groups = found()
    made = contrast(groups["dwpw_256k-distilled"], groups["dwpw_256k-scratch"])
    assert made is not None and not made.over_seeds
    difference, low, high = made.interval()
    assert difference == pytest.approx(90 / 1200) and low > 0 and made.side() == "more"
    # on these pictures b is never right where a is wrong: McNemar's p is that of 90 heads in a row
    right = []
    for name in ("distilled", "scratch"):
        logits, labels = checkpoints.test_logits(f"dwpw_256k-{name}-s0")
        right.append(logits.argmax(1) == labels)
    assert not (right[1] & ~right[0]).any()
    assert made.pairs[0].p == pytest.approx(2 * 0.5**90, rel=1e-6)
    assert high < 2 * difference
    back = contrast(groups["dwpw_256k-scratch"], groups["dwpw_256k-distilled"])
    assert back is not None and back.side() == "less"


def test_several_seeds_are_compared_seed_by_seed() -> None:
    shelf.fill({"dwpw_256k-scratch": (600, 612, 606), "dwpw_256k-distilled_weak": (630, 660, 600)})
    groups = found()
    made = contrast(groups["dwpw_256k-distilled_weak"], groups["dwpw_256k-scratch"])
    assert made is not None and made.over_seeds
    gains = [30 / 1200, 48 / 1200, -6 / 1200]
    mean, low, _high = made.interval()
    assert mean == pytest.approx(fmean(gains))
    assert mean - low > 4.3027 * stdev(gains) / 3**0.5  # the seeds' luck, and the photographs'
    assert made.side() == "unclear"  # 4.3 standard errors are much


def test_seeds_that_agree_do_not_hide_the_luck_of_the_photographs() -> None:
    """Three seeds gain 12 photographs of 1,200 each, others each time: over seeds alone the
    interval would be a point. The 36 photographs, a third of a gain each, are a sample, too."""
    shelf.fill({"dwpw_256k-scratch": (600,) * 3, "dwpw_256k-distilled": (612,) * 3})
    groups = found()
    made = contrast(groups["dwpw_256k-distilled"], groups["dwpw_256k-scratch"])
    assert made is not None
    mean, low, high = made.interval()
    assert mean == pytest.approx(0.01)
    assert high - mean > 1.96 * (36 / 9 / 1200 / 1200) ** 0.5
    assert mean - low == pytest.approx(high - mean)
    assert made.pairs[0].low < mean < made.pairs[0].high


def test_only_shared_seeds_and_pictures_count() -> None:
    shelf.fill({"dwpw_256k-scratch": (600, 612), "plain_2m-scratch": (700,)})
    groups = found()
    made = contrast(groups["plain_2m-scratch"], groups["dwpw_256k-scratch"])
    assert made is not None and [pair.a.seed for pair in made.pairs] == [0]
    shelf.publish("best_100k-scratch", 5, 600)
    assert contrast(found()["best_100k-scratch"], groups["dwpw_256k-scratch"]) is None


def test_damaged_answers_are_no_answers(pretrained: Path) -> None:
    shelf.fill({"dwpw_256k-scratch": (600,), "plain_2m-scratch": (700,)})
    path = pretrained / "plain_2m-scratch-s0" / TEST_LOGITS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    groups = found()
    assert contrast(groups["plain_2m-scratch"], groups["dwpw_256k-scratch"]) is None


def test_what_else_differs_is_known() -> None:
    shelf.publish("dwpw_256k-scratch", 0, 600, config={"lr": 0.001, "seed": 0, "model": "a"})
    other = {"lr": 0.002, "seed": 0, "model": "b", "more_data": "MORE"}  # left out above: not used
    shelf.publish("plain_2m-scratch", 0, 700, config=other)
    groups = found()
    made = contrast(groups["plain_2m-scratch"], groups["dwpw_256k-scratch"])
    assert made is not None and made.also_differs() == ["lr", "more_data"]


def test_what_is_ranked_together_is_of_one_set() -> None:
    one = shelf.publish("dwpw_256k-scratch", 0, 600)
    for stem in ("plain_2m-scratch", "best_100k-scratch"):
        shelf.publish(stem, 0, 700)
    other = one.data.model_copy(update={"fingerprint": "f" * 16})
    shelf.publish("dwpw_256k-distilled", 0, 1100, data=other)
    shelf.publish("hw13_sample-scratch_10ep", 0, 1100, data=other)
    same, others = on_one_set(collect(load_manifest().values()))
    assert {group.stem for group in same} == {
        "dwpw_256k-scratch", "plain_2m-scratch", "best_100k-scratch",
    }  # fmt: skip
    assert {group.stem for group in others} == {"dwpw_256k-distilled", "hw13_sample-scratch_10ep"}
    assert on_one_set(others) == (others, []) and on_one_set([]) == ([], [])
