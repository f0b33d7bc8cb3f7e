"""One sitting in which every shipped network took turns: milliseconds for one picture.

Times are comparable only with times of the same sitting, so the table is made whole or not at all;
a network that was published anew since has no time in it. `pretrained/results/latency.json`, made
by `measure_latency`. Reading it imports neither torch nor ONNX Runtime.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from pydantic import Field

from core import checkpoints
from core.errors import CheckpointError
from core.i18n import _
from core.provenance import commit, processor_name
from core.results import Frozen, ResultFile
from core.timing import Spread, time_calls


class Timed(Frozen):
    """One network's time per call, and the weights it belongs to."""

    weights_sha256: str
    px: int
    ms: Spread


class LatencyTable(ResultFile):
    """All times of the sitting, and how it was held."""

    kind = "latency"
    command = "python -m core reproduce --steps latency"
    lists = ()

    engine: str
    device: str
    threads: int
    batch: int
    warmup: int
    rounds: int
    date: str
    commit: str
    networks: dict[str, Timed] = Field(min_length=1)
    """By checkpoint id."""

    def of(self, id: str, weights_sha256: str) -> Spread | None:
        """The time of these very weights, if they took part."""
        timed = self.networks.get(id)
        return timed.ms if timed is not None and timed.weights_sha256 == weights_sha256 else None


# Time every shipped network in one sitting, on an otherwise quiet machine.
#
# One picture at a time through ONNX Runtime on the processor, one thread, as the app answers a
# visitor. Protocol: `core.timing` (warm-up, then rounds in turning order; median and
# quartiles).


ROUNDS, WARMUP = 100, 10
BATCH = 1


def missing_latency() -> list[str]:
    """Ids of shipped checkpoints whose present weights have no time."""
    table = LatencyTable.load()
    return [
        checkpoint.id
        for checkpoint in checkpoints.load_manifest().values()
        if table is None or table.of(checkpoint.id, checkpoint.weights_sha256) is None
    ]


def measure_latency(
    log: Callable[[str], None] = print, *, rounds: int = ROUNDS, warmup: int = WARMUP
) -> LatencyTable:
    """Time all checkpoints of `pretrained/` and write the table.

    Raises CheckpointError if there are none, or one's files are not sound.
    """
    import onnxruntime as ort

    from core.inference.predict import THREADS, Predictor

    ready = [Predictor(id, THREADS) for id in checkpoints.load_manifest()]
    if not ready:
        raise CheckpointError(_("There are no checkpoints here to time."))
    rng = np.random.default_rng(0)
    pixels = {
        px: rng.integers(0, 256, (BATCH, 3, px, px), dtype=np.uint8)
        for px in {predictor.checkpoint.input_px for predictor in ready}
    }
    calls = {
        predictor.checkpoint.id: partial(predictor.logits, pixels[predictor.checkpoint.input_px])
        for predictor in ready
    }
    timings = time_calls(calls, repeats=rounds, warmup=warmup, threads=THREADS)
    table = LatencyTable(
        engine=f"ONNX Runtime {ort.__version__}",
        device=processor_name(),
        threads=THREADS,
        batch=BATCH,
        warmup=warmup,
        rounds=rounds,
        date=time.strftime("%Y-%m-%d"),
        commit=commit(),
        networks={
            predictor.checkpoint.id: Timed(
                weights_sha256=predictor.checkpoint.weights_sha256,
                px=predictor.checkpoint.input_px,
                ms=Spread.of(timings[predictor.checkpoint.id]),
            )
            for predictor in ready
        },
    )
    table.save()
    log(f"latency: {len(ready)} networks, {rounds} rounds")
    return table
