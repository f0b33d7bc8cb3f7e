"""`reproduce`: make the shipped checkpoints again, or see which are missing."""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import arg

from core.cli.answer import Answer, table
from core.cli.train import device_here, epoch_line, say
from core.collection.recipes import Schedule
from core.collection.reproduce import STEPS, Step
from core.errors import ConfigError
from core.i18n import _


@dataclass(frozen=True)
class Reproduce:
    """Train, publish and measure every checkpoint that ships, one after the other.

    What is done is skipped, what was stopped goes on: give the same command again.
    """

    only: Annotated[tuple[str, ...], arg(metavar="[ID ...]")] = ()
    """Only these checkpoints; without it, all. One that was cut, factored or taught fewer bits is
    made by the step of the one it comes from; its own files can be asked for."""

    schedule: Schedule = "quick"
    """quick: the stand-in photographs on two processor cores. full: Food-11 on a GPU."""

    list: bool = False
    """Only show what is done and what is missing; train nothing."""

    steps: Annotated[tuple[Step, ...], arg(metavar="[STEP ...]")] = STEPS
    """training: the checkpoints.
    pruning: the curves and times of their pruned versions.
    lowrank: the same of their factored ones.
    quantization: bits against accuracy, int8, fine-tuning with 4-bit weights.
    stack: one student's whole way: cut, fine-tuned, 8 bits.
    same_size: two big networks brought to two sizes by four methods.
    shipping: every file of every network.
    latency: all networks timed in one sitting; let the machine do nothing else meanwhile."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to compute; without it, on the GPU if there is one."""

    ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]")] = None
    """Compute on a Ray cluster (`pip install -r requirements-cluster.txt`): the one at this
    address, `auto` for the one that this machine is part of, no address for this machine alone."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.collection.reproduce import order_of, reproduce, status

        chosen = order_of(self.schedule, self.only).chosen
        epochs = {recipe.id: recipe.config.epochs for recipe in chosen}

        def report(name: str, entry: dict[str, Any]) -> None:
            say(f"{name}: {epoch_line(entry, epochs[name])}")

        if self.list:
            rows = status(self.schedule, self.only, self.steps)
        elif self.ray is not None:
            from core.collection.on_ray import reproduce_on_ray

            if len(self.ray) > 1:
                raise ConfigError(_("Name one Ray cluster."))
            address = "".join(self.ray)
            rows = reproduce_on_ray(
                address, self.schedule, self.only, report, self.device, self.steps, say
            )
        else:
            device = device_here(self.device)
            rows = reproduce(self.schedule, self.only, report, device, self.steps, say)
        missing = sum(row["state"] != "done" for row in rows)
        closing = (
            _("{missing} of {n} are missing.").format(missing=missing, n=len(rows))
            if missing
            else _("All {n} are done.").format(n=len(rows))
        )
        lost = [
            f"{row['step']} {row['checkpoint']}" for row in rows if row["state"] == "unreadable"
        ]
        message = _(
            "What was measured cannot be read: {lost}. Get it again with git, or delete it."
        )
        document = {"schedule": self.schedule, "trainings": rows}
        return Answer(
            document,
            f"{table(rows)}\n{closing}",
            notes=(message.format(lost=", ".join(lost)),) if lost else (),
        )
