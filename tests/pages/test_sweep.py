"""The sweep of T and alpha on the Distillation page: its words and chart follow the kept points."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.distillation.chart import sweep_chart
from core.distillation.sweep import Sweep, SweepPoint
from core.stats import Score
from tests.charts import rows_of
from tests.pages import shelf
from tests.pages.test_app import data_buttons

Open = Callable[..., AppTest]
N = 200
RIGHT = {  # (T, alpha) -> right answers of two seeds
    (None, None): (100, 104),
    (2.0, 0.5): (110, 112),
    (8.0, 0.5): (120, 122),
    (2.0, 0.9): (90, 92),
}


def keep() -> Sweep:
    points = tuple(
        SweepPoint(
            temperature=temperature,
            alpha=alpha,
            seed=seed,
            best_epoch=3,
            validation=Score.of(50, 100),
            test=Score.of(correct, N),
            wall_s=10.0,
        )
        for (temperature, alpha), both in RIGHT.items()
        for seed, correct in enumerate(both)
    )
    kept = Sweep(
        model="dwpw_256k",
        teacher=shelf.TEACHER,
        teacher_sha256="0" * 64,
        shared={"epochs": 10, "px": 96},
        data="Tiny",
        is_food11=False,
        fingerprint="f" * 16,
        device="this processor",
        versions={},
        commit="0" * 12,
        date="2026-01-01",
        points=points,
    )
    kept.save()
    return kept


def test_it_names_the_best_and_what_labels_alone_reach(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    kept = keep()
    app = open_page("distillation", tab="settings")
    assert not app.exception
    said = "\n".join(str(one.value) for kind in (app.markdown, app.caption) for one in kind)
    assert "uncommitted" not in said
    assert "The best of 3 settings is T = 8, α = 0.5" in said and "(60" in said  # 121 of 200
    assert "the worst T = 2, α = 0.9" in said
    assert "2 of the 3 settings with a teacher are higher" in said
    assert "Tiny (not Food-11)" in said
    assert "sweep" in data_buttons(app)
    drawn = {name: rows_of(sweep_chart(kept), name) for name in ("means", "points", "alone")}
    values = {name: {round(row["accuracy"], 2) for row in rows} for name, rows in drawn.items()}
    assert values["means"] == {60.5, 55.5, 45.5} and values["alone"] == {51.0}  # of two seeds
    assert {60.0, 61.0} <= values["points"]  # and each of them
    kept.model_copy(update={"commit": "fedcba987654+"}).save()
    captions = open_page("distillation", tab="settings").caption
    assert any("commit `fedcba9876+` with uncommitted changes" in one.value for one in captions)


def test_without_a_sweep_it_says_how_to_make_one(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("distillation", tab="settings")
    assert "python -m core reproduce --steps sweep" in [one.value for one in app.code]


def test_a_damaged_file_is_said(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    keep()
    Sweep.path("dwpw_256k").write_text("{")
    app = open_page("distillation", tab="settings")
    assert any("sweep-dwpw_256k.json cannot be read" in one.value for one in app.error)
