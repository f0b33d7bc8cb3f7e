"""The export page's pictures and sentences, against numbers worked out by hand."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.charts.numbers import THIN
from core.checkpoints import Checkpoint
from core.export import chart
from core.export.chart import (
    file_rows,
    files_chart,
    stack_chart,
    stack_lines,
    stack_rows,
    stack_table,
    stack_time_lines,
)
from core.export.files import FileRow, Parity
from core.export.stack import FORMATS, STEPS, Blocks, Format, Stack, StackRow, Step
from core.pruning.rows import PruningGrid, PruningRow, RowKey
from core.stats import wilson
from core.timing import Spread
from tests.charts import rows_of

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


def test_files_stand_in_order_with_what_was_measured() -> None:
    files = file_rows(ONE, reversed(ROWS))
    assert [file["format"] for file in files] == list(FORMATS)
    assert [file["role"] for file in files] == ["distilled"] * 3 + ["quantised"] * 2
    assert [file["size_bytes"] for file in files] == list(SIZES.values())
    assert [file["median"] for file in files] == [*TIMES.values(), None]
    assert (files[0]["low"], files[0]["high"]) == wilson(560, 1000)


def test_bars_are_the_bytes_and_limits_fit_the_picture() -> None:
    spec = files_chart(file_rows(ONE, ROWS), "bytes")
    assert [row["value"] for row in rows_of(spec, "files")] == list(SIZES.values())
    limits = [(row["value"], row["place"]) for row in rows_of(spec, "limits")]  # beside each bar
    assert limits == [(value, i) for value in (1_000_000, 300_000) for i in range(len(SIZES))]
    small = files_chart(file_rows(ONE, [row("hw7-8bit", size_bytes=90_000)]), "bytes")
    assert rows_of(small, "limits") == []  # both limits are far outside
    assert small["height"] < spec["height"]


def test_only_what_has_a_runtime_is_timed() -> None:
    timed = rows_of(files_chart(file_rows(ONE, ROWS), "time"), "files")
    assert [row["value"] for row in timed] == list(TIMES.values())
    assert all(row["p25"] < row["value"] < row["p75"] for row in timed)


@pytest.mark.parametrize("measure", ["bytes", "time"])
def test_what_is_not_known_yet_is_in_no_picture(measure: chart.Measure) -> None:
    files = file_rows(ONE, ROWS)
    spec, whole = files_chart(files, measure, ["onnx"]), files_chart(files, measure)
    known = [row for row in rows_of(spec, "files") if row["text"] != "?"]
    assert [row["title"] for row in known] == ["ONNX, float32"]
    assert known == [row for row in rows_of(whole, "files") if row["title"] == "ONNX, float32"]
    hidden = [row for row in rows_of(spec, "files") if row["text"] == "?"]
    visible = ("place", "title", "role", "text")
    assert hidden and not any(row[key] for row in hidden for key in row if key not in visible)
    # nothing moves when the others come
    assert (spec["height"], spec["params"]) == (whole["height"], whole["params"])


def test_smallest_and_fastest() -> None:
    assert chart.smallest(ROWS) == "hw7-8bit"
    assert chart.fastest(ROWS) == ["onnx", "onnx-fp16"]  # cannot be told apart
    assert chart.fastest([row("hw7-8bit")]) == []


@pytest.mark.parametrize(
    ("guess", "measure", "wanted"),
    [
        ("hw7-8bit", "bytes", "The smallest is HW7's 8-bit file: 265 KB."),
        ("onnx-int8", "bytes", "You guessed ONNX, int8: 320 KB. The smallest is "
         "HW7's 8-bit file: 265 KB."),
        ("onnx-int8", "time", "The fastest is ONNX, float32: 1.00 ms."),
        ("onnx-fp16", "time", "ONNX, float32 and ONNX, float16 weights are not distinguishable"),
        (None, "bytes", "The smallest is HW7's 8-bit file: 265 KB."),
    ],
)  # fmt: skip
def test_a_guess_is_answered_with_figures(
    guess: Format | None, measure: chart.Measure, wanted: str
) -> None:
    truth: list[Format] = chart.fastest(ROWS) if measure == "time" else ["hw7-8bit"]
    answer = plain([chart.guess_answer(ROWS, guess, truth, measure)])
    assert wanted in answer
    assert ("You guessed" in answer) == (guess is not None and guess not in truth)
    some = [file for file in ROWS if file.format != "onnx-int8"]
    assert "could not be made here" in chart.guess_answer(some, "onnx-int8", ["onnx"], measure)


def test_sentences_say_what_was_measured() -> None:
    words = plain(chart.time_lines(ROWS))
    assert "**ONNX, int8** against float32: 30 % of the bytes; slower: 2.00 ms instead" in words
    assert (
        "**ONNX, float16 weights** against float32: 51 % of the bytes; not distinguishable" in words
    )
    faster = [row("onnx"), row("onnx-int8", latency=spread(0.5))]
    assert "faster: 0.50 ms instead of 1.00 ms" in plain(chart.time_lines(faster))
    assert chart.time_lines([row("onnx", latency=None)]) == []
    words = plain(chart.size_lines(ROWS))
    assert "HW7's 8-bit file, 265 KB, 4.0× smaller" in words
    assert "Under HW7's 300 KB: HW7's 8-bit file." in words
    assert "None of them" in plain(chart.size_lines([row("onnx")]))


def test_the_table_leaves_out_what_was_not_measured() -> None:
    made = Parity(pictures="made", n=64, max_logit_difference=0.1, agreement=1.0)
    table = chart.files_table([row("hw7-8bit", parity=made), row("onnx")])
    unknown, right = table["Right (95 % interval)"]
    assert table["One photo"][0] == "n/a" and unknown == ""
    low, high = wilson(560, 1000)
    assert right.replace(THIN, " ") == f"56.0 % ({100 * low:.1f} to {100 * high:.1f} %)"


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
    steps = stack_rows(ALL.rows)
    assert [row["number"] for row in steps] == list(range(1, 8))
    assert steps[0]["low"] == wilson(757, 1000)[0]
    spec = stack_chart(steps)
    assert len(rows_of(spec, "steps")) == 7 and len(rows_of(spec, "way")) == 6
    names = [row["text"].split(" ")[0] for row in rows_of(spec, "names")]
    assert names == [str(k) for k in range(1, 8)]  # a phone has room for all of them here
    assert "1 teacher: 13.9 MB, 75.7 %" in chart.stack_alt(steps).replace(THIN, " ")
    half = way(step("teacher"), step("student"))
    assert len(rows_of(stack_chart(stack_rows(half.rows)), "steps")) == 2
    assert stack_lines(half) == []


def test_a_way_without_accuracies_has_a_table_and_no_sentence_about_them() -> None:
    rows = [step(name, n=None, correct=None) for name in STEPS]
    table = stack_table(rows)
    assert set(table["Right (95 % interval)"]) == {""} and table["Bytes"][0] == "13,900,000"
    (line,) = stack_lines(way(*rows))
    assert "accuracy not measured" in line


def test_sentences_tell_the_way() -> None:
    words = plain(stack_lines(ALL))
    assert "13.9 MB to 152 KB, 91× smaller; accuracy 75.7 %" in words
    assert (
        "leaves 145,903 of 256,779 parameters. Accuracy goes from 56.1 % to 20.8 %; fine-tuning"
        in words
    )
    assert "takes 265 KB, under HW7's 300 KB, and is right on 56.0 %" in words


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
    words = plain(stack_time_lines(way(student, tuned), pruned()))
    assert "60 % of the MACs are left, but it is slower: 1.28 ms instead of 0.87 ms" in words
    assert "15 of 15 convolutions of the student, 2 of 15 after cutting" in words
    assert "the student takes 1.66 ms of processor time, the cut one 1.18 ms" in words
    assert "0.60 ms instead of 0.90 ms in ONNX Runtime, 3.20 ms instead of 5.10 ms" in words
    same = step("tuned", latency=spread(0.88), macs=24_000)
    words = plain(stack_time_lines(way(student, same), pruned(rows=())))
    assert "not distinguishable: 0.88 ms and 0.87 ms" in words
    assert "Why" not in words and "Pruning" not in words
    faster = step("tuned", latency=spread(0.5), macs=24_000)
    (words,) = stack_time_lines(way(student, faster))
    assert "left; it is faster" in words
    assert stack_time_lines(way(student)) == []
