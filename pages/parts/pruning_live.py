""" "Run it here" of the pruning page: a network, a method, a ratio."""

from core.charts import numbers
from core.charts.pruning import method_title
from core.training.pruning_live import RUNS, Point
from core.words import _
from pages.parts.live_point import LivePoint, run_it_here
from pages.parts.pruning_controls import Setting
from pages.parts.pruning_curves import figures, score_text


def live(at: Setting) -> None:
    """The button, the running measurement, its result."""
    start, again = run_it_here()
    LivePoint(
        RUNS,
        Point(at.checkpoint.id, at.sha256, at.method, at.ratio),
        _(
            "Prunes {network} by {method} to {ratio} now, in a process of its own: accuracy on "
            "all test photographs (where they are on this machine), and the time of every form. "
            "One run at a time; whoever asks for the same point shares it."
        ).format(
            network=_(at.checkpoint.title),
            method=method_title(at.method),
            ratio=numbers.share(at.ratio),
        ),
        start,
        again,
        steps={
            "start": (0.02, _("Starting ...")),
            "prune": (0.08, _("Pruning ...")),
            "accuracy": (0.12, _("Looking at test photograph {done} of {of} ...")),
            "time": (0.85, _("Timing each form ...")),
        },
        told=lambda job: _("{score} right").format(score=score_text(job.rows[0].score)),
        shown=lambda job: figures(job.rows),
    ).draw()
