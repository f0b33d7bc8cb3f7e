"""Live runs of the quantisation page: one point of the curves measured again, here and now."""

from typing import Any, NamedTuple

from core.live import LiveRuns, Report
from core.measure.quantization_grid import QuantRow


class QuantPoint(NamedTuple):
    """What is measured; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    scheme: str
    """One of `core.compression.quantize.SCHEMES`."""
    bits: int


def measure_live(asked: dict[str, Any], report: Report) -> None:
    """Measure one point, and the network in float32 before it, on the same photographs.

    `report` hears steps, and at the end `{"rows": [...]}`: the point's row, then float32's.

    `asked`: the fields of `QuantPoint`. Raises UserError.
    """
    from core.measure.quantization_grid import key_of
    from core.serving.quantized_measure import WHOLE, QuantizationExperiment, measure

    one = QuantizationExperiment.open(asked["checkpoint"])
    rows = []
    for step, key in (("whole", WHOLE), ("accuracy", key_of(asked["scheme"], asked["bits"]))):
        report({"step": step})

        def heard(done: int, of: int, step: str = step) -> None:
            report({"step": step, "done": done, "of": of})

        rows.append(measure(one, key, heard=heard))
    report({"rows": [row.model_dump(mode="json") for row in reversed(rows)]})


RUNS: LiveRuns[QuantPoint, QuantRow] = LiveRuns(QuantRow, f"{__name__}:measure_live")
"""The line of this server."""
