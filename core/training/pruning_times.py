"""All forms of a pruned network timed in one sitting: masked, removed, narrow; torch and ONNX.

Only networks that took turns in the same sitting may be compared; so the page's chart of times
comes from here, and every candidate is in memory at once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import onnxruntime as ort
from torch import nn

from core import checkpoints
from core.compression.prune import arrays
from core.compression.prune_select import choose
from core.measure.latency import Spread, Timing
from core.measure.network_timing import time_networks, time_sessions
from core.measure.pruning_grid import BATCHES, TIMED_RATIOS, PruningRow, RowKey
from core.measure.sparsity import gzip_bytes
from core.serving.export import onnx_bytes, trace
from core.serving.predict import open_session
from core.serving.pruned import pruned_bytes
from core.training.pruning import PruningExperiment, describe, networks

TIMED: tuple[RowKey, ...] = (
    *(RowKey("l1", ratio, form) for ratio in TIMED_RATIOS for form in ("masked", "removed")),
    *(RowKey("channel_l2", ratio, "narrow") for ratio in TIMED_RATIOS[1:]),
    RowKey("channel_l2", 0.5, "masked"),
    RowKey("channel_l2", 0.5, "removed"),
    RowKey("bn_gamma", 0.5, "narrow"),
)
"""What takes turns. Dense arithmetic does not care where the zeros are: other methods' masks cost
what these cost."""
REPEATS = {1: 30, 32: 8}
BUDGET_S = {1: 15.0, 32: 25.0}
"""Rounds at most and seconds of measuring, per batch size."""


def times(engine: str) -> tuple[str, ...]:
    """The columns of an engine: `torch_1`, `torch_32` ..."""
    return tuple(f"{engine}_{batch}" for batch in BATCHES)


def columns(key: RowKey) -> tuple[str, ...]:
    """Which times a row has. An ONNX file holds no masks, so no masked form can be timed there."""
    return times("torch") if key.form == "masked" else (*times("torch"), *times("onnx"))


def timed_rows(
    one: PruningExperiment, known: Callable[[RowKey], PruningRow | None], say: Callable[[str], None]
) -> list[PruningRow]:
    """The rows of TIMED with their times and zipped bytes, on top of what is `known` of them."""
    made = {key: networks(one, key.method, key.ratio)[key.form] for key in TIMED}
    say("all forms made")
    sessions = {
        key: _session(one, made[key], key) for key in TIMED if times("onnx")[0] in columns(key)
    }
    say("exported")
    latency: dict[RowKey, dict[str, Spread]] = {key: {} for key in TIMED}
    for batch in BATCHES:
        limits: dict[str, Any] = {"repeats": REPEATS[batch], "budget_s": BUDGET_S[batch]}
        nets = {_name(key): net for key, net in made.items()}
        _note(latency, f"torch_{batch}", time_networks(nets, one.px, batch, **limits))
        runs = {_name(key): partial(_run, session) for key, session in sessions.items()}
        _note(latency, f"onnx_{batch}", time_sessions(runs, one.px, batch, **limits))
        say(f"timed, batch {batch}")
    return [
        (known(key) or describe(one, {key.form: made[key]}, key, None)[0]).model_copy(
            update={"latency": latency[key], "gzip_bytes": gzip_bytes(made[key])}
        )
        for key in TIMED
    ]


def _name(key: RowKey) -> str:
    return f"{key.method} {key.ratio} {key.form}"


def _note(latency: dict[RowKey, dict[str, Spread]], column: str, timed: dict[str, Timing]) -> None:
    for key, found in latency.items():
        if _name(key) in timed:
            found[column] = Spread.of(timed[_name(key)])


def _session(one: PruningExperiment, net: nn.Module, key: RowKey) -> ort.InferenceSession:
    """A narrow network is exported anew; zeros alone fit the published graph."""
    if key.form == "narrow":
        return open_session(onnx_bytes(trace(net, one.spec, one.px)))
    graph, weights = checkpoints.GRAPH, checkpoints.WEIGHTS
    files = checkpoints.read_files(one.checkpoint.id, graph, weights)[1]
    keep = choose(arrays(one.net), key.method, key.ratio, one.groups_for(key.method))
    return open_session(files[graph], pruned_bytes(files[weights], keep))


def _run(session: ort.InferenceSession, pixels: Any) -> Any:
    return session.run(None, {"pixels": pixels})
