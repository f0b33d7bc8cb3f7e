"""From a trained network to a checkpoint: choose the precision, export, measure what ships, store.

The accuracies in the manifest are those of the published bytes through ONNX Runtime, not of the
network that was trained: whoever measures again gets the same count.
"""

import copy
import importlib.metadata
import platform
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from core import checkpoints
from core.checkpoints import load_manifest
from core.checkpoints.entry import (
    GRAPH,
    TEST_LOGITS,
    WEIGHTS,
    Checkpoint,
    CheckpointId,
    DataInfo,
    DerivedFrom,
    FileInfo,
    HalfPrecision,
)
from core.checkpoints.history import HISTORY, History
from core.checkpoints.manifest import store
from core.checkpoints.widths import set_widths
from core.course import CLASSES
from core.data.pixels import Pixels
from core.errors import CheckpointError
from core.i18n import _, bracketed, food_class
from core.models import get
from core.provenance import commit_text
from core.stats import Labelled, Score, labelled
from core.training.runs import RunFolder

if TYPE_CHECKING:
    from torch import nn

    from core.models.registry import ModelSpec


HALF_AGREEMENT = 0.998
"""Share of validation pictures that must keep their class for float16 to count as harmless.

One of the 863 may change: a near tie that any processor may break another way, and 0.1 points where
the interval of the accuracy has six. 0.999 would have meant none."""
PARITY = 1e-4
_PARITY_PICTURES = 16

Dtype = Literal["float16", "float32"]


class _Stored(NamedTuple):
    """One way of storing the network, and what it answers on the validation pictures."""

    weights: bytes
    graph: bytes
    validation: NDArray[np.float32] | None


def publish(
    net: "nn.Module",
    *,
    id: str,
    spec: "ModelSpec",
    recipe: str,
    title: str,
    seed: int,
    epochs: int,
    input_px: int,
    data: DataInfo,
    validation: Labelled | None,
    test: Labelled | None,
    config: dict[str, Any],
    device: str,
    wall_s: float,
    teacher: str | None = None,
    derived_from: DerivedFrom | None = None,
    commit: str | None = None,
    history: History | None = None,
    root: Path | None = None,
) -> Checkpoint:
    """Make `net` the checkpoint `id`: weights, ONNX graph, test logits and manifest entry.

    It goes into `pretrained/`, or into `root` where one is given.

    `validation` and `test`: pictures at `input_px` with their classes
    (`core.stats.labelled`); None leaves that score out. Convolution and linear weights
    are stored as float16 if the number of right validation answers stays the same, or 99.8 % of
    the answers do; as float32 otherwise, and where there is nothing to compare on. `derived_from`:
    of which network this is a version; without it, what `config` and the shapes tell. `history`:
    how the training went, if known. `net` is not changed. Raises CheckpointError if the exported
    graph does not answer as the network does, or as `store` does; ValueError for an id that is no
    folder name.
    """
    import torch

    from core.checkpoints.ranks import found_ranks, whole_shapes
    from core.checkpoints.widths import changed_widths
    from core.inference.export import trace
    from core.models.cost import count_macs, count_params

    TypeAdapter(CheckpointId).validate_python(id)  # before the minutes that follow
    plain = copy.deepcopy(net).cpu().float().eval()
    with torch.random.fork_rng():  # building draws weights, which are not needed here
        original = spec.build()
        widths = changed_widths(whole_shapes(plain, original), original)
    ranks = found_ranks(plain)
    model = trace(plain, spec, input_px)

    def stored(dtype: Dtype) -> _Stored:
        from core.inference.export import onnx_bytes

        weights = weights_bytes(plain, dtype, {"checkpoint": id, "model": spec.key})
        graph = onnx_bytes(model, weights, WEIGHTS)
        answers = None if validation is None else _logits(graph, weights, validation.pixels)
        return _Stored(weights, graph, answers)

    chosen, verdict = stored("float32"), None
    dtype: Dtype = "float32"
    if validation is not None and chosen.validation is not None:
        half = stored("float16")
        assert half.validation is not None
        verdict = _compare(chosen.validation, half.validation, validation.labels)
        if _is_harmless(verdict):
            chosen, dtype = half, "float16"
    _check_parity(plain, spec, chosen, input_px, validation or test)

    files = {WEIGHTS: chosen.weights, GRAPH: chosen.graph}
    test_score = None
    if history is not None:
        files[HISTORY] = history.to_bytes()
    if test is not None:
        logits = _logits(chosen.graph, chosen.weights, test.pixels)
        files[TEST_LOGITS] = _logits_bytes(logits, test.labels, id, data.fingerprint)
        test_score = Score.from_logits(logits, test.labels)
    checkpoint = Checkpoint(
        id=id,
        model=spec.key,
        family=spec.family,
        recipe=recipe,
        title=title,
        teacher=teacher,
        derived_from=derived_from or DerivedFrom.told_by(config, widths, ranks),
        seed=seed,
        epochs=epochs,
        input_px=input_px,
        crop=spec.crop,
        params=count_params(plain),
        macs=count_macs(plain, (3, input_px, input_px)),
        size_bytes=len(chosen.weights),
        weights_dtype=dtype,
        half_precision=verdict,
        files={name: FileInfo.of(content) for name, content in files.items()},
        data=data,
        validation=None
        if validation is None or chosen.validation is None
        else Score.from_logits(chosen.validation, validation.labels),
        test=test_score,
        config=config,
        widths=widths,
        ranks=ranks,
        commit=commit,
        date=date.today().isoformat(),
        device=device,
        wall_s=wall_s,
        versions=_versions(),
    )
    store(checkpoint, files, root)
    return checkpoint


