"""`jobs`: the queue of trainings that the app's visitors share, for whoever runs the machine."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from core.cli.answer import Answer, table
from core.i18n import _


@dataclass(frozen=True)
class Jobs:
    """List the queue of trainings; stop, resume or delete one. Looking starts what can start."""

    action: Positional[Literal["list", "stop", "resume", "delete"]] = "list"
    """What to do. stop keeps every whole epoch; resume goes on from there."""

    job: Annotated[Positional[str], arg(metavar="JOB")] = ""
    """Which one, as the list names it."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.errors import ConfigError
        from core.training.queue.line import ANYBODY, JobQueue

        queue = JobQueue()
        if self.action != "list" and not self.job:
            raise ConfigError(_("Name the job: python -m core jobs lists them."))
        if self.action == "stop":
            queue.stop(self.job, ANYBODY)
        elif self.action == "resume":
            queue.resume(self.job, ANYBODY)
        elif self.action == "delete":
            queue.delete(self.job, ANYBODY)
        rows = [_row(job) for job in queue.jobs(ANYBODY)]
        shown = ("job", "state", "place", "wanted_by", "epochs_done", "epochs", "val_accuracy")
        lost = queue.unreadable(ANYBODY)
        if not lost:
            text = table(rows, shown) if rows else _("No trainings are queued.")
            return Answer({"jobs": rows}, text)
        why = _("Its settings cannot be read; another version wrote them, perhaps.")
        return Answer(
            {"jobs": rows, "errors": [{"job": id, "message": why} for id in lost]},
            table(rows, shown) if rows else "",
            notes=(_("Left out: {jobs}. {why}").format(jobs=", ".join(lost), why=why),),
        )


def _row(job: Any) -> dict[str, Any]:
    metrics = job.run.metrics()
    return {
        "job": job.id,
        "folder": str(job.run.path),
        "state": job.state,
        "reason": job.reason or None,
        "message": job.message or None,
        "place": job.place or None,
        "wanted_by": job.owners,
        "epochs_done": len(metrics),
        "epochs": job.config.epochs,
        "val_accuracy": max((entry["val_accuracy"] for entry in metrics), default=None),
    }
