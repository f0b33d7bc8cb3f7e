"""The process of one live quantisation run: a job on stdin, progress and rows as JSON lines.

It goes by the protocol of `core.training.pruning_worker`: one thread, low priority, and an end as
soon as the server that started it is no more.
"""

import sys
from typing import Any

from core.training.pruning_worker import Tell, main


def run(asked: dict[str, Any], tell: Tell) -> None:
    """Measure one point, and the network in float32 before it, on the same photographs.

    `tell` hears steps, and at the end `{"rows": [...]}`: the point's row, then float32's.

    `asked`: the fields of `core.training.quantization_live.QuantPoint`. Raises UserError.
    """
    from core.measure.quantization_grid import key_of
    from core.serving.quantized_measure import WHOLE, measure, subject

    one = subject(asked["checkpoint"])
    rows = []
    for step, key in (("whole", WHOLE), ("accuracy", key_of(asked["scheme"], asked["bits"]))):
        tell({"step": step})

        def heard(done: int, of: int, step: str = step) -> None:
            tell({"step": step, "done": done, "of": of})

        rows.append(measure(one, key, heard=heard))
    tell({"rows": [row.model_dump(mode="json") for row in reversed(rows)]})


if __name__ == "__main__":
    sys.exit(main(run))
