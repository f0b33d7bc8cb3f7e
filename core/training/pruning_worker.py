"""The process of one live pruning run: a job on stdin, progress and rows as JSON lines on stdout.

It computes with one thread at low priority, so that the app stays quick for everybody, and ends
when stdin ends: that is, when the server that started it is no more.
"""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from core.errors import UserError
from core.words import set_language

Tell = Callable[[dict[str, Any]], None]


def run(asked: dict[str, Any], tell: Tell) -> None:
    """Measure one point; `tell` hears steps, and at the end `{"rows": [...]}`.

    `asked`: the fields of `core.training.pruning_live.Point`. Raises UserError.
    """
    from core.measure.network_timing import time_networks
    from core.training.pruning import measure, subject

    one = subject(asked["checkpoint"])
    tell({"step": "prune"})

    def timed(nets: Any) -> Any:
        tell({"step": "time"})
        return time_networks(nets, one.px, repeats=20, budget_s=8)

    def heard(done: int, of: int) -> None:
        tell({"step": "accuracy", "done": done, "of": of})

    rows = measure(one, asked["method"], asked["ratio"], time=timed, heard=heard)
    tell({"rows": [row.model_dump(mode="json") for row in rows]})


def main(work: Callable[[dict[str, Any], Tell], None] = run) -> int:
    """Read one job, do it; 0 if it was done, 1 if it could not be.

    `work`: what is done; other live runs bring their own (`core.training.quantization_worker`).
    """
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)

    def tell(said: dict[str, Any]) -> None:
        print(json.dumps(said), file=pipe, flush=True)

    asked = json.loads(sys.stdin.readline())
    set_language(asked.pop("language"))
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    with contextlib.redirect_stdout(sys.stderr):
        try:
            work(asked, tell)
        except UserError as error:
            tell({"error": str(error)})
            return 1
    return 0


def _end_with_the_server() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
