"""`quantize`: write a checkpoint with fewer bits and measure it; `quantize-grid`: make the rows
that the app shows.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from core.cli.answer import Answer, LeftOut, table
from core.cli.train import device_here, say
from core.cores import cores
from core.errors import ConfigError
from core.i18n import _
from core.quantization.rows import COMPUTED, FIXED_BITS, Form, RowKey, key_of

CHECKPOINT = arg(metavar="CHECKPOINT")


@dataclass(frozen=True)
class Quantize:
    """Write a checkpoint with fewer bits a weight, and measure the file: bytes, error of the
    weights, accuracy where a copy of Food-11 is on this machine, time where something computes in
    that format (other formats are widened to float32 when loaded, and run at its speed).

    Of several schemes and widths, one that does not fit is named with its reason, and the others
    are measured.
    """

    checkpoint: Annotated[Positional[str], CHECKPOINT]
    """Which one: `python -m core check` lists them."""

    scheme: Annotated[tuple[Form, ...], arg(metavar="SCHEME [SCHEME ...]")] = ("tensor_minmax",)
    """tensor_minmax, tensor_symmetric, channel_minmax, channel_symmetric, kmeans: weights only, 1
    to 8 bits or 16. hw7_8bit: HW7's own file. ort_int8: ONNX Runtime's int8, calibrated on
    training photographs; ort_dynamic, ort_dynamic_conv: without calibration, for linear layers
    only or for convolutions, too. float32, float16: as they are called."""

    bits: Annotated[tuple[int, ...], arg(metavar="BITS [BITS ...]")] = (8,)
    """Bits per weight; a scheme that has one width only takes that, if it is among them."""

    out: Annotated[str | None, arg(metavar="FOLDER")] = None
    """Keep the files in this folder."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.quantization import measure as measuring

        left_out = LeftOut()
        versions = self._versions(left_out)
        experiment = measuring.QuantizationExperiment.open(self.checkpoint, threads=cores())
        rows: dict[tuple[str, int], dict[str, Any]] = {}
        graphs: dict[RowKey, bytes] = {}
        for scheme, bits, key in versions:
            with left_out.each(scheme=scheme, bits=bits):
                made = measuring.version(experiment, key)
                row = measuring.measure(experiment, key, made=made)
                rows[scheme, bits] = row.report() | {"scheme": scheme}
                if key.scheme in COMPUTED:
                    graphs[key] = made.graph
                if self.out is not None:
                    self._write(made.file, key)
                say(_("{scheme}, {bits} bits: done").format(scheme=scheme, bits=bits))
        if graphs:
            timed = measuring.time_versions(graphs, experiment.checkpoint.input_px, (1,))
            for scheme, bits, key in versions:
                if key in timed:
                    time = timed[key]["onnx_1"].model_dump(exclude={"n"})
                    rows[scheme, bits]["latency_ms"] = time
        reports = list(rows.values())
        shown = [row | {"latency_ms": (row["latency_ms"] or {}).get("median")} for row in reports]
        notes = (
            []
            if experiment.pictures
            else [_("No photographs, so no accuracy: python -m core data")]
        )
        return left_out.answer({"rows": reports}, "\n".join([table(shown), *notes]), reports)

    def _versions(self, left_out: LeftOut) -> list[tuple[Form, int, RowKey]]:
        """Scheme and bits as they were asked for, and the row they are, as far as they fit."""
        versions: list[tuple[Form, int, RowKey]] = []
        for scheme in dict.fromkeys(self.scheme):
            own = FIXED_BITS.get(scheme)
            widths = dict.fromkeys(self.bits)
            if own is not None and (own in widths or self.bits == (8,)):
                widths = {own: None}
            for bits in widths:
                with left_out.each(scheme=scheme, bits=bits):
                    versions.append((scheme, bits, key_of(scheme, bits)))
        return versions

    def _write(self, file: bytes, key: RowKey) -> None:
        from pathlib import Path

        from core.paths import write_atomic
        from core.quantization.graph import suffix

        name = f"{self.checkpoint}-{key.scheme}-{key.bits}bit{suffix(key.scheme)}"
        write_atomic(Path(self.out or ".") / name, file)


@dataclass(frozen=True)
class QuantizeGrid:
    """Measure the rows of the quantisation page: each layer's number line, every scheme at 8 to 2
    bits, ONNX Runtime's int8 with times, and fine-tuning with 4-bit weights. What is done is
    skipped: give it again to go on.

    It is a part of `reproduce`: what it makes of a shipped network goes to `pretrained/`; of one of
    your own, beside that.
    """

    checkpoints: Annotated[Positional[tuple[str, ...]], arg(metavar="[CHECKPOINT ...]")] = ()
    """Which ones; without it, all that were not pruned, quantised or factored already."""

    stages: Annotated[tuple[str, ...], arg(metavar="[STAGE ...]")] = ()
    """Only these of: layers, weights, int8, aware."""

    large: bool = False
    """Fine-tune teachers and other large networks, too: an epoch takes minutes without a GPU."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to fine-tune; without it, on the GPU if there is one. Times are the processor's."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core import checkpoints

        listed = checkpoints.load_manifest().values()
        whole = [checkpoint.id for checkpoint in listed if checkpoint.derived_from is None]
        ids = [checkpoints.get(id).id for id in self.checkpoints] or whole
        if not ids:
            raise ConfigError(
                _("There are no checkpoints yet. Make them with: python -m core reproduce")
            )
        device = device_here(self.device)
        from core.quantization.measure import STAGES, make_grid

        if unknown := set(self.stages) - set(STAGES):
            raise ConfigError(
                _("There is no stage {unknown}. Choose from: {known}.").format(
                    unknown=", ".join(sorted(unknown)), known=", ".join(STAGES)
                )
            )
        stages = tuple(stage for stage in STAGES if stage in (self.stages or STAGES))
        rows: list[dict[str, Any]] = []
        left_out = LeftOut()
        for id in ids:
            with left_out.each(checkpoint=id):
                grid = make_grid(id, stages, say, threads=cores(), large=self.large, device=device)
                rows.append(
                    {
                        "checkpoint": id,
                        "rows": len(grid.rows),
                        "timed": sum(bool(row.latency) for row in grid.rows),
                        "finetuned": len(grid.tuned),
                    }
                )
        return left_out.answer({"grids": rows}, table(rows), rows)
