"""A collection of answers-only checkpoints with several seeds, curves and times, all made up here.

`fill` gives every recipe of the results page; each network is right on a share of the pictures
that its test states, so every figure on the page can be worked out again.
"""

from typing import Any

import numpy as np
import safetensors.numpy

from core.checkpoints import (
    HISTORY,
    TEST_LOGITS,
    WEIGHTS,
    Checkpoint,
    DerivedFrom,
    FileInfo,
    History,
    store,
)
from core.checkpoints.entry import Derivation
from core.collection.latency import LatencyTable, Timed
from core.stats import Score
from core.timing import Spread
from tests.pages.shelf import DATA

LABELS = np.arange(1200) % 11
_FACTS: dict[str, tuple[str, str, int, int]] = {  # model: family, title, params, MACs
    "efficientnet_lite0": ("teacher", "EfficientNet-Lite0", 3_385_099, 282_000_000),
    "resnet18": ("teacher", "ResNet-18", 11_182_155, 595_000_000),
    "plain_2m": ("student", "Plain CNN, 2.2 M", 2_168_203, 140_000_000),
    "dwpw_256k": ("student", "Depthwise + pointwise CNN", 256_779, 29_600_512),
    "plain_275k": ("student", "Plain CNN, 275 k", 275_211, 41_000_000),
    "group8_277k": ("student", "Group convolution CNN", 277_195, 25_000_000),
    "hw13_sample": ("student", "HW13 sample student", 87_907, 199_000_000),
    "hw13_residual": ("student", "HW13 residual student", 96_587, 220_000_000),
    "best_100k": ("student", "Best student under 100,000", 99_127, 36_000_000),
}
_SAID = {
    "scratch_qat4_ft5": "from scratch, trained with 4-bit weights",
    "imagenet": "from ImageNet",
    "scratch": "from scratch",
    "scratch_10ep": "10 epochs, from scratch",
    "distilled_10ep": "10 epochs, distilled",
    "distilled_weak": "taught by ResNet-18",
    "distilled": "distilled",
    "distilled_stronger": "taught by EfficientNet-Lite2",
    "food101_scratch": "pre-trained on Food-101, labels alone",
    "food101_distilled": "pre-trained on Food-101, distilled",
    "distilled_narrow_bn_gamma22p6_ft1x5": "distilled, 22.6 % of channels cut out",
}
_DERIVED: dict[str, Derivation] = {
    "scratch_qat4_ft5": "quantised",
    "distilled_narrow_bn_gamma22p6_ft1x5": "narrow",
}
WHOLE: dict[str, tuple[int, ...]] = {
    "efficientnet_lite0-imagenet": (1010,),
    "resnet18-scratch": (730,),
    "plain_2m-scratch": (760,),
    "dwpw_256k-scratch": (640, 655, 630),
    "dwpw_256k-distilled_weak": (700, 690, 712),
    "dwpw_256k-distilled": (830, 841, 822),
    "dwpw_256k-distilled_stronger": (880, 891, 872),
    "dwpw_256k-distilled_narrow_bn_gamma22p6_ft1x5": (740,),
    "plain_275k-scratch": (600, 640, 625),
    "group8_277k-scratch": (560, 575, 571),
    "hw13_sample-scratch_10ep": (480,),
    "hw13_sample-distilled_10ep": (540,),
    "hw13_residual-scratch_10ep": (650,),
    "hw13_residual-distilled_10ep": (735,),
    "best_100k-scratch_10ep": (610,),
    "best_100k-distilled_10ep": (665,),
    "best_100k-scratch": (690,),
    "best_100k-distilled": (800,),
    "dwpw_256k-food101_scratch": (850,),
    "dwpw_256k-food101_distilled": (905,),
}
"""stem -> right answers of each seed, of 1,200."""


