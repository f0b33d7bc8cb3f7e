"""The export page's pictures and sentences, against numbers worked out by hand."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.charts.numbers import THIN
from core.checkpoints import Checkpoint
from core.export import chart
from core.export.chart import (
    files_frame,
    format_about,
    format_title,
    size_chart,
    stack_alt,
    stack_chart,
    stack_frame,
    stack_lines,
    stack_table,
    stack_time_lines,
    step_title,
    time_chart,
)
from core.export.files import FileRow, Parity
from core.export.stack import FORMATS, STEPS, Blocks, Format, Stack, StackRow, Step
from core.pruning.rows import PruningGrid, PruningRow, RowKey
from core.stats import wilson
from core.timing import Spread
from tests.charts import rows_of as rows
from tests.core.collection.test_chart import encodings

ONE = cast(Checkpoint, SimpleNamespace(family="student", recipe="distilled", derived_from=None))
SIZES = {"safetensors": 530_000, "onnx": 1_050_000, "onnx-fp16": 540_000, "onnx-int8": 320_000,
         "hw7-8bit": 265_000}  # fmt: skip
TIMES = {"safetensors": 8.0, "onnx": 1.0, "onnx-fp16": 1.01, "onnx-int8": 2.0}
AGREES = {"onnx-int8": 0.97, "hw7-8bit": 0.985}


def spread(median: float) -> Spread:
    return Spread(median=median, p25=0.95 * median, p75=1.05 * median, n=30)


def row(format: Format, **changes: Any) -> FileRow:
    parity = Parity(
        pictures="testing",
        n=1000,
        max_logit_difference=0.0 if AGREES.get(format, 1) == 1 else 1.5,
        agreement=AGREES.get(format, 1.0),
        correct=560,
        original_correct=561,
    )
    given: dict[str, Any] = {
        "format": format,
        "size_bytes": SIZES[format],
        "sha256": "0" * 64,
        "latency": spread(TIMES[format]) if format in TIMES else None,
        "parity": parity,
    }
    return FileRow(**given | changes)


ROWS = tuple(row(format) for format in FORMATS)


def plain(lines: list[str]) -> str:
    return "\n".join(lines).replace(THIN, " ")


def values(spec: Any, name: str, key: str) -> list[Any]:
    return [row[key] for row in rows(spec, name)]


def test_the_frame_holds_the_rows() -> None:
    frame = files_frame(ONE, reversed(ROWS))
    assert list(frame["format"]) == list(FORMATS)
    assert list(frame["role"]) == ["distilled"] * 3 + ["quantised"] * 2
    assert list(frame["size_bytes"]) == list(SIZES.values())
    assert frame["median"].isna().sum() == 1
    low, high = wilson(560, 1000)
    assert (frame["low"][0], frame["high"][0]) == (low, high)


def test_formats_have_names_of_their_own() -> None:
    assert len({format_title(format) for format in FORMATS}) == len(FORMATS)
    assert len({format_about(format) for format in FORMATS}) == len(FORMATS)
    assert len({step_title(step) for step in STEPS}) == len(STEPS)


def test_bars_are_the_bytes_and_limits_fit_the_picture() -> None:
    spec = size_chart(files_frame(ONE, ROWS))
    assert values(spec, "files", "size_bytes") == list(SIZES.values())
    assert values(spec, "limits", "size_bytes") == [300_000, 1_000_000]
    small = size_chart(files_frame(ONE, [row("hw7-8bit", size_bytes=90_000)]))
    assert values(small, "limits", "size_bytes") == []  # both limits are far outside


def test_only_what_has_a_runtime_is_timed() -> None:
    found = rows(time_chart(files_frame(ONE, ROWS)), "files")
    assert [row["format"] for row in found] == list(TIMES)
    assert all(row["p25"] < row["median"] < row["p75"] for row in found)


def test_what_is_not_known_yet_is_in_no_picture() -> None:
    for draw in (size_chart, time_chart):
        spec = draw(files_frame(ONE, ROWS), ["onnx"])
        whole = draw(files_frame(ONE, ROWS))
        known = [row for row in rows(spec, "files") if row["text"] != "?"]
        assert [row["title"] for row in known] == ["ONNX, float32"]
        assert known == [row for row in rows(whole, "files") if row["title"] == "ONNX, float32"]
        hidden = [row for row in rows(spec, "files") if row["text"] == "?"]
        told = ("place", "title", "role", "format", "text")
        assert not any(row[key] for row in hidden for key in row if key not in told)
        domains = [one["x"]["scale"] for one in encodings(spec) if "scale" in one.get("x", {})]
        assert domains and domains == [
            one["x"]["scale"] for one in encodings(whole) if "scale" in one.get("x", {})
        ]  # nothing moves when the others come


def test_smallest_and_fastest() -> None:
    assert chart.smallest(ROWS) == "hw7-8bit"
    assert chart.fastest(ROWS) == ["onnx", "onnx-fp16"]  # cannot be told apart
    assert chart.fastest([row("hw7-8bit")]) == []


@pytest.mark.parametrize(
    ("guess", "what", "wanted"),
    [
        ("hw7-8bit", "smallest", "The smallest is HW7's 8-bit file: 265 KB."),
        ("onnx-int8", "smallest", "You guessed ONNX, int8: 320 KB. The smallest is "
         "HW7's 8-bit file: 265 KB."),
        ("onnx-int8", "fastest", "The fastest is ONNX, float32: 1.00 ms."),
        ("onnx-fp16", "fastest", "ONNX, float32 and ONNX, float16 weights are not distinguishable"),
        (None, "smallest", "The smallest is HW7's 8-bit file: 265 KB."),
    ],
)  # fmt: skip
def test_a_guess_is_answered_with_figures(guess: Format | None, what: str, wanted: str) -> None:
    truth = chart.fastest(ROWS) if what == "fastest" else ["hw7-8bit"]
    answer = plain([chart.guess_answer(ROWS, guess, cast(Any, truth), what)])
    assert wanted in answer
    assert ("You guessed" in answer) == (guess is not None and guess not in truth)


def test_a_guess_that_could_not_be_made_is_said() -> None:
    some = [one for one in ROWS if one.format != "onnx-int8"]
    answer = chart.guess_answer(some, "onnx-int8", ["hw7-8bit"], "smallest")
    assert "could not be made here" in answer


def test_sentences_say_what_was_measured() -> None:
    said = plain(chart.time_lines(ROWS))
    assert "**ONNX, int8** against float32: 30 % of the bytes; slower: 2.00 ms instead" in said
    assert (
        "**ONNX, float16 weights** against float32: 51 % of the bytes; not distinguishable" in said
    )
    faster = [row("onnx"), row("onnx-int8", latency=spread(0.5))]
    assert "faster: 0.50 ms instead of 1.00 ms" in plain(chart.time_lines(faster))
    assert chart.time_lines([row("onnx", latency=None)]) == []
    said = plain(chart.size_lines(ROWS))
    assert "HW7's 8-bit file, 265 KB, 4.0× smaller" in said
    assert "Under HW7's 300 KB: HW7's 8-bit file." in said
    assert "None of them" in plain(chart.size_lines([row("onnx")]))
    said = plain(chart.parity_lines(ROWS))
    assert "every picture: safetensors, ONNX, float32, ONNX, float16 weights." in said
    assert "**ONNX, int8** gives another class on 30 of 1,000" in said
    assert "**HW7's 8-bit file** gives another class on 15 of 1,000" in said


def test_the_table_leaves_out_what_was_not_measured() -> None:
    made = Parity(pictures="made", n=64, max_logit_difference=0.1, agreement=1.0)
    table = chart.files_table([row("hw7-8bit", parity=made), row("onnx")])
    assert table["time"][0] == "n/a" and table["right"][0] == ""
    low, high = wilson(560, 1000)
    assert table["right"][1].replace(THIN, " ") == (
        f"56.0 % ({100 * low:.1f} to {100 * high:.1f} %)"
    )


# -- the stack -------------------------------------------------------------------------------------

BYTES: dict[Step, int] = {
    "teacher": 13_900_000, "student": 1_050_000, "student_8bit": 265_000, "cut": 604_000,
    "tuned": 604_000, "tuned_int8": 196_000, "tuned_8bit": 152_000,
}  # fmt: skip
RIGHT: dict[Step, int] = {
    "teacher": 757, "student": 561, "student_8bit": 560, "cut": 208, "tuned": 520,
    "tuned_int8": 519, "tuned_8bit": 518,
}  # fmt: skip


def step(name: Step, **changes: Any) -> StackRow:
    given: dict[str, Any] = {
        "step": name,
        "format": "hw7-8bit" if name.endswith("8bit") else "onnx",
        "size_bytes": BYTES[name],
        "params": 256_779 if name.startswith("student") else 145_903,
        "macs": 10**7,
        "n": 1000,
        "correct": RIGHT[name],
    }
    return StackRow(**given | changes)


def way(*rows: StackRow) -> Stack:
    return Stack(
        student="s", teacher="t", weights_sha256="0", teacher_sha256="0",
        key=RowKey("bn_gamma", 0.25, "narrow", 12), data="", fingerprint="", device="an abacus",
        versions={}, commit="", date="", rows=rows,
    )  # fmt: skip


ALL = way(*(step(name) for name in STEPS))


def test_every_step_is_a_mark_with_its_interval() -> None:
    frame = stack_frame(ALL.rows)
    assert list(frame["number"]) == list(range(1, 8))
    assert frame["low"][0] == wilson(757, 1000)[0]
    spec = stack_chart(frame)
    assert len(rows(spec, "steps")) == 7 and len(rows(spec, "way")) == 6
    names = [row["text"].split(" ")[0] for row in rows(spec, "names")]
    assert names == [str(k) for k in range(1, 8)]  # a phone has room for all of them here
    assert "1 teacher: 13.9 MB, 75.7 %" in stack_alt(frame).replace(THIN, " ")


def test_a_way_without_accuracies_has_a_table_and_no_sentence_about_them() -> None:
    rows = [step(name, n=None, correct=None) for name in STEPS]
    table = stack_table(rows)
    assert list(table["right"]) == [""] * 7 and table["bytes"][0] == "13,900,000"
    (line,) = stack_lines(way(*rows))
    assert "accuracy not measured" in line


def test_sentences_tell_the_way() -> None:
    said = plain(stack_lines(ALL))
    assert "13.9 MB to 152 KB, 91× smaller; 75.7 %" in said
    assert "leaves 145,903 of 256,779 parameters: 56.1 % right becomes 20.8 %; fine-tuning" in said
    assert "takes 265 KB, under HW7's 300 KB, and is right on 56.0 %" in said


def test_half_a_way_is_drawn_too() -> None:
    half = way(step("teacher"), step("student"))
    assert len(rows(stack_chart(stack_frame(half.rows)), "steps")) == 2
    assert stack_lines(half) == []


def pruned(**changes: Any) -> PruningGrid:
    """Times of the whole student, and with half of each layer's channels cut."""

    def one(method: Any, ratio: float, form: Any, onnx: float, torch: float) -> PruningRow:
        latency = {"onnx_1": spread(onnx), "torch_1": spread(torch)}
        return PruningRow(method=method, ratio=ratio, form=form, params=1, nonzero=1, macs=1,
                          size_bytes=1, latency=latency)  # fmt: skip

    given: dict[str, Any] = {
        "checkpoint": "student", "weights_sha256": "0" * 64, "data": "", "fingerprint": "",
        "device": "", "versions": {}, "commit": "", "date": "", "layers": (), "groups": (),
        "rows": (one("l1", 0.0, "removed", 0.9, 5.1), one("channel_l2", 0.5, "narrow", 0.6, 3.2)),
    }  # fmt: skip
    return PruningGrid(**given | changes)