def weights_bytes(net: "nn.Module", dtype: Dtype, metadata: dict[str, str]) -> bytes:
    """The state dict as safetensors; with float16, tensors of two or more dimensions are halved.

    Those are the weights of convolutions and linear layers; biases and BatchNorm's tensors have
    one dimension, are few, and keep float32. A weight too large for float16 keeps the tensor.
    """
    import safetensors.torch
    import torch

    def shrunk(tensor: torch.Tensor) -> torch.Tensor:
        if dtype == "float32" or tensor.dim() < 2 or not tensor.is_floating_point():
            return tensor
        half = tensor.half()
        return half if bool(half.isfinite().all()) else tensor

    tensors = {name: shrunk(t).contiguous().clone() for name, t in net.state_dict().items()}
    return safetensors.torch.save(tensors, metadata)


def _logits(graph: bytes, weights: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from core.inference.predict import open_session, run_batches

    return run_batches(open_session(graph, weights), pixels)


def _compare(
    full: NDArray[np.float32], half: NDArray[np.float32], labels: NDArray[np.int64]
) -> HalfPrecision:
    a, b = full.argmax(1), half.argmax(1)
    return HalfPrecision(
        n=len(labels),
        correct_float32=int((a == labels).sum()),
        correct_float16=int((b == labels).sum()),
        agreement=float((a == b).mean()),
    )


def _is_harmless(verdict: HalfPrecision) -> bool:
    same_count = verdict.correct_float16 == verdict.correct_float32
    return same_count or verdict.agreement >= HALF_AGREEMENT


def _check_parity(
    net: "nn.Module", spec: "ModelSpec", chosen: _Stored, px: int, pictures: Labelled | None
) -> None:
    """Raises CheckpointError unless torch, with the stored weights, gives the graph's logits."""
    import safetensors.torch
    import torch

    if pictures is not None:
        pixels = pictures.pixels[:_PARITY_PICTURES]
    else:
        shape = (_PARITY_PICTURES, 3, px, px)
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stored = copy.deepcopy(net)
    stored.load_state_dict(safetensors.torch.load(chosen.weights))
    with torch.inference_mode():
        expected = stored(spec.normalize(torch.from_numpy(pixels.copy()))).numpy()
    got = _logits(chosen.graph, chosen.weights, pixels)
    if not np.allclose(got, expected, rtol=PARITY, atol=PARITY):
        raise CheckpointError(
            _(
                "The ONNX export does not answer as the network does (logits differ by {gap:.2g}). "
                "Nothing was published."
            ).format(gap=float(np.abs(got - expected).max()))
        )


def _logits_bytes(
    logits: NDArray[np.float32], labels: NDArray[np.int64], id: str, fingerprint: str
) -> bytes:
    import safetensors.numpy

    tensors: dict[str, NDArray[Any]] = {
        "logits": np.ascontiguousarray(logits),
        "labels": labels.astype(np.int64),
    }
    metadata = {"checkpoint": id, "split": "testing", "fingerprint": fingerprint}
    return safetensors.numpy.save(tensors, metadata)


def _versions() -> dict[str, str]:
    packages = ("torch", "onnxruntime", "onnx", "safetensors", "numpy", "pillow")
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in packages
    }


def publish_finished(
    run: RunFolder,
    pixels: Pixels,
    *,
    id: str,
    recipe: str,
    title: str,
    config: dict[str, Any],
    learned_from: Pixels | None = None,
    derived_from: checkpoints.DerivedFrom | None = None,
    root: Path | None = None,
) -> checkpoints.Checkpoint:
    """Publish a finished run as `id` in `pretrained/`, or in `root`; `pixels` are its photographs.

    Where it learned from others than those it is measured on, `learned_from` are those. `config` is
    what the manifest keeps of its settings. Without labelled test photographs the test score is
    left out. Raises CheckpointError where the export fails.
    """
    settings, facts, result = run.config(), run.read(), run.result()
    assert result is not None  # callers ask for finished runs
    spec = get(settings.model)
    net = set_widths(spec.build(), run.widths())
    net.load_state_dict(run.load_weights())
    testing = labelled(pixels, "testing", settings.px)
    data = checkpoints.DataInfo.of(pixels)
    if learned_from is not None:
        changes = {
            "name": f"{data.name}, having learned from: {learned_from.index.name}",
            "is_food11": data.is_food11 and learned_from.index.is_food11,
            "training": len(learned_from.split("training")),
        }
        data = data.model_copy(update=changes)
    if facts["data"].get("more"):
        further = checkpoints.FurtherData.model_validate(facts["data"]["more"])
        data = data.model_copy(update={"more": further})
    return publish(
        net,
        id=id,
        spec=spec,
        recipe=recipe,
        title=title,
        teacher=settings.teacher or None,
        derived_from=derived_from,
        seed=settings.seed,
        epochs=result["epochs"],
        input_px=settings.px,
        data=data,
        validation=labelled(pixels, "validation", settings.px),
        test=testing if len(testing.labels) else None,
        config=config,
        commit=facts["commit"],
        device=facts["device"],
        wall_s=result["wall_s"],
        history=_history(run, result),
        root=root,
    )


