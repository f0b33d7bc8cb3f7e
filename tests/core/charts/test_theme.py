"""The visual language holds for who cannot tell the colours apart, by day and by night."""

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.charts import theme
from core.checkpoints import DerivedFrom, get
from core.checkpoints.entry import Derivation

CONFIG = tomllib.loads(
    (Path(__file__).resolve().parents[3] / ".streamlit" / "config.toml").read_text()
)
MODES = ("light", "dark")

# Machado, Oliveira & Fernandes 2009, severity 1.0, on linear RGB
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def linear(colour: str) -> NDArray[np.float64]:
    """ "#RRGGBB" -> linear RGB, 0..1."""
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""
    dim, bright = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (bright + 0.05) / (dim + 0.05)


def oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ottosson 2020: a space where distances are what one sees."""
    lms = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ rgb.clip(0, 1)
    )
    matrix = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return matrix @ lms


@pytest.mark.parametrize("mode", MODES)
def test_streamlit_paints_with_the_same_colours(mode: str) -> None:
    listed = [getattr(slot, mode) for slot in theme.SLOTS.values()]
    assert CONFIG["theme"][mode]["chartCategoricalColors"] == listed


@pytest.mark.parametrize("mode", MODES)
def test_marks_stand_out_from_the_page(mode: str) -> None:
    page = CONFIG["theme"][mode]["backgroundColor"]
    for name, slot in theme.SLOTS.items():
        least = 4.5 if name in ("text", "muted") else 3.0
        assert contrast(getattr(slot, mode), page) >= least, name


@pytest.mark.parametrize("mode", MODES)
def test_words_can_be_read(mode: str) -> None:
    colours = CONFIG["theme"][mode]
    pages = [colours["backgroundColor"], colours["secondaryBackgroundColor"]]
    for page, name in itertools.product(pages, ("textColor", "linkColor")):
        assert contrast(colours[name], page) >= 4.5, (name, page)
    assert contrast(colours["primaryColor"], pages[0]) >= 3.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sight", SIGHT)
def test_roles_are_told_apart(mode: str, sight: str) -> None:
    groups = (theme.ROLES, ("correct", "wrong"))
    for group in groups:
        seen = {
            name: oklab(SIGHT[sight] @ linear(getattr(theme.SLOTS[name], mode))) for name in group
        }
        for one, other in itertools.combinations(group, 2):
            assert np.linalg.norm(seen[one] - seen[other]) > 0.07, (one, other)


def test_shapes_say_the_same_as_colours() -> None:
    named = [*theme.ROLES, "correct", "wrong"]
    assert len({theme.SLOTS[name].shape for name in named}) == len(named)
    assert len({theme.glyph(name) for name in named}) == len(named)


@pytest.mark.parametrize(
    ("family", "recipe", "kind", "role"),
    [
        ("teacher", "imagenet", None, "teacher"),
        ("teacher", "scratch", None, "teacher"),
        ("student", "scratch", None, "scratch"),
        ("student", "distilled", None, "distilled"),
        ("student", "distilled-weak", None, "distilled"),
        ("student", "narrow_lowrank_qat4_pruned_factory", None, "scratch"),  # only a name
        ("teacher", "imagenet", "pruned", "pruned"),
        ("student", "distilled", "narrow", "pruned"),
        ("student", "distilled", "quantised", "quantised"),
        ("student", "scratch_narrow", "factored", "factored"),
    ],
)
def test_a_checkpoints_role(
    family: str, recipe: str, kind: Derivation | None, role: str, tiny_checkpoint: str
) -> None:
    made = kind and DerivedFrom(id="another-s0", kind=kind)
    changes = {"family": family, "recipe": recipe, "derived_from": made}
    one = get(tiny_checkpoint).model_copy(update=changes)
    assert theme.role_of(one) == role
    assert theme.role_title(role)
