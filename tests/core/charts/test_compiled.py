"""A compiled chart and its rows: each table once, where its first layer is, nowhere at the top."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa
import pytest
from altair.utils import schemapi

from core import i18n
from core.charts import compiled as module
from core.charts.compiled import Spec, compiled, table, with_rows
from core.charts.tables import records
from core.charts.theme import finish, layered
from tests.charts import rows_of

ROWS = [{"a": 1, "text": "x"}, {"a": 2, "text": "y"}]


def _of_one_layer(height: int) -> alt.LayerChart:
    bars = alt.Chart(alt.NamedData("t0")).mark_bar().encode(x="a:Q")
    chart: alt.LayerChart = finish(layered(bars), height=height)
    return chart


@compiled
def _chart(tables: int) -> alt.LayerChart:
    on = [alt.Chart(alt.NamedData(f"t{n % tables}")).encode(x="a:Q") for n in range(4)]
    layers = [on[0].mark_bar(), on[1].mark_rule(), on[2].mark_text(), on[3].mark_point()]
    chart: alt.LayerChart = finish(layered(*layers), height=100)
    return chart


def test_visitors_who_come_at_once_share_one_compilation() -> None:
    made: list[int] = []

    @compiled
    def chart(height: int) -> alt.LayerChart:
        made.append(height)
        time.sleep(0.05)
        return _of_one_layer(height)

    with ThreadPoolExecutor(8) as visitors:
        specs = list(visitors.map(chart, [100] * 8 + [101] * 8))
    assert sorted(made) == [100, 101]
    assert {id(spec) for spec in specs} == {id(chart(100)), id(chart(101))}


def test_a_chart_is_the_same_with_and_without_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = []
    for validate in (True, False):
        monkeypatch.setattr("core.charts.compiled._validate", validate)
        specs.append(compiled(_of_one_layer)(100))
    assert specs[0] == specs[1]
    monkeypatch.setattr("core.charts.compiled._validate", True)
    with pytest.raises(schemapi.SchemaValidationError):  # the tests' own setting: a slip is found
        compiled(lambda: alt.Chart(alt.NamedData("a")).mark_bar(clip="x"))()  # type: ignore[arg-type]


def test_rows_stand_once_in_the_layers_and_the_shared_chart_stays_as_it_was() -> None:
    for tables in (1, 2):
        before = repr(_chart(tables))
        spec = with_rows(_chart(tables), **{f"t{n}": ROWS[n:] for n in range(tables)})
        assert "data" not in spec and "datasets" not in spec  # Streamlit would make tables of them
        for n in range(tables):
            assert rows_of(spec, f"t{n}") == ROWS[n:]
        named = [layer["data"]["name"] for layer in spec["layer"]]
        assert named == [f"t{n % tables}" for n in range(4)]
        assert repr(_chart(tables)) == before


made: list[Any] = []
"""What `_by_title` was called with."""


def _by_title(title: Any) -> alt.LayerChart:
    made.append(title)
    return _of_one_layer(100).properties(title=str(title))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of specifications, as the app keeps them: without a look at each."""
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_validate", False)
    module._folder.cache_clear()
    made.clear()
    yield tmp_path / "charts"
    module._folder.cache_clear()


def in_a_new_process(title: Any = "a") -> Spec:
    return compiled(_by_title)(title)


def files(kept: Path) -> list[Path]:
    return [file for file in kept.rglob("*") if file.is_file()]


def test_the_next_process_reads_what_was_compiled(kept: Path) -> None:
    first = in_a_new_process()
    assert in_a_new_process() == first and made == ["a"]
    in_a_new_process("b")
    i18n.set_language("zh-Hant")
    try:
        in_a_new_process()
    finally:
        i18n.set_language("en")
    assert made == ["a", "b", "a"] and len(files(kept)) == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"$schema": '])
def test_a_damaged_specification_is_compiled_anew(kept: Path, damage: bytes) -> None:
    first = in_a_new_process()
    (file,) = files(kept)
    file.write_bytes(damage)
    assert in_a_new_process() == first and made == ["a", "a"]
    assert in_a_new_process() == first and made == ["a", "a"]


def test_other_code_compiles_anew_and_the_old_is_forgotten(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_new_process()
    before = files(kept)
    monkeypatch.setattr(module, "version", lambda name: "another")
    module._folder.cache_clear()
    in_a_new_process()
    assert made == ["a", "a"] and len(files(kept)) == 1 and files(kept) != before


@pytest.mark.parametrize("name", ["theme.py", "message.mo"])
def test_a_change_anywhere_in_core_counts(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "core" / "charts" / "compiled.py"))
    file = tmp_path / "core" / "deep" / name
    file.parent.mkdir(parents=True)
    folders = []
    for text in ("one", "another"):
        file.write_text(text, encoding="utf-8")
        module._folder.cache_clear()
        folders.append(module._folder())
    assert len(set(folders)) == 2


class Unknown:
    """Something whose text says where it lies in memory."""


def test_what_the_next_process_could_mistake_is_not_kept(kept: Path) -> None:
    compiled(lambda: _of_one_layer(1))()
    in_a_new_process(Unknown())
    assert not files(kept)


class _Odd:
    def to_dict(self, validate: bool) -> Spec:
        return {"$schema": "", "a": (1, 2)}


def _odd() -> _Odd:
    return _Odd()


def test_what_json_would_change_is_not_kept(kept: Path) -> None:
    assert compiled(_odd)() == {"$schema": "", "a": (1, 2)} and not files(kept)


def test_only_so_many_are_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_FILES", 3)
    for number in range(5):
        in_a_new_process(number)
    assert len(files(kept)) == 3


def test_without_a_folder_charts_are_compiled_all_the_same(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "file"))
    assert in_a_new_process() == in_a_new_process() and made == ["a", "a"]


def test_a_frames_rows_are_pandas_own() -> None:
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "is": [True, False], "text": ["a", "b"]})
    rows = records(frame)
    assert rows == frame.to_dict("records") and records(frame[:0]) == []
    assert [type(value) for value in rows[0].values()] == [int, float, bool, str]


def test_a_table_holds_its_rows_texts_as_texts() -> None:
    rows: list[dict[str, float | str]] = [
        {"day": "2026-11-30", "n": 1.5, "text": 'two\nlines, "é"'},
        {"day": "", "n": 2, "text": "1"},
    ]
    arrow = table(rows)
    assert arrow.to_pylist() == rows
    assert arrow.schema.types == [pa.string(), pa.float64(), pa.string()]
