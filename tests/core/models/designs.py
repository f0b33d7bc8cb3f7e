"""Random small designs, for property tests: every block, setting and combination that is valid."""

from math import gcd
from typing import Any, get_args

from hypothesis import assume
from hypothesis import strategies as st
from pydantic import ValidationError

from core.models.design.spec import ACTIVATIONS, RESIDUAL, Block, Design


@st.composite
def designs(draw: st.DrawFn, most_stages: int = 3, widest: int = 12) -> Design:
    """A valid design at 32 to 96 px with at most `most_stages` stages of width `widest`."""
    width = st.integers(1, widest)
    kernel = st.sampled_from([1, 3, 5, 7])
    stem = {
        "width": draw(width),
        "kernel": draw(kernel),
        "stride": draw(st.sampled_from([1, 2])),
        "pool": draw(st.sampled_from([0, 2, 3])),
        "bias": draw(st.booleans()),
    }
    padding, channels, stages = draw(st.booleans()), stem["width"], []
    blocks = get_args(Block)
    allowed = blocks if padding else tuple(set(blocks) - set(RESIDUAL))
    for _number in range(draw(st.integers(1, most_stages))):
        stage: dict[str, Any] = {
            "block": draw(st.sampled_from(sorted(allowed))),
            "width": draw(width),
            "repeats": draw(st.integers(1, 2)),
            "down": draw(st.sampled_from(["none", "pool", "stride"])),
            "kernel": draw(kernel),
        }
        if stage["block"] == "group":
            shared = gcd(channels, stage["width"])
            stage["groups"] = draw(
                st.sampled_from([g for g in range(1, shared + 1) if shared % g == 0])
            )
        if stage["block"] == "inverted":
            stage["expansion"] = draw(st.integers(1, 4))
        channels = stage["width"] * (4 if stage["block"] == "bottleneck" else 1)
        stages.append(stage)
    try:
        return Design.model_validate(
            {
                "input_px": draw(st.sampled_from([32, 64, 96])),
                "classes": draw(st.sampled_from([2, 11])),
                "activation": draw(st.sampled_from(ACTIVATIONS)),
                "padding": padding,
                "bias": draw(st.booleans()),
                "functional": draw(st.booleans()),
                "stem": stem,
                "stages": tuple(stages),
            }
        )
    except ValidationError as error:  # only because the picture shrinks to nothing
        assert "to nothing" in str(error)
        assume(False)
        raise
