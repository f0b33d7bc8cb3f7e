"""Factored networks timed against the whole one in one sitting, in torch and in ONNX Runtime.

Only networks that took turns in the same sitting may be compared, so every candidate is in memory
at once. In ONNX Runtime the factored layers are exported as they are, not as their product.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import onnxruntime as ort

from core.compression.lowrank_shapes import Method
from core.measure.latency import Spread, Timing
from core.measure.lowrank_grid import TIMED_ENERGIES, LowRankRow, RowKey
from core.measure.network_timing import time_networks, time_sessions
from core.measure.pruning_grid import BATCHES, ENGINES
from core.serving.export import onnx_bytes, trace
from core.serving.predict import open_session
from core.training.lowrank import LowRankExperiment, Plan, describe

COLUMNS = tuple(f"{engine}_{batch}" for engine in ENGINES for batch in BATCHES)
TIMED_METHODS: tuple[Method, ...] = ("auto", "spatial", "tucker2")
REPEATS = {1: 30, 32: 8}
BUDGET_S = {1: 15.0, 32: 25.0}
"""Rounds at most and seconds of measuring, per batch size."""


def timed_plans(low: LowRankExperiment) -> dict[RowKey, Plan]:
    """What takes turns: every method at each timed energy."""
    plans = [low.plan(method, energy) for method in TIMED_METHODS for energy in TIMED_ENERGIES]
    return {plan.key(): plan for plan in plans}


def timed_rows(
    low: LowRankExperiment,
    known: Callable[[RowKey], LowRankRow | None],
    say: Callable[[str], None],
) -> list[LowRankRow]:
    """The rows of `timed_plans` with their times, on top of what is `known` of them.

    Methods that come to the same ranks are one network, timed once.
    """
    plans = timed_plans(low)
    distinct = {_name(plan): plan for plan in plans.values()}
    nets = {name: low.network(plan) for name, plan in distinct.items()}
    sessions = {
        name: open_session(onnx_bytes(trace(net, low.spec, low.px))) for name, net in nets.items()
    }
    say(f"{len(nets)} networks made and exported")
    found: dict[str, dict[str, Timing]] = {}
    for batch in BATCHES:
        limits: dict[str, Any] = {"repeats": REPEATS[batch], "budget_s": BUDGET_S[batch]}
        found[f"torch_{batch}"] = time_networks(nets, low.px, batch, **limits)
        runs = {name: partial(_run, session) for name, session in sessions.items()}
        found[f"onnx_{batch}"] = time_sessions(runs, low.px, batch, **limits)
        say(f"timed, batch {batch}")
    rows = []
    for key, plan in plans.items():
        name = _name(plan)
        latency = {column: Spread.of(found[column][name]) for column in COLUMNS}
        row = known(key) or describe(low, nets[name], plan, None)
        rows.append(row.model_copy(update={"latency": latency}))
    return rows


def _name(plan: Plan) -> str:
    """Equal for plans that make the same network."""
    return str(sorted(plan.ranks.items()))


def _run(session: ort.InferenceSession, pixels: Any) -> Any:
    return session.run(None, {"pixels": pixels})
