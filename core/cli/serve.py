"""`predict`, `evaluate` and `check`: the shipped checkpoints at work, on ONNX Runtime, no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from core.cli.answer import BAD_INPUT, NOT_OK, OK, Answer, table
from core.errors import PhotoError, UserError
from core.words import _


@dataclass(frozen=True)
class Predict:
    """What the checkpoints see in your photos (JPEG, PNG, WebP or HEIC).

    Exit code 2 where a file could not be read; the others are answered all the same.
    """

    files: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="FILE [FILE ...]", help_behavior_hint="(at least one)"),
    ]
    """The photos."""

    checkpoints: Annotated[str, arg(metavar="A,B")] = ""
    """Ids of checkpoints, separated by commas; without it, all of them."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        if not self.files:
            raise UserError(_("Name at least one photo."))
        from core.photos import read_photo_file
        from core.serving.predict import predict_photo

        ids = _ids(self.checkpoints)
        predictions: list[dict[str, Any]] = []
        errors: list[dict[str, str]] = []
        for file in self.files:
            try:
                image = read_photo_file(file)
            except PhotoError as error:
                errors.append({"file": str(file), "message": str(error)})
                continue
            predictions += [_row(str(file), found) for found in predict_photo(image, ids)]
        return Answer(
            {"predictions": predictions, "errors": errors},
            _predictions_text(predictions),
            BAD_INPUT if errors else OK,
            tuple(f"{error['file']}: {error['message']}" for error in errors),
        )


@dataclass(frozen=True)
class Evaluate:
    """Measure a checkpoint's accuracy on a split of the photographs on this machine."""

    checkpoint: Annotated[Positional[str], arg(metavar="CHECKPOINT")]
    """A checkpoint's id, such as dwpw_256k-scratch-s0."""

    split: Literal["validation", "testing", "training"] = "testing"
    """Which photographs."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.check import evaluate

        found = evaluate(self.checkpoint, self.split)
        low, high = found["ci95"]
        return Answer(
            found,
            _(
                "{checkpoint}, {split}: {correct:,} of {n:,} right, accuracy {accuracy:.4f} "
                "(95 % interval {low:.4f} to {high:.4f}), on {data}"
            ).format(**found, low=low, high=high),
        )


@dataclass(frozen=True)
class Check:
    """Prove that the shipped checkpoints are what they say: files, hashes, parameters and, where
    the photographs are here, that the stated accuracy comes out again.

    Exit code 1 where one is not.
    """

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.check import check

        found = check()
        lines = [line for row in found["checkpoints"] for line in _verdict(row)]
        good = sum(row["ok"] for row in found["checkpoints"])
        lines.append(
            _("{good} of {n} checkpoints are what they say.").format(
                good=good, n=len(found["checkpoints"])
            )
        )
        lines += found.get("notes", ())
        return Answer(found, "\n".join(lines), OK if found["ok"] else NOT_OK)


def _verdict(row: dict[str, Any]) -> list[str]:
    verdict = _("ok") if row["ok"] else _("NOT OK")
    score = row.get("test")
    stated = f", {score['accuracy']:.4f} of {score['n']:,}" if score else ""
    again = ", " + _("measured again") if row.get("recomputed") else ""
    first = f"{verdict:<8}{row['checkpoint']}{stated}{again}"
    return [first, *(f"        {text}" for text in (*row["problems"], *row.get("notes", ())))]


def _ids(names: str) -> list[str]:
    """The checkpoints named, each once and all known; all there are, without a name."""
    from core.checkpoints import get, load_manifest

    wanted = list(dict.fromkeys(filter(None, map(str.strip, names.split(",")))))
    for name in wanted:
        get(name)
    found = wanted or list(load_manifest())
    if not found:
        raise UserError(
            _("There are no checkpoints here yet. Make them with: python -m core reproduce")
        )
    return found


def _row(file: str, found: Any) -> dict[str, Any]:
    from core.course import CLASSES

    chances = [float(p) for p in found.probabilities]
    return {
        "file": file,
        "checkpoint": found.checkpoint,
        "top": found.top,
        "probabilities": dict(zip(CLASSES, chances, strict=True)),
        "latency_ms": round(float(found.latency_ms), 3),
    }


def _predictions_text(predictions: list[dict[str, Any]]) -> str:
    rows = [
        {
            "file": row["file"],
            "checkpoint": row["checkpoint"],
            "sees": row["top"],
            "probability": f"{row['probabilities'][row['top']]:.3f}",
            "ms": f"{row['latency_ms']:.1f}",
        }
        for row in predictions
    ]
    return table(rows) if rows else ""
