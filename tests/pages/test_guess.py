"""A question whose answer waits for a guess."""

import pytest
from streamlit.testing.v1 import AppTest


def asking() -> None:
    import streamlit as st

    from pages.kit import guess

    answer = guess.ask("How many?", {0.5: "half", 0.25: "a quarter"}, key="guess_n")
    st.caption(f"{answer.value} {answer.is_open}")
    guess.verdict(answer, answer.value == 0.5, "It is a half.")
    if not guess.waits(answer):
        st.caption("told")


@pytest.mark.parametrize(
    ("chosen", "value", "words"),
    [(0.5, "0.5", "✓ **Right.** It is a half."), (0.25, "0.25", "✗ **Not quite.** It is a half."),
     ("show", "None", "It is a half.")],
)  # fmt: skip
def test_the_answer_waits_for_a_guess(chosen: float | str, value: str, words: str) -> None:
    app = AppTest.from_function(asking).run()
    assert [one.value for one in app.caption] == ["None False"]
    assert "half" not in app.markdown[0].value and len(app.info) == 1
    app.button_group(key="guess_n").set_value(chosen).run()
    assert [one.value for one in app.caption] == [f"{value} True", "told"]
    assert app.markdown[0].value == words and not app.info
    app.button_group(key="guess_n").set_value(None).run()  # taken back
    assert [one.value for one in app.caption] == ["None False"]
