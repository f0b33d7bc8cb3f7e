"""`predict`, `explain`, `evaluate`, `check`: the checkpoints at work on ONNX Runtime, no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from core.cli.answer import BAD_INPUT, NOT_OK, OK, Answer, table
from core.errors import CheckpointError, PhotoError, UserError
from core.i18n import _

MOST_OF_A_FOLDER = 200


@dataclass(frozen=True)
class Predict:
    """What the checkpoints see in your photos (JPEG, PNG, WebP, HEIC or AVIF).

    `score` says how far a photo is from what a checkpoint learned from: above 1 its answer is
    unsure, since 95 % of photographs of food stay below (null where nobody has measured that).
    Exit code 2 where a file or a checkpoint could not be read; the others are answered all the
    same.
    """

    files: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="FILE [FILE ...]", help_behavior_hint="(at least one)"),
    ]
    """The photos; of a folder, the photos in it, by name, at most 200."""

    checkpoints: Annotated[str, arg(metavar="A,B")] = ""
    """Ids of checkpoints, separated by commas; without it, all of them."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.inference.predict import predict_photo

        predictions: list[dict[str, Any]] = []
        ids, errors, photos = _opened(self.files, self.checkpoints)
        for file, image in photos:
            predictions += [_row(file, prediction) for prediction in predict_photo(image, ids)]
        return Answer(
            {"predictions": predictions, "errors": errors},
            _predictions_text(predictions),
            BAD_INPUT if errors else OK,
            tuple(": ".join(error.values()) for error in errors),
        )


@dataclass(frozen=True)
class Explain:
    """Where the checkpoints look in a photo: a map of what each place adds to a class.

    The mean of a map is the class's logit. Exit code 2 where a file or a checkpoint could not be
    read; the others are answered all the same.
    """

    files: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="FILE [FILE ...]", help_behavior_hint="(at least one)"),
    ]
    """The photos; of a folder, the photos in it, by name, at most 200."""

    checkpoints: Annotated[str, arg(metavar="A,B")] = ""
    """Ids of checkpoints, separated by commas; without it, all of them."""

    label: Annotated[str, arg(name="class", metavar="NAME")] = ""
    """The class whose map it is, such as Bread; without it, each checkpoint's own answer."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.checkpoints import get
        from core.course import CLASSES
        from core.inference.explain import explain_photo, explainer

        names = {name.lower(): label for label, name in enumerate(CLASSES)}
        if self.label and self.label.lower() not in names:
            raise UserError(
                _("There is no class {name}. Choose one of: {known}.").format(
                    name=self.label, known=", ".join(CLASSES)
                )
            )
        wanted = names.get(self.label.lower())
        ids, errors, photos = _opened(self.files, self.checkpoints)
        rows: list[dict[str, Any]] = []
        for file, image in photos:
            for id in ids:
                try:
                    explained = explain_photo(image, get(id), explainer(get(id)), wanted)
                except CheckpointError as error:
                    errors.append({"checkpoint": id, "message": str(error)})
                    continue
                rows.append(
                    {
                        "file": file,
                        "checkpoint": id,
                        "class": CLASSES[explained.label],
                        "map": [[round(float(place), 4) for place in row] for row in explained.map],
                        "stride": explained.stride,
                    }
                )
        return Answer(
            {"explanations": rows, "errors": errors},
            _maps_text(rows),
            BAD_INPUT if errors else OK,
            tuple(": ".join(error.values()) for error in errors),
        )


def _maps_text(rows: list[dict[str, Any]]) -> str:
    """For each map, in which part of the photo it is highest."""
    lines = []
    for row in rows:
        values = row["map"]
        best = max((value, y, x) for y, line in enumerate(values) for x, value in enumerate(line))
        lines.append(
            {
                "file": row["file"],
                "checkpoint": row["checkpoint"],
                "class": row["class"],
                "map": f"{len(values[0])} x {len(values)}",
                "highest": f"{best[0]:.2f}",
                "at": f"column {best[2] + 1}, row {best[1] + 1}",
            }
        )
    return table(lines) if lines else ""


def _opened(
    named: tuple[Path, ...], checkpoints: str
) -> tuple[list[str], list[dict[str, str]], Iterator[tuple[str, Any]]]:
    """The checkpoints to ask; what is wrong, which grows as the photos are read; and the photos.

    Raises UserError where no photo is named, CheckpointError where no checkpoint can be asked.
    """
    if not named:
        raise UserError(_("Name at least one photo."))
    from core.photos import read_photo_file, warm

    warm(1)  # gets ready while the networks are
    ids, errors = _sound(checkpoints)

    def photos() -> Iterator[tuple[str, Any]]:
        for name in named:
            files, problem = _photos_of(name)
            if problem:
                errors.append({"file": str(name), "message": problem})
            for file in files:
                try:
                    yield str(file), read_photo_file(file)
                except PhotoError as error:
                    errors.append({"file": str(file), "message": str(error)})

    return ids, errors, photos()


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
        from core.collection.check import evaluate

        measured = evaluate(self.checkpoint, self.split)
        low, high = measured["ci95"]
        return Answer(
            measured,
            _(
                "{checkpoint}, {split}: {correct:,} of {n:,} right, accuracy {accuracy:.4f} "
                "(95 % interval {low:.4f} to {high:.4f}), on {data}"
            ).format(**measured, low=low, high=high),
        )


@dataclass(frozen=True)
class Check:
    """Prove that the shipped checkpoints are what they say: files, hashes, parameters and, where
    the photographs are here, that the stated accuracy comes out again.

    Exit code 1 where one is not.
    """

    checkpoints: Annotated[Positional[tuple[str, ...]], arg(metavar="[CHECKPOINT ...]")] = ()
    """Only these ids, your own ones too; without it, all that are shipped."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.collection.check import check

        report = check(self.checkpoints)
        lines = [line for row in report["checkpoints"] for line in _verdict(row)]
        good = sum(row["ok"] for row in report["checkpoints"])
        lines.append(
            _("{good} of {n} checkpoints are what they say.").format(
                good=good, n=len(report["checkpoints"])
            )
        )
        lines += report.get("notes", ())
        return Answer(report, "\n".join(lines), OK if report["ok"] else NOT_OK)


