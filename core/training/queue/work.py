"""What a job's process does: train, test, become a checkpoint, and say how it ended.

    ended.json    how the process ended, for whoever looks later: another server, perhaps
    report.json   answers on photographs it never saw: confusion matrix, worst mistakes (file names)

A process that is killed writes neither; its queue notices (`core.training.queue.process`).
"""

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import checkpoints
from core.data.find import find_food11
from core.data.named import data_root
from core.data.pixels import Pixels, load_pixels
from core.errors import CheckpointError, DataError, LossError, UserError
from core.i18n import _
from core.models import get
from core.paths import write_json
from core.stats import Labelled, labelled
from core.training.config import TrainConfig
from core.training.distributed import leads
from core.training.loop import train
from core.training.publish import publish_finished
from core.training.queue.line import recipe_of
from core.training.queue.process import ENDED, REPORT
from core.training.runs import Progress, RunFolder

MOST_MISTAKES = 12
Report = Callable[[dict[str, Any]], None]


def run_job(
    config: TrainConfig,
    folder: Path,
    report: Report | None = None,
    device: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """`train`, then `publish_run`; whatever happens is written to the folder's `ended.json`.

    A run that is trained but cannot be published is done all the same, and says so. Of several
    processes the first one publishes and tells. Raises what `train` raises.
    """
    try:
        result = train(config, folder, report, device, on_progress)
    except Exception as error:
        if leads():
            _write_ending(folder, "failed", _reason(error), _sentence(error))
        raise
    if not leads():
        return result
    try:
        publish_run(config, folder)
        reason, message = "", ""
    except (UserError, OSError) as error:
        reason, message = "unpublished", _sentence(error)
    _write_ending(folder, "done", reason, message)
    return result


def publish_run(config: TrainConfig, folder: Path) -> checkpoints.Checkpoint:
    """Make a finished run a checkpoint beside its folder, and write its report.json.

    Raises CheckpointError or DataError where the export fails or the photographs have changed.
    """
    run = RunFolder(folder)
    index, crop = find_food11(data_root(config.data)), get(config.model).crop
    pixels = load_pixels(index, px=config.px, crop=crop)
    if pixels.index.fingerprint != run.read()["data"]["fingerprint"]:
        raise DataError(_("The photographs have changed while the run went on."))
    derived = _version_of(config.start_from, run)
    narrow = bool(run.widths())
    name = get(config.model).title + (", narrower" if narrow else "")
    title = f"{name}, run {folder.name.rsplit('-', 1)[-1]}"
    root = folder.parent / checkpoints.own_dir().name
    published = publish_finished(
        run,
        pixels,
        id=folder.name,
        recipe=recipe_of(config) + ("_narrow" if narrow else ""),
        title=title,
        config=config.model_dump(mode="json", exclude={"data", "more_data"}),  # folders' names
        derived_from=derived,
        root=root,
    )
    write_json(folder / REPORT, _report(published, root, pixels, config.px))
    return published


def _version_of(start: str, run: RunFolder) -> checkpoints.DerivedFrom | None:
    """Of which network the run is a version: what starts from a version is one itself."""
    if not start:
        return None
    name = Path(start).name
    try:
        before = checkpoints.get(name).derived_from
    except CheckpointError:  # a run that is no checkpoint; its shapes may tell
        before = None
    if before is not None:
        return checkpoints.DerivedFrom(id=name, kind=before.kind)
    narrow = bool(run.widths())
    return checkpoints.DerivedFrom(id=name, kind="narrow") if narrow else None


def _report(
    checkpoint: checkpoints.Checkpoint, root: Path, pixels: Pixels, px: int
) -> dict[str, Any]:
    from core.inference.predict import open_session, run_batches

    split = "testing" if checkpoint.test is not None else "validation"
    pictures: Labelled = labelled(pixels, split, px)
    graph, weights = (
        (root / checkpoint.id / name).read_bytes()
        for name in (checkpoints.GRAPH, checkpoints.WEIGHTS)
    )
    logits = run_batches(open_session(graph, weights), pictures.pixels)
    rows = pixels.split(split)
    rows = rows[pixels.labels[rows] >= 0]
    files = [pixels.index.files[pixels.rows[row]] for row in rows]
    return {
        "checkpoint": checkpoint.id,
        "split": split,
        "data": {"name": pixels.index.name, "fingerprint": pixels.index.fingerprint},
        "unreadable": [list(pair) for pair in pixels.unreadable[:20]],
        "confusion": confusion(logits, pictures.labels).tolist(),
        "mistakes": mistakes(logits, pictures.labels, files),
    }


def confusion(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(11, 11) counts: row the true class, column the answer."""
    n = logits.shape[1]
    counts = np.bincount(labels * n + logits.argmax(1), minlength=n * n)
    return counts.reshape(n, n)


def mistakes(
    logits: NDArray[np.float32], labels: NDArray[np.int64], files: list[str]
) -> list[dict[str, Any]]:
    """The wrong answers of which the network was surest, the surest first; files by name only."""
    from core.inference.predict import softmax

    probabilities = softmax(logits)
    answers, sure = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(answers != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES]
    return [
        {
            "file": files[i],
            "label": int(labels[i]),
            "answer": int(answers[i]),
            "confidence": round(float(sure[i]), 4),
        }
        for i in worst
    ]


def _reason(error: Exception) -> str:
    if isinstance(error, LossError):
        return "loss"
    if isinstance(error, DataError):
        return "data"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk"
    if isinstance(error, CheckpointError | UserError):
        return "said"
    return "crashed"


def _sentence(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"


def _write_ending(folder: Path, state: str, reason: str, message: str) -> None:
    ending = {"state": state, "reason": reason, "message": message, "at": time.time()}
    try:
        write_json(folder / ENDED, ending)
    except OSError:  # a full disk: the log and the exit code have to do
        return
