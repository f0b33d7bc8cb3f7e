"""The whole way to a phone as one recipe: distil, cut channels out, fine-tune, 8 bits.

The distilled student is a checkpoint already. It is cut as `core.pruning.measure` cuts, tuned with
its own recipe, published as a checkpoint, and written as int8 ONNX and as HW7's 8-bit file. Every
step is measured on the file it leaves: its bytes, its answers to the test photographs, its time;
the times in one sitting. A row is written after every step, so a stopped run goes on where it was.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from PIL.Image import Image, fromarray
from torch import nn

from core import checkpoints
from core.checkpoints import Checkpoint
from core.data.dreams import SHOW_PX, load_dreams, tiles
from core.errors import CheckpointError
from core.export.files import calibrate, open_file, shipped
from core.export.stack import (
    RUNTIMES,
    STEPS,
    STUDENT,
    Answered,
    Blocks,
    Dish,
    Format,
    Stack,
    StackRow,
    Step,
)
from core.i18n import _
from core.inference.export import onnx_bytes, trace
from core.inference.predict import count_correct, open_session, run_batches, softmax
from core.models.cost import count_macs, count_params
from core.photos import prepare, read_photo
from core.provenance import commit, library_versions, processor_name
from core.pruning.measure import PruningExperiment, networks, prune_and_finetune, publish_pruned
from core.pruning.rows import RowKey
from core.timing import THREADS, Spread, thread_clock, time_sessions

Log = Callable[[str], None]

CUT = RowKey("bn_gamma", 0.25, "narrow", 12)
"""A quarter of all channels, those of the smallest BatchNorm scale; 12 epochs of fine-tuning."""
REPEATS = 60
BUDGET_S = 12.0


class _File(NamedTuple):
    """A step's file, the checkpoint it belongs to (if any), and its network's figures."""

    checkpoint: Checkpoint | None
    format: Format
    data: bytes
    params: int
    macs: int


def first_student() -> str:
    """The id of the student to begin with. Raises CheckpointError if no distilled one is here."""
    manifest = checkpoints.load_manifest()
    trained = [checkpoint for checkpoint in manifest.values() if checkpoint.derived_from is None]
    distilled = [
        checkpoint
        for checkpoint in trained
        if checkpoint.recipe == "distilled" and checkpoint.teacher
    ]
    if not distilled:
        raise CheckpointError(
            _("There is no distilled student yet. Make one with: python -m core reproduce")
        )
    ids = [
        checkpoint.id
        for checkpoint in sorted(
            distilled, key=lambda checkpoint: (-checkpoint.params, checkpoint.id)
        )
    ]
    return STUDENT if STUDENT in ids else ids[0]


def make_stack(
    student: str | None = None,
    log: Log = print,
    *,
    key: RowKey = CUT,
    threads: int = 1,
    device: str | None = None,
) -> Stack:
    """Take every step that is missing, and write it down; returns all of them.

    `student`: id of a distilled checkpoint (`first_student` by default). `key`: how it is cut and
    tuned. `threads`: for accuracies; times use one. Without photographs accuracies are None, and
    the way ends before fine-tuning, unless that was done before. Raises CheckpointError for a
    student without a teacher, and what training raises.
    """
    experiment = PruningExperiment.open(student or first_student(), threads)
    stack = _started(experiment, key)
    for step in STEPS:
        known = stack.row(step)
        if known is not None and (known.n or experiment.pixels is None):
            continue
        file = _file(experiment, stack, step, log, device)
        if file is None:
            log(f"{step}: " + _("needs photographs, which are not here: the way ends here"))
            break
        stack = stack.with_rows([_row(experiment, step, file)])
        stack.save()
        log(f"{step}: {len(file.data):,} bytes")
    if _untimed(stack):
        stack = _timed(experiment, stack)
        stack.save()
        log("timed")
    if any(row.latency and row.format == "onnx" and not row.blocks for row in stack.rows):
        stack = _without_blocks(experiment, stack)
        stack.save()
        log("timed without blocks")
    if not stack.dishes or any(len(row.answers) != len(stack.dishes) for row in stack.rows):
        stack = _served(experiment, stack)
        stack.save()
        log(f"shown {len(stack.dishes)} dishes")
    return stack


def state(student: str = STUDENT, key: RowKey = CUT) -> str:
    """How far the way was gone: "missing", "started" or "done"; a student not yet there counts."""
    entry = checkpoints.load_manifest().get(student)
    stack = Stack.load(student)
    if entry is None or stack is None or not _belongs(stack, entry, key):
        return "missing"
    whole = all(stack.row(step) for step in STEPS) and not _untimed(stack)
    return "done" if whole else "started"


def _belongs(stack: Stack, entry: Checkpoint, key: RowKey) -> bool:
    """Whether these rows are of this student, this teacher, this recipe and kept checkpoints."""
    kept = checkpoints.load_manifest()
    teacher = kept.get(entry.teacher or "")
    return (
        teacher is not None
        and stack.weights_sha256 == entry.weights_sha256
        and stack.teacher_sha256 == teacher.weights_sha256
        and stack.key == key
        and all(
            row.checkpoint in kept and kept[row.checkpoint].weights_sha256 == row.weights_sha256
            for row in stack.rows
            if row.checkpoint
        )
    )


def _teacher(entry: Checkpoint) -> Checkpoint:
    if not entry.teacher:
        raise CheckpointError(
            _("{id} was not distilled: the way to the phone begins with a student of a teacher.")
            .format(id=entry.id)
        )  # fmt: skip
    return checkpoints.get(entry.teacher)


def _started(experiment: PruningExperiment, key: RowKey) -> Stack:
    """The rows there are, if they belong to this student, recipe and photographs; else none."""
    entry, teacher = experiment.checkpoint, _teacher(experiment.checkpoint)
    index = experiment.pixels.index if experiment.pixels else None
    fingerprint = index.fingerprint if index else ""
    stack = Stack.load(entry.id)
    if stack and _belongs(stack, entry, key) and fingerprint in ("", stack.fingerprint):
        return stack
    return Stack(
        student=entry.id,
        teacher=teacher.id,
        weights_sha256=entry.weights_sha256,
        teacher_sha256=teacher.weights_sha256,
        key=key,
        data=index.name if index else "",
        fingerprint=fingerprint,
        device=processor_name(),
        threads=THREADS,
        versions=library_versions(),
        commit=commit(),
        date=time.strftime("%Y-%m-%d"),
    )


def _file(
    experiment: PruningExperiment, stack: Stack, step: Step, log: Log, device: str | None
) -> _File | None:
    """The file a step leaves, made or found; None where it takes photographs and there are none."""
    key, known = stack.key, stack.row(step)
    if known is not None and known.checkpoint and step == "tuned":
        return _shipped(checkpoints.get(known.checkpoint), known.format)
    if step == "cut":
        net = networks(experiment, key.method, key.ratio)["narrow"]
        return _exported(experiment, net)
    if step in ("teacher", "student", "student_8bit"):
        entry = checkpoints.get(stack.teacher if step == "teacher" else stack.student)
        return _shipped(entry, "hw7-8bit" if step == "student_8bit" else "onnx")
    if step == "tuned":
        if experiment.pixels is None:
            return None
        return _shipped(_tune(experiment, key, log, device), "onnx")
    tuned = stack.row("tuned")
    if tuned is None or tuned.checkpoint is None:
        return None
    entry = checkpoints.get(tuned.checkpoint)
    if step == "tuned_int8" and not calibrate(entry.id):
        return None
    return _shipped(entry, "onnx-int8" if step == "tuned_int8" else "hw7-8bit")


def _shipped(entry: Checkpoint, format: Format) -> _File:
    return _File(entry, format, shipped(entry.id, format), entry.params, entry.macs)


def _exported(experiment: PruningExperiment, net: nn.Module) -> _File:
    """A network that is no checkpoint, as the same kind of file."""
    data = onnx_bytes(trace(net, experiment.spec, experiment.px))
    return _File(
        None, "onnx", data, count_params(net), count_macs(net, (3, experiment.px, experiment.px))
    )


def _tune(experiment: PruningExperiment, key: RowKey, log: Log, device: str | None) -> Checkpoint:
    """Cut, fine-tune (a stopped or finished run is gone on with) and publish."""
    began = time.perf_counter()

    def report(entry: dict[str, Any]) -> None:
        log(f"tuned: epoch {entry['epoch']} of {key.finetune_epochs}")

    net = prune_and_finetune(experiment, key, report=report, device=device)
    narrow = networks(experiment, key.method, key.ratio, net=net)["narrow"]
    return publish_pruned(experiment, narrow, key, time.perf_counter() - began)


def _session(experiment: PruningExperiment, file: _File) -> ort.InferenceSession:
    id = file.checkpoint.id if file.checkpoint else experiment.checkpoint.id
    return open_file(id, file.format, file.data, experiment.threads)


def _row(experiment: PruningExperiment, step: Step, file: _File) -> StackRow:
    pictures = experiment.pictures()
    return StackRow(
        step=step,
        checkpoint=file.checkpoint.id if file.checkpoint else None,
        weights_sha256=file.checkpoint.weights_sha256 if file.checkpoint else "",
        format=file.format,
        size_bytes=len(file.data),
        params=file.params,
        macs=file.macs,
        n=None if pictures is None else len(pictures.labels),
        correct=None if pictures is None else count_correct(_session(experiment, file), pictures),
    )


def _untimed(stack: Stack) -> list[Step]:
    """Steps whose file runs as it is, in a stack where one of them has no time yet."""
    running = [row for row in stack.rows if RUNTIMES[row.format] != "none"]
    return [row.step for row in running] if any(not row.latency for row in running) else []


def _timed(experiment: PruningExperiment, stack: Stack) -> Stack:
    """Every file that runs, one picture at a time, in one sitting."""
    sessions: dict[str, Any] = {}
    for step in _untimed(stack):
        file = _file(experiment, stack, step, print, None)
        assert file is not None  # it has a row
        id = file.checkpoint.id if file.checkpoint else experiment.checkpoint.id
        sessions[step] = open_file(id, file.format, file.data)
    timed = time_sessions(sessions, experiment.px, repeats=REPEATS, budget_s=BUDGET_S)
    return stack.with_rows(
        row.model_copy(update={"latency": Spread.of(timed[row.step])})
        for row in stack.rows
        if row.step in timed
    )


def _without_blocks(experiment: PruningExperiment, stack: Stack) -> Stack:
    """With each float32 file's processor time, with and without blocks of channels."""
    sessions: dict[str, Any] = {}
    counts: dict[Step, tuple[int, int]] = {}
    for row in stack.rows:
        if row.latency is None or row.format != "onnx":
            continue
        file = _file(experiment, stack, row.step, print, None)
        assert file is not None  # it has a row
        counts[row.step] = blocked_convolutions(file.data)
        for blocks in (True, False):
            sessions[f"{row.step} {blocks}"] = open_session(file.data, blocks=blocks)
    timed = time_sessions(
        sessions, experiment.px, repeats=REPEATS, budget_s=BUDGET_S, clock=thread_clock
    )
    return stack.with_rows(
        row.model_copy(
            update={
                "blocks": Blocks(
                    blocked=counts[row.step][0],
                    of=counts[row.step][1],
                    cpu=Spread.of(timed[f"{row.step} {True}"]),
                    cpu_without=Spread.of(timed[f"{row.step} {False}"]),
                )
            }
        )
        for row in stack.rows
        if row.step in counts
    )


