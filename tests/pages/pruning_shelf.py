"""A `pretrained` folder for the pruning page: two real, untrained networks and made-up curves.

The networks are as they were built, so that surgery, photos and live runs are real; the curves are
round numbers that no network gave, so that a page which shows them must have read them.
"""

from dataclasses import replace
from pathlib import Path

import torch

from core import checkpoints
from core.checkpoints import Checkpoint, DataInfo
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.models.registry import get
from core.pruning.measure import TIMED, columns
from core.pruning.method import METHODS
from core.pruning.network import find_groups, forms_of
from core.pruning.rows import RATIOS, PruningGrid, PruningRow, RowKey, ScanPoint
from core.stats import Labelled, labelled
from core.timing import Spread
from core.training import publish as publishing

TEACHER, SCRATCH = "hw13_sample-imagenet-s0", "hw13_sample-scratch-s0"
PX = {TEACHER: 128, SCRATCH: 32}
"""A live run of the one takes long enough to be stopped, of the other hardly any time."""
N = 1000
SHARE = {"masked": 1.25, "removed": 1.0, "narrow": 0.4}


def publish(food: Path) -> None:
    """Two networks under SMALL_PLATES_PRETRAINED, measured on the made photographs in `food`."""
    index = find_food11(food)
    for seed, (id, family, recipe, title) in enumerate(
        (
            (TEACHER, "teacher", "imagenet", "A teacher"),
            (SCRATCH, "student", "scratch", "A student"),
        )
    ):
        torch.manual_seed(seed)
        px = PX[id]
        pixels = load_pixels(index, px, progress=False)
        pictures = labelled(pixels, "testing", px)
        some = Labelled(pictures.pixels[:22], pictures.labels[:22])  # there may be a thousand
        spec = replace(get("hw13_sample"), family=family)  # type: ignore[arg-type]
        publishing.publish(
            spec.build(), id=id, spec=spec, recipe=recipe, title=title, seed=0, epochs=0,
            input_px=px, data=DataInfo.of(pixels), validation=labelled(pixels, "validation", px),
            test=some, config={}, device="a test", wall_s=0.0,
        )  # fmt: skip


def correct_at(ratio: float, whole: int) -> int:
    """The made-up curve: flat to 50 %, then straight down to chance."""
    return round(whole if ratio <= 0.5 else whole - (whole - 91) * (ratio - 0.5) / 0.45)


def make_grid(one: Checkpoint, whole: int, scan: bool = True) -> PruningGrid:
    """Made-up curves of a published network; `whole` of 1,000 pictures right before pruning."""
    net = checkpoints.load_model(one.id)
    layers = tuple(f"{name}.weight" for name, m in net.named_modules() if hasattr(m, "kernel_size")
                   and hasattr(m, "weight"))  # fmt: skip
    rows = [_row(RowKey(method, ratio, form), one, whole)
            for method in METHODS for ratio in RATIOS for form in forms_of(method)]  # fmt: skip
    tuned = _row(RowKey("l1", 0.9, "removed", 1), one, whole).model_copy(
        update={"correct": whole - 7}
    )
    slim = _row(RowKey("bn_gamma", 0.2262, "narrow", 1, 5), one, whole)
    return PruningGrid(
        checkpoint=one.id,
        weights_sha256=one.weights_sha256,
        data=one.data.name,
        fingerprint=one.data.fingerprint,
        layers=layers,
        groups=find_groups(net, one.input_px),
        device="an abacus",
        versions={},
        commit="none",
        date="2026-11-22",
        rows=(*rows, tuned, slim),
        scan=tuple(
            ScanPoint(layer=layer, ratio=ratio, n=300, correct=200 - 10 * place)
            for place, layer in enumerate(layers)
            for ratio in (0.5, 0.8, 0.95)
        )
        if scan
        else (),
    )


def _row(key: RowKey, one: Checkpoint, whole: int) -> PruningRow:
    left = (1 - key.ratio) ** 2 if key.form == "narrow" else 1
    latency = {}
    if key in TIMED:
        share = SHARE[key.form] if key.form != "narrow" else 1 - 0.8 * key.ratio
        for name in columns(key):
            ms = 10 * share
            latency[name] = Spread(median=ms, p25=0.98 * ms, p75=1.02 * ms, n=30)
    return PruningRow(
        **key._asdict(),
        params=round(one.params * left),
        nonzero=round(one.params * (1 - key.ratio)),
        macs=round(one.macs * left),
        size_bytes=round(4 * one.params * left) * (2 if key.form == "masked" else 1),
        gzip_bytes=round(3 * one.params * left) if latency else None,
        latency=latency,
        n=N,
        correct=correct_at(key.ratio, whole),
    )


def fill(grids: bool = True) -> None:
    """The curves of both networks beside them."""
    if grids:
        for id, whole in ((TEACHER, 830), (SCRATCH, 540)):
            make_grid(checkpoints.get(id), whole).save()
