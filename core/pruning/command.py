"""`prune`: prune a checkpoint and measure it; `prune-grid`: make the curves that the app shows."""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from core.cli.answer import Answer, LeftOut, chosen_stages, own_folder, saved_line, table
from core.cli.train import device_here, epoch_line, say
from core.cores import cores
from core.i18n import _
from core.pruning.method import Method, check

CHECKPOINT = arg(metavar="CHECKPOINT")
SAVE_HELP = (
    "Keep the results as checkpoints of your own: narrow ones for the channel methods, else with "
    f"zeros. {own_folder()}"
)


@dataclass(frozen=True)
class Prune:
    """Prune a checkpoint, and measure every form of the result: masked, masks removed, and (for
    whole channels) narrow. Accuracy is measured where a copy of Food-11 is on this machine.
    """

    checkpoint: Annotated[Positional[str], CHECKPOINT]
    """Which one: `python -m core check` lists them."""

    method: Method = "l1"
    """l1: smallest weights of each layer. global_l1: of the whole network. random: the control.
    channel_l2: channels with the smallest filters. bn_gamma: with the smallest BatchNorm scale."""

    ratios: Annotated[tuple[float, ...], arg(metavar="R [R ...]")] = (0.0, 0.5, 0.9)
    """Shares of the weights, or channels, that go: 0 to 1."""

    finetune_epochs: int = 0
    """Epochs of training after pruning, with the zeros kept."""

    rounds: int = 1
    """Reach the ratio in so many steps, fine-tuning after each (bn_gamma: network slimming)."""

    seed: int = 0
    """Which weights `random` takes."""

    save: Annotated[bool, arg(help=SAVE_HELP)] = False

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to time and fine-tune; without it, time on the processor, train on a GPU if any."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.errors import ConfigError

        for ratio in self.ratios or (-1.0,):
            check(self.method, ratio)
        if self.finetune_epochs < 0 or self.rounds < 1 or (self.rounds > 1 > self.finetune_epochs):
            raise ConfigError(
                _("Rounds need fine-tuning between them: give --finetune-epochs 1 or more.")
            )
        device = device_here(self.device)
        from core.pruning.measure import PruningExperiment

        experiment = PruningExperiment.open(self.checkpoint, threads=cores())
        rows: list[dict[str, Any]] = []
        saved = []
        left_out = LeftOut()
        for ratio in dict.fromkeys(self.ratios):
            with left_out.each(ratio=ratio):
                measured, made = self._measure(experiment, ratio, device)
                rows += [row.report() for row in measured]
                if self.save:
                    from core.pruning.measure import publish_pruned

                    last = measured[-1]
                    net = made[last.form]
                    saved.append(
                        publish_pruned(experiment, net, last.key, own=True, draw=self.seed).id
                    )
                say(_("{method} {ratio:.0%}: done").format(method=self.method, ratio=ratio))
        shown = [row | {"latency_ms": (row["latency_ms"] or {}).get("median")} for row in rows]
        notes = [saved_line(id) for id in saved]
        if experiment.pixels is None:
            notes.append(_("No photographs here, so no accuracy: see python -m core data"))
        document = {"rows": rows} | ({"saved": saved} if self.save else {})
        return left_out.answer(document, "\n".join([table(shown), *notes]), rows)

    def _measure(self, experiment: Any, ratio: float, device: str | None) -> tuple[list[Any], Any]:
        """Rows of every form at one ratio, and the networks."""
        from core.pruning import measure as pruning
        from core.pruning.rows import RowKey
        from core.timing import time_networks

        def timed(nets: Any) -> Any:
            return time_networks(nets, experiment.px, budget_s=5, device=device or "cpu")

        key = RowKey(self.method, ratio, "masked", self.finetune_epochs, self.rounds)
        if self.finetune_epochs:
            net = pruning.prune_and_finetune(
                experiment,
                key,
                seed=self.seed,
                device=device,
                report=lambda entry: say(epoch_line(entry, self.finetune_epochs)),
            )
            correct = experiment.right_answers(net)
        else:
            net = None
            correct = pruning.correct_of(experiment, self.method, ratio, self.seed)
        made = pruning.networks(experiment, self.method, ratio, net=net, seed=self.seed)
        rows = pruning.describe(experiment, made, key, correct, timed)
        return rows, {form: each.cpu() for form, each in made.items()}


@dataclass(frozen=True)
class PruneGrid:
    """Measure the curves of the pruning page: every method at 0, 5, ... 95 %, times, the scan of
    the layers, and some points after fine-tuning. What is done is skipped: give it again to go on.

    It is a part of `reproduce`: what it makes of a shipped network goes to `pretrained/`; of one of
    your own, beside that.
    """

    checkpoints: Annotated[Positional[tuple[str, ...]], arg(metavar="[CHECKPOINT ...]")] = ()
    """Which ones; without it, all that were not pruned, quantised or factored already."""

    stages: Annotated[tuple[str, ...], arg(metavar="[STAGE ...]")] = ()
    """Only these of: curves, times, scan, finetune."""

    teachers: bool = False
    """Fine-tune teachers, too: an epoch of one takes minutes without a GPU."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to fine-tune; without it, on the GPU if there is one. Times are the processor's."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core import checkpoints
        from core.errors import ConfigError

        shipped = checkpoints.load_manifest().values()
        whole = [entry.id for entry in shipped if entry.derived_from is None]
        ids = [checkpoints.get(id).id for id in self.checkpoints] or whole
        if not ids:
            raise ConfigError(
                _("There are no checkpoints yet. Make them with: python -m core reproduce")
            )
        device = device_here(self.device)
        from core.pruning.measure import STAGES, make_grid

        stages = chosen_stages(self.stages, STAGES)
        rows: list[dict[str, Any]] = []
        left_out = LeftOut()
        for id in ids:
            with left_out.each(checkpoint=id):
                grid = make_grid(
                    id, stages, say, threads=cores(), teachers=self.teachers, device=device
                )
                rows.append(
                    {
                        "checkpoint": id,
                        "rows": len(grid.rows),
                        "timed": sum(bool(row.latency) for row in grid.rows),
                        "scanned": len(grid.scan),
                        "finetuned": sum(row.finetune_epochs > 0 for row in grid.rows),
                    }
                )
        return left_out.answer({"grids": rows}, table(rows), rows)