def blocked_convolutions(graph: bytes) -> tuple[int, int]:
    """How many convolutions of an ONNX file ONNX Runtime computes in blocks here, and of how many.

    It is read off the graph that ONNX Runtime makes of the file for this processor.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = f"{folder}/optimised.onnx"
        ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
    domains = [node.domain for node in nodes if node.op_type in ("Conv", "FusedConv")]
    return sum(domain.endswith("nchwc") for domain in domains), len(domains)


def _served(experiment: PruningExperiment, stack: Stack) -> Stack:
    """With every file's answers to a few dishes: the first test photograph of each class, and the
    first generated picture of each. Of those that are not here there are none."""
    dishes: list[Dish] = []
    pictures: list[Image] = []
    if experiment.pixels is not None:
        index = experiment.pixels.index
        tested = index.of("testing")
        for label in sorted({int(each) for each in index.labels[tested] if each >= 0}):
            place = index.files[tested[index.labels[tested] == label][0]]
            data = (index.root / place).read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            dishes.append(Dish(source="photograph", place=place, sha256=sha256, label=label))
            pictures.append(read_photo(data))
    dreams = load_dreams()
    generated = dreams.of(SHOW_PX) if dreams else None
    if generated is not None:
        for sheet in generated.sheets:
            tile = tiles(generated, sheet.label)[0]
            pictures.append(fromarray(tile.transpose(1, 2, 0)))
            dishes.append(
                Dish(source="generated", place=sheet.file, sha256=sheet.sha256, label=sheet.label)
            )
    rows = []
    for row in stack.rows if dishes else ():
        file = _file(experiment, stack, row.step, print, None)
        assert file is not None  # it has a row
        seen = file.checkpoint or experiment.checkpoint
        pixels = np.stack([prepare(each, seen.input_px, seen.crop) for each in pictures])
        shares = softmax(run_batches(_session(experiment, file), pixels))
        answers = [Answered(int(p.argmax()), round(float(p.max()), 4)) for p in shares]
        rows.append(row.model_copy(update={"answers": tuple(answers)}))
    return stack.model_copy(update={"dishes": tuple(dishes)}).with_rows(rows)
