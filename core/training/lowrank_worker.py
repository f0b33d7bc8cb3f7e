"""The process of one live low-rank run: a job on stdin, progress and rows as JSON lines on stdout.

It goes by the protocol of `core.training.pruning_worker`: one thread, low priority, and an end as
soon as the server that started it is no more.
"""

import sys
from typing import Any

from core.training.pruning_worker import Tell, main


def run(asked: dict[str, Any], tell: Tell) -> None:
    """Measure one point; `tell` hears steps, and at the end one row, which has the whole
    network's time in it.

    `asked`: the fields of `core.training.lowrank_live.LowRankPoint`. Raises UserError.
    """
    from core.measure.network_timing import time_networks
    from core.measure.pruning_grid import Spread
    from core.training.lowrank import WHOLE, lowrank_subject, measure

    low = lowrank_subject(asked["checkpoint"])
    tell({"step": "factor"})
    plan = low.plan(asked["method"], asked["energy"])
    whole: dict[str, Any] = {}

    def timed(nets: Any) -> Any:
        tell({"step": "time"})
        found = time_networks(nets, low.one.px, repeats=20, budget_s=8)
        whole["torch_1"] = Spread.of(found[WHOLE])
        return found

    def heard(done: int, of: int) -> None:
        tell({"step": "accuracy", "done": done, "of": of})

    row = measure(low, plan, time=timed, heard=heard)
    beside = row.model_copy(update={"latency": {**row.latency, "whole_torch_1": whole["torch_1"]}})
    tell({"rows": [beside.model_dump(mode="json")]})


if __name__ == "__main__":
    sys.exit(main(run))