def _verdict(row: dict[str, Any]) -> list[str]:
    verdict = _("ok") if row["ok"] else _("NOT OK")
    score = row.get("test")
    stated = f", {score['accuracy']:.4f} of {score['n']:,}" if score else ""
    again = ", " + _("measured again") if row.get("recomputed") else ""
    first = f"{verdict:<8}{row['checkpoint']}{stated}{again}"
    return [first, *(f"        {text}" for text in (*row["problems"], *row.get("notes", ())))]


def _sound(names: str) -> tuple[list[str], list[dict[str, str]]]:
    """The checkpoints named, each once and all known (all there are, without a name) that can be
    asked, and why others cannot.

    Raises CheckpointError for one that is not known, or where none can be asked.
    """
    from core.checkpoints import GRAPH, WEIGHTS, get, listing, read_files

    wanted = list(dict.fromkeys(filter(None, map(str.strip, names.split(",")))))
    for name in wanted:
        get(name)
    listed = listing()
    if not wanted and not listed.checkpoints and not listed.unreadable:
        raise UserError(
            _("There are no checkpoints here yet. Make them with: python -m core reproduce")
        )
    sound, errors = [], []
    for name in wanted or sorted([*listed.checkpoints, *listed.unreadable]):
        try:
            read_files(name, GRAPH, WEIGHTS)
            sound.append(name)
        except CheckpointError as error:
            errors.append({"checkpoint": name, "message": str(error)})
    if not sound:
        raise CheckpointError(errors[0]["message"])
    return sound, errors


def _photos_of(path: Path) -> tuple[list[Path], str]:
    """The photos that a path names: itself, or those in the folder that it is; and what is wrong
    with that."""
    from core.photos import ENDINGS

    if not path.is_dir():
        return [path], ""
    try:
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
    except OSError as error:
        return [], error.strerror or str(error)
    files = [file for file in inside if not file.name.startswith(".") and not file.is_dir()]
    if not files:
        return [], _("There is no photo in this folder; folders in it are not looked into.")
    left = len(files) - MOST_OF_A_FOLDER
    problem = _("{n:,} more photos in this folder were left out: at most {most} are looked at.")
    return files[:MOST_OF_A_FOLDER], (
        problem.format(n=left, most=MOST_OF_A_FOLDER) if left > 0 else ""
    )


def _row(file: str, prediction: Any) -> dict[str, Any]:
    from core.checkpoints import get
    from core.course import CLASSES
    from core.not_food.rows import Doubt

    try:
        doubt = Doubt.of(get(prediction.checkpoint), prediction.features)
    except CheckpointError:  # a damaged file of results; the answer stands all the same
        doubt = None
    chances = [float(p) for p in prediction.probabilities]
    return {
        "file": file,
        "checkpoint": prediction.checkpoint,
        "top": prediction.top,
        "probabilities": dict(zip(CLASSES, chances, strict=True)),
        "score": doubt and round(doubt.score, 4),
        "unsure": doubt and doubt.is_unsure,
        "latency_ms": round(float(prediction.latency_ms), 3),
    }


def _predictions_text(predictions: list[dict[str, Any]]) -> str:
    rows = [
        {
            "file": row["file"],
            "checkpoint": row["checkpoint"],
            "sees": row["top"] + (_(" (unsure: may not be food)") if row["unsure"] else ""),
            "probability": f"{row['probabilities'][row['top']]:.3f}",
            "ms": f"{row['latency_ms']:.1f}",
        }
        for row in predictions
    ]
    return table(rows) if rows else ""