def _history(run: RunFolder, result: dict[str, Any]) -> checkpoints.History | None:
    """None for metrics of another version: a curve is no reason to lose a checkpoint."""
    try:
        return checkpoints.History.of(run.metrics(), result["best_epoch"])
    except CheckpointError:
        return None


def model_heading() -> str:
    """The heading below which a card says what the network is."""
    return f"## {_('Model')}"


def model_card(entry: Checkpoint, report: dict[str, Any] | None = None) -> str:
    """A model card in Markdown: what a checkpoint is, where it comes from, what it can.

    Its headings follow Mitchell et al. 2019, "Model Cards for Model Reporting". `report`: the run's
    report.json, for the accuracy of each class.
    """
    data, more = entry.data, entry.data.more

    def named(name: str, is_food11: bool) -> str:
        known = is_food11 or "not food-11" in name.lower()
        return _(name) if known else bracketed(_(name), _("this is not Food-11"))

    lines = [
        f"# {_(entry.title)}",
        "",
        _("`{id}`, made {date} with Small Plates on {device}, commit {commit}.").format(
            id=entry.id, date=entry.date, device=entry.device, commit=commit_text(entry.commit)
        ),
        "",
        model_heading(),
        _("- network `{model}`, {params:,} parameters").format(
            model=entry.model, params=entry.params
        ),
        _("- {macs:,} MACs for a picture of {px} px").format(macs=entry.macs, px=entry.input_px),
        _("- weights: safetensors, {bytes:,} bytes, {dtype}").format(
            bytes=entry.size_bytes, dtype=entry.weights_dtype
        ),
        _("- recipe {recipe}, seed {seed}, {epochs} epochs, {seconds:,.0f} s").format(
            recipe=entry.recipe, seed=entry.seed, epochs=entry.epochs, seconds=entry.wall_s
        ),
        _("- teacher: {name}").format(name=f"`{entry.teacher}`" if entry.teacher else _("none")),
    ]
    if start := entry.config.get("start_from"):  # and with it what else it learned from
        first = load_manifest().get(start)
        text = _("- started from `{id}`")
        if first:
            text = _("- started from `{id}`, which learned from: {data}")
        lines.append(text.format(id=start, data=_(first.data.name) if first else ""))
    lines += [
        "",
        f"## {_('Data')}",
        f"- {named(data.name, data.is_food11)}",
        _(
            "- fingerprint `{mark}`; {training:,} training, {validation:,} validation, {testing:,} "
            "test photographs"
        ).format(
            mark=data.fingerprint,
            training=data.training,
            validation=data.validation,
            testing=data.testing,
        ),
    ]
    if more is not None:
        lines.append(
            _(
                "- learned from besides: {n:,} photographs of {data}, fingerprint `{mark}`; not "
                "measured on them"
            ).format(n=more.training, data=named(more.name, more.is_food11), mark=more.fingerprint)
        )
    lines += ["", f"## {_('Measured')}"]
    splits = {"validation": _("validation"), "testing": _("test")}
    for split, score in (("validation", entry.validation), ("testing", entry.test)):
        if score is not None:
            low, high = score.ci95
            lines.append(
                _(
                    "- {split}: {correct:,} of {n:,} right, {accuracy:.2%} (95 % interval "
                    "{low:.2%} to {high:.2%})"
                ).format(
                    split=splits[split],
                    correct=score.correct,
                    n=score.n,
                    accuracy=score.accuracy,
                    low=low,
                    high=high,
                )
            )
    lines.append(_("- the validation split chose the epoch, so its figure flatters a little"))
    if report:
        split = report["split"]
        head = [bracketed(_("Class"), splits.get(split, split)), _("Right"), _("photographs")]
        lines += ["", f"| {' | '.join(head)} |", "|---|---|---|"]
        lines += [
            f"| {food_class(name)} | {row[i]:,} | {sum(row):,} |"
            for i, (name, row) in enumerate(zip(CLASSES, report["confusion"], strict=True))
        ]
    lines += [
        "",
        f"## {_('Use')}",
        _(
            "For teaching. It knows eleven kinds of food and answers with one of them whatever it "
            "is shown; do not decide by it what somebody may eat."
        ),
        "",
        f"## {_('Settings')}",
        *(f"- {name}: {value}" for name, value in entry.config.items()),
        "",
    ]
    return "\n".join(lines)