def test_a_cut_that_is_slower_is_explained_by_what_was_measured() -> None:
    def blocks(blocked: int, without: float) -> Blocks:
        return Blocks(blocked=blocked, of=15, cpu=spread(1.0), cpu_without=spread(without))

    student = step("student", latency=spread(0.87), macs=40_000, blocks=blocks(15, 1.66))
    tuned = step("tuned", latency=spread(1.28), macs=24_000, blocks=blocks(2, 1.18))
    said = plain(stack_time_lines(way(student, tuned), pruned()))
    assert "60 % of the arithmetic is left, yet it is slower: 1.28 ms instead of 0.87 ms" in said
    assert "15 of 15 convolutions of the student, 2 of 15 of the cut one" in said
    assert "the student takes 1.66 ms of processor time, the cut one 1.18 ms" in said
    assert "0.60 ms instead of 0.90 ms by ONNX Runtime, 3.20 ms instead of 5.10 ms" in said
    same = step("tuned", latency=spread(0.88), macs=24_000)
    said = plain(stack_time_lines(way(student, same), pruned(rows=())))
    assert "not distinguishable: 0.88 ms and 0.87 ms" in said
    assert "Why" not in said and "Pruning" not in said
    faster = step("tuned", latency=spread(0.5), macs=24_000)
    (said,) = stack_time_lines(way(student, faster))
    assert "left; it is faster" in said
    assert stack_time_lines(way(student)) == []
