"""Is every checkpoint what it says? Files, hashes, sizes, parameters, and the accuracy itself.

Three proofs, each stronger than the one before: the files are those of the manifest; the stored
test logits give the stated accuracy; and, where the very photographs are on this machine (same
fingerprint), ONNX Runtime gives it again from them. No torch.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from core import checkpoints, paths
from core.checkpoints import GRAPH, TEST_LOGITS, WEIGHTS, Checkpoint
from core.checkpoints.tensors import count_params
from core.course import CLASSES
from core.data.find import find_food11
from core.data.pixels import Pixels, load_pixels
from core.errors import DataError, UserError
from core.i18n import _
from core.inference.predict import Predictor, open_session, run_batches
from core.stats import Labelled, Score, labelled

ROUNDING = 1e-3
"""Logits this close may change places on another processor, which adds up in another order."""


def check(ids: Sequence[str] = (), photographs: bool = True) -> dict[str, Any]:
    """Prove these checkpoints, or all of the manifest; `photographs` allows the proof from the
    pictures.

    Returns {"ok": bool, "checkpoints": [{"checkpoint": id, "ok": bool, "problems": [text],
    "notes": [text], "params", "size_bytes", "test": Score as dict or None, "recomputed":
    {"validation"|"testing": {"n", "correct", "accuracy", "ci95"}}}], "notes": [text]}. A problem is
    something that is not as stated; a note is what could not be checked, and why.
    An entry that cannot be read is a row with that problem, and no figures. Raises CheckpointError
    if the manifest itself cannot be read, or an id is in none.
    """
    wanted = {id: checkpoints.get(id) for id in ids}
    listed = checkpoints.listing()
    data, notes = None, []
    if photographs:
        try:
            data = _Photographs()
        except DataError as error:
            text = _("The accuracies were not measured again from photographs: {reason}")
            notes.append(text.format(reason=error))
    chosen = (wanted or listed.checkpoints).values()
    rows = []
    for checkpoint in tqdm(chosen, desc=_("Checking"), file=sys.stderr, disable=not chosen):
        rows.append(_check_one(checkpoint, data))
    if not ids:
        text = _("Its entry in the manifest cannot be read ({why}).")
        rows += [_row(id, text.format(why=why)) for id, why in listed.unreadable.items()]
        notes += [
            _("The folder {name} is in no manifest.").format(name=path.parent.name)
            for path in sorted(paths.pretrained_dir().glob(f"[!.]*/{WEIGHTS}"))
            if path.parent.name not in {*listed.checkpoints, *listed.unreadable}
        ]
    return {"ok": all(row["ok"] for row in rows), "checkpoints": rows, "notes": notes}


def evaluate(checkpoint: str, split: str, data: Pixels | None = None) -> dict[str, Any]:
    """A checkpoint's accuracy on a split of the photographs here, by ONNX Runtime.

    `split`: training, validation or testing; `data`: squares made for its
    `input_px` and `crop`, by default those of the data set on this machine.
    Returns {"checkpoint", "split", "n", "correct", "accuracy", "ci95": [low, high], "data": name}.
    Raises CheckpointError, or DataError where there are no (labelled) photographs.
    """
    predictor = Predictor(checkpoint)
    px, crop = predictor.checkpoint.input_px, predictor.checkpoint.crop
    pixels = data if data is not None else load_pixels(find_food11(), px, crop=crop)
    pictures = labelled(pixels, split, px)
    if len(pictures.labels) == 0:
        raise DataError(
            _("{name} has no labelled photographs for {split}.").format(
                name=pixels.index.name, split=split
            )
        )
    score = Score.from_logits(predictor.logits(pictures.pixels), pictures.labels)
    row = {"checkpoint": checkpoint, "split": split, **score.model_dump(mode="json")}
    return row | {"data": pixels.index.name}


def _row(id: str, *problems: str) -> dict[str, Any]:
    return {
        "checkpoint": id,
        "ok": not problems,
        "problems": list(problems),
        "notes": [],
        "params": None,
        "size_bytes": None,
        "test": None,
        "recomputed": {},
    }


def _check_one(checkpoint: Checkpoint, data: "_Photographs | None") -> dict[str, Any]:
    row = _row(checkpoint.id) | {
        "params": checkpoint.params,
        "size_bytes": checkpoint.size_bytes,
        "test": None if checkpoint.test is None else checkpoint.test.model_dump(mode="json"),
    }
    try:
        files = checkpoints.read_files(checkpoint.id, *{WEIGHTS, GRAPH, *checkpoint.files})[1]
        row["problems"] += _stated_figures(checkpoint, files)
        if TEST_LOGITS in files:
            row["problems"] += _stored_logits(checkpoint)
        row["problems"] += _opens(checkpoint, files)
        if data is not None and not row["problems"]:
            _from_photographs(checkpoint, data, row)
    except UserError as error:
        row["problems"].append(str(error))
    row["ok"] = not row["problems"]
    return row


def _stated_figures(checkpoint: Checkpoint, files: dict[str, bytes]) -> list[str]:
    problems = []
    params = count_params(files[WEIGHTS])
    if params != checkpoint.params:
        problems.append(
            _("The manifest says {stated:,} parameters, the weights file holds {found:,}.").format(
                stated=checkpoint.params, found=params
            )
        )
    if len(files[WEIGHTS]) != checkpoint.size_bytes:
        problems.append(
            _("The manifest says {stated:,} bytes of weights, the file has {found:,}.").format(
                stated=checkpoint.size_bytes, found=len(files[WEIGHTS])
            )
        )
    for name, score in (("validation", checkpoint.validation), ("testing", checkpoint.test)):
        if score is None:
            continue
        again = Score.of(score.correct, score.n)
        stated, computed = ((each.accuracy, *each.ci95) for each in (score, again))
        if not np.allclose(stated, computed, atol=1e-9):
            problems.append(
                _("The {split} accuracy or its interval is not that of {correct} in {n}.").format(
                    split=name, correct=score.correct, n=score.n
                )
            )
    if (checkpoint.test is None) != (TEST_LOGITS not in files):
        problems.append(_("A test accuracy needs its stored logits, and the other way round."))
    return problems


def _stored_logits(checkpoint: Checkpoint) -> list[str]:
    logits, labels = checkpoints.test_logits(checkpoint.id)
    if logits.shape != (len(labels), len(CLASSES)) or not np.isfinite(logits).all():
        return [
            _("The stored test logits are not {n} finite numbers a picture.").format(n=len(CLASSES))
        ]
    correct = int((logits.argmax(1) == labels).sum())
    if checkpoint.test is not None and (correct, len(labels)) != (
        checkpoint.test.correct,
        checkpoint.test.n,
    ):
        return [
            _(
                "The manifest says {stated} of {n} test pictures right, its stored logits give "
                "{found} of {m}."
            ).format(
                stated=checkpoint.test.correct, n=checkpoint.test.n, found=correct, m=len(labels)
            )
        ]
    return []


def _opens(checkpoint: Checkpoint, files: dict[str, bytes]) -> list[str]:
    """The graph opens and answers with eleven finite numbers a picture."""
    session = open_session(files[GRAPH], files[WEIGHTS])
    shape = (1, 3, checkpoint.input_px, checkpoint.input_px)
    try:
        logits = run_batches(session, np.zeros(shape, np.uint8))
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        return [_("The graph does not run ({reason}).").format(reason=str(error)[:200])]
    if logits.shape != (1, len(CLASSES)) or not np.isfinite(logits).all():
        return [_("The graph's answer is not {n} finite numbers.").format(n=len(CLASSES))]
    return []


class _Photographs:
    """The photographs on this machine, at each size a checkpoint asks for, read when asked."""

    def __init__(self) -> None:
        self.index = find_food11()
        self._pixels: dict[tuple[int, float], Pixels] = {}

    def split(self, name: str, px: int, crop: float) -> Labelled:
        if (px, crop) not in self._pixels:
            self._pixels[px, crop] = load_pixels(self.index, px, crop=crop)
        return labelled(self._pixels[px, crop], name, px)


def _from_photographs(checkpoint: Checkpoint, data: _Photographs, row: dict[str, Any]) -> None:
    if data.index.fingerprint != checkpoint.data.fingerprint:
        row["notes"].append(
            _("Measured on other photographs ({theirs}) than those here ({ours}).").format(
                theirs=checkpoint.data.name, ours=data.index.name
            )
        )
        return
    predictor = Predictor(checkpoint.id)
    for split, stated in (("validation", checkpoint.validation), ("testing", checkpoint.test)):
        if stated is None:
            continue
        pictures = data.split(split, checkpoint.input_px, checkpoint.crop)
        logits = predictor.logits(pictures.pixels)
        score = Score.from_logits(logits, pictures.labels)
        row["recomputed"][split] = score.model_dump(mode="json")
        best = np.sort(logits, axis=1)[:, -2:]
        doubtful = int((best[:, 1] - best[:, 0] < ROUNDING).sum())
        if score.n != stated.n or abs(score.correct - stated.correct) > doubtful:
            text = _(
                "The manifest says {stated} of {n} {split} photographs right; measured again, it "
                "is {found} of {m}."
            )
            row["problems"].append(
                text.format(
                    stated=stated.correct, n=stated.n, split=split, found=score.correct, m=score.n
                )
            )
