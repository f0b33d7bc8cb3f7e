"""`lowrank`: factor a checkpoint and measure it; `lowrank-grid`: what the low-rank page shows."""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from core.checkpoints.factored import Method
from core.cli.answer import Answer, LeftOut, chosen_stages, own_folder, saved_line, table
from core.cli.train import device_here, epoch_line, say
from core.cores import cores
from core.i18n import _
from core.low_rank.method import check_energy

CHECKPOINT = arg(metavar="CHECKPOINT")
SAVE_HELP = f"Keep the results as checkpoints of your own. {own_folder()}"


@dataclass(frozen=True)
class LowRank:
    """Factor a checkpoint's layers, and measure the result. Depthwise and group convolutions are
    left alone, and so is a layer in which factoring would not save a parameter. Accuracy is
    measured where a copy of Food-11 is on this machine.
    """

    checkpoint: Annotated[Positional[str], CHECKPOINT]
    """Which one: `python -m core check` lists them."""

    energy: Annotated[tuple[float, ...], arg(metavar="E [E ...]")] = ()
    """Shares of each layer's squared weights to keep, 0 to 1; without any option: 0.9 0.7 0.5."""

    params: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = ()
    """Instead: at most so many parameters in the whole network."""

    method: Method = "auto"
    """svd: only linear and 1 x 1 layers. spatial: k x k ones, too, as k x 1 and 1 x k. tucker2: as
    1 x 1, k x k, 1 x 1. auto: whichever is smaller, layer by layer."""

    finetune_epochs: int = 0
    """Epochs of training after factoring; taught by its teacher, if the checkpoint had one."""

    save: Annotated[bool, arg(help=SAVE_HELP)] = False

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to time and fine-tune; without it, time on the processor, train on a GPU if any."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.errors import ConfigError

        for energy in self.energy:
            check_energy(energy)
        if any(count < 1 for count in self.params) or self.finetune_epochs < 0:
            raise ConfigError(_("Parameters and epochs are counted from 1."))
        device = device_here(self.device)
        from core.low_rank.measure import LowRankExperiment

        experiment = LowRankExperiment.open(self.checkpoint, threads=cores())
        if experiment.checkpoint.ranks:
            raise ConfigError(
                _("{id} is factored already. Start from the network it was made of.").format(
                    id=self.checkpoint
                )
            )
        energies = self.energy or (() if self.params else (0.9, 0.7, 0.5))
        left_out = LeftOut()
        plans = []
        for energy in dict.fromkeys(energies):
            with left_out.each(energy=energy):
                plans.append(experiment.plan(self.method, energy))
        for n in dict.fromkeys(self.params):
            with left_out.each(params=n):
                plans.append(experiment.plan_for_budget(self.method, n))
        rows: list[dict[str, Any]] = []
        saved = []
        for plan in plans:
            with left_out.each(method=self.method, energy=round(plan.energy, 4)):
                row, net = self._measure(experiment, plan, device)
                rows.append(row.report())
                if self.save:
                    from core.low_rank.measure import publish_factored

                    kept = publish_factored(
                        experiment, net.cpu(), plan, self.finetune_epochs, own=True
                    )
                    saved.append(kept.id)
                text = _("{method}, {energy:.1%} of the energy: done")
                say(text.format(method=self.method, energy=plan.energy))
        hidden = ("budget",) if not self.params else ()
        shown = [
            {name: value for name, value in row.items() if name not in hidden}
            | {"latency_ms": (row["latency_ms"] or {}).get("median")}
            for row in rows
        ]
        notes = [saved_line(id) for id in saved]
        if experiment.pixels is None:
            notes.append(_("No photographs here, so no accuracy: see python -m core data"))
        document = {"rows": rows} | ({"saved": saved} if self.save else {})
        return left_out.answer(document, "\n".join([table(shown), *notes]), rows)

    def _measure(self, experiment: Any, plan: Any, device: str | None) -> tuple[Any, Any]:
        """The row of one plan, and its network."""
        from core.low_rank import measure as lowrank
        from core.timing import time_networks

        def timed(nets: Any) -> Any:
            return time_networks(nets, experiment.px, budget_s=5, device=device or "cpu")

        if self.finetune_epochs:
            net = lowrank.factor_and_finetune(
                experiment,
                plan,
                self.finetune_epochs,
                device=device,
                report=lambda entry: say(epoch_line(entry, self.finetune_epochs)),
            )
            return lowrank.measure_finetuned(
                experiment, net, plan, self.finetune_epochs, timed
            ), net
        net = experiment.network(plan)
        correct = lowrank.correct_of(experiment, plan)
        return lowrank.describe(experiment, net, plan, correct, time=timed), net


@dataclass(frozen=True)
class LowRankGrid:
    """Measure what the low-rank page shows: every method at energies from 100 to 30 %, times, and
    some points after fine-tuning, each layer's singular values. What is done is skipped: give it
    again to go on.

    It is a part of `reproduce`: what it makes of a shipped network goes to `pretrained/`; of one of
    your own, beside that.
    """

    checkpoints: Annotated[Positional[tuple[str, ...]], arg(metavar="[CHECKPOINT ...]")] = ()
    """Which ones; without it, those of plain_2m and resnet18 that are whole."""

    stages: Annotated[tuple[str, ...], arg(metavar="[STAGE ...]")] = ()
    """Only these of: curves, times, finetune, spectra."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to fine-tune; without it, on the GPU if there is one. Times are the processor's."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core import checkpoints
        from core.errors import ConfigError

        ids = [checkpoints.get(id).id for id in self.checkpoints]
        device = device_here(self.device)
        from core.low_rank.measure import STAGES, make_grid
        from core.low_rank.rows import MODELS

        ids = ids or [
            entry.id
            for entry in checkpoints.load_manifest().values()
            if entry.model in MODELS and entry.derived_from is None
        ]
        if not ids:
            raise ConfigError(
                _("There is no checkpoint of {models} yet. Name another one.").format(
                    models=", ".join(MODELS)
                )
            )
        stages = chosen_stages(self.stages, STAGES)
        rows: list[dict[str, Any]] = []
        left_out = LeftOut()
        for id in ids:
            with left_out.each(checkpoint=id):
                grid = make_grid(id, stages, say, threads=cores(), device=device)
                rows.append(
                    {
                        "checkpoint": id,
                        "rows": len(grid.rows),
                        "timed": sum(bool(row.latency) for row in grid.rows),
                        "finetuned": sum(row.finetune_epochs > 0 for row in grid.rows),
                    }
                )
        return left_out.answer({"grids": rows}, table(rows), rows)
