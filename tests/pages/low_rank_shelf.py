"""A `pretrained` folder for the low-rank page: real, untrained networks and made-up curves.

The networks are as they were built, so that singular values, photos and live runs are real; the
curves are round numbers that no network gave, so that a page which shows them must have read them.
"""

from pathlib import Path

import torch

from core import checkpoints
from core.checkpoints import Checkpoint, DataInfo
from core.checkpoints.factored import METHODS
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.low_rank.measure import TIMED_METHODS, LowRankExperiment, Plan, publish_factored
from core.low_rank.method import Decompositions, ranks_for_energy, spectra
from core.low_rank.network import checkpoint_layers
from core.low_rank.rows import ENERGIES, TIMED_ENERGIES, LowRankGrid, LowRankRow, RowKey
from core.models.registry import get
from core.stats import Labelled, labelled
from core.timing import COLUMNS, Spread
from core.training import publish as publishing

PLAIN, SMALL = "plain_275k-scratch-s0", "hw13_sample-scratch-s0"
TUNED = "plain_275k-scratch_lowrank_auto50_ft3-s0"
PX = 32
N, WHOLE = 1000, 830
EPOCHS = 3


def publish(food: Path) -> None:
    """Two networks under SMALL_PLATES_PRETRAINED, measured on the made photographs in `food`."""
    pixels = load_pixels(find_food11(food), PX, progress=False)
    pictures = labelled(pixels, "testing", PX)
    some = Labelled(pictures.pixels[:22], pictures.labels[:22])  # there may be hundreds
    for seed, (id, title) in enumerate(((PLAIN, "A plain student"), (SMALL, "A small student"))):
        torch.manual_seed(seed)
        spec = get(id.split("-")[0])
        publishing.publish(
            spec.build(), id=id, spec=spec, recipe="scratch", title=title, seed=0, epochs=0,
            input_px=PX, data=DataInfo.of(pixels), validation=None, test=some, config={},
            device="a test", wall_s=0.0,
        )  # fmt: skip


def publish_tuned() -> None:
    """The plain one factored, as if it had been fine-tuned."""
    low = LowRankExperiment.open(PLAIN)
    plan = low.plan("auto", 0.5)
    publish_factored(low, low.network(plan), Plan("auto", 0.5, plan.ranks), EPOCHS)


def correct_at(energy: float) -> int:
    """The made-up curve: flat down to 80 % of the energy, then straight down to chance."""
    return round(WHOLE if energy >= 0.8 else WHOLE - (WHOLE - 91) * (0.8 - energy) / 0.5)


def make_grid(one: Checkpoint) -> LowRankGrid:
    """Made-up curves over the network's own layers and ranks."""
    shapes, weights = checkpoint_layers(one.id)
    parts = Decompositions(weights)
    rows = []
    for method in METHODS:
        for energy in ENERGIES:
            ranks = ranks_for_energy(shapes, parts, method, energy)
            by_name = {shape.name: shape for shape in shapes}
            saved = sum(by_name[n].params - by_name[n].factored_params(r) for n, r in ranks.items())
            timed = method in TIMED_METHODS and energy in TIMED_ENERGIES
            ms = 10 * (0.4 + 0.6 * energy) * (1.5 if method == "tucker2" and ranks else 1)
            spread = Spread(median=ms, p25=0.98 * ms, p75=1.02 * ms, n=30)
            rows.append(
                LowRankRow(
                    method=method,
                    energy=energy,
                    ranks=ranks,
                    kept=energy,
                    params=one.params - saved,
                    macs=round(one.macs * energy) if ranks else one.macs,
                    size_bytes=4 * (one.params - saved),
                    latency=dict.fromkeys(COLUMNS, spread) if timed else {},
                    n=N,
                    correct=correct_at(energy),
                )
            )
    half = next(row for row in rows if row.key == RowKey("auto", 0.5))
    tuned = half.model_copy(update={"finetune_epochs": EPOCHS, "correct": 777, "latency": {}})
    return LowRankGrid(
        checkpoint=one.id,
        weights_sha256=one.weights_sha256,
        data=one.data.name,
        fingerprint=one.data.fingerprint,
        shapes=shapes,
        device="an abacus",
        versions={},
        commit="none",
        date="2026-11-22",
        rows=(*rows, tuned),
        spectra=spectra(shapes, parts),
    )


def fill() -> None:
    """The curves of the plain network, and its fine-tuned version."""
    make_grid(checkpoints.get(PLAIN)).save()
    publish_tuned()