def curve(right: int, epochs: int, seed: int) -> History:
    """Accuracies that rise towards `right` of LABELS, as 100 validation pictures would show it."""
    rng = np.random.default_rng(seed + right)
    share = right / len(LABELS) * (1 - 0.8 * np.exp(-np.arange(1, epochs + 1) / (epochs / 4)))
    correct = np.clip((100 * (share + rng.normal(0, 0.012, epochs))).round(), 0, 100).astype(int)
    return History(
        chosen_epoch=int(correct.argmax()) + 1,
        val_n=100,
        epoch=tuple(range(1, epochs + 1)),
        lr=(0.001,) * epochs,
        px=(128,) * epochs,
        loss=(1.0,) * epochs,
        loss_hard=(1.0,) * epochs,
        loss_soft=(None,) * epochs,
        train_accuracy=tuple(float(x) for x in np.clip(share * 1.15, 0, 1)),
        val_loss=(1.0,) * epochs,
        val_correct=tuple(int(x) for x in correct),
        seconds=(20.0,) * epochs,
    )


def publish(stem: str, seed: int, right: int, *, epochs: int = 30, **more: Any) -> Checkpoint:
    """A checkpoint that is right on `right` pictures, chosen by its seed; `epochs=0`: no curve."""
    model, recipe = stem.split("-", 1)
    family, title, params, macs = _FACTS[model]
    rows = np.random.default_rng(1000 * seed + 7).permutation(len(LABELS))[:right]
    answers = (LABELS + 1) % 11
    answers[rows] = LABELS[rows]
    logits = 5 * np.eye(11, dtype=np.float32)[answers]
    weights = f"weights of {stem}-s{seed}".encode()
    files = {
        TEST_LOGITS: safetensors.numpy.save({"logits": logits, "labels": LABELS.astype(np.int64)}),
        WEIGHTS: weights,
    }
    if epochs:
        files[HISTORY] = curve(right, epochs, seed).to_bytes()
    derived = _DERIVED.get(recipe)
    is_narrow = derived == "narrow"
    fields: dict[str, Any] = {
        "id": f"{stem}-s{seed}",
        "model": model,
        "family": family,
        "recipe": recipe,
        "title": f"{title}, {_SAID[recipe]}",
        "teacher": "efficientnet_lite0-imagenet-s0" if "distil" in recipe else None,
        "derived_from": DerivedFrom(id=f"{model}-{recipe.split('_')[0]}-s{seed}", kind=derived)
        if derived
        else None,
        "seed": seed,
        "epochs": epochs or 30,
        "input_px": 128,
        "params": params * 2 // 3 if is_narrow else params,
        "macs": macs * 2 // 3 if is_narrow else macs,
        "size_bytes": params * 2,
        "weights_dtype": "float16",
        "files": {name: FileInfo.of(data) for name, data in files.items()},
        "data": DATA,
        "test": Score.of(right, len(LABELS)),
        "config": {"seed": seed},
        "date": "2026-11-22",
        "device": "a test",
        "commit": "0123456789ab",
        "wall_s": 1230.0,
    }
    made = Checkpoint(**(fields | more))
    store(made, files)
    return made


def fill(which: dict[str, tuple[int, ...]] | None = None, times: bool = True) -> list[Checkpoint]:
    """Publish recipes with their seeds under SMALL_PLATES_PRETRAINED (set it first)."""
    found = [
        publish(stem, seed, right)
        for stem, all_right in (WHOLE if which is None else which).items()
        for seed, right in enumerate(all_right)
    ]
    if times and found:
        (
            LatencyTable(
                engine="ONNX Runtime 1", device="a test", threads=1, batch=1, warmup=10,
                rounds=100, date="2026-11-22", commit="0123456789ab",
                networks={
                    one.id: Timed(
                        weights_sha256=one.weights_sha256,
                        px=one.input_px,
                        ms=Spread(median=one.macs / 3e7, p25=one.macs / 3.1e7,
                                  p75=one.macs / 2.9e7, n=100),
                    )
                    for one in found
                },
            ).save()
        )  # fmt: skip
    return found
