"""The traps' numbers as rows of a small table: the measure, failing, fixed, what it must be."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from core.charts import numbers
from core.words import _

if TYPE_CHECKING:
    from core.compression.kd_traps import Drift, Readings


class Row(NamedTuple):
    """One measure of both cells; all texts."""

    what: str
    failing: str
    fixed: str
    must: str
    """What it has to be, or what the comparison says."""


def rows(trap: str, found: "Readings") -> list[Row]:
    """The measures in which this trap shows, on the batch it was run on."""
    bad, good = found.cells[trap], found.cells["fixed"]
    loss = Row(_("Soft loss"), _nats(bad.loss), _nats(good.loss), "")
    same = Row(
        _("Soft loss of a student that equals its teacher"),
        _nats(bad.at_teacher), _nats(good.at_teacher), _("must be 0"),
    )  # fmt: skip
    gradient = Row(
        _("Length of the soft gradient"),
        f"{bad.gradient:.2g}", f"{good.gradient:.2g}", _times(good.gradient, bad.gradient),
    )  # fmt: skip
    label = Row(
        _("Soft loss at T = 1 if the teacher is as sure as the label"),
        _nats(bad.as_label), _nats(good.as_label),
        _("must be the hard loss, {loss}").format(loss=_nats(found.hard)),
    )  # fmt: skip
    left = Row(
        _("Right soft loss left after descending on the cell"),
        f"{bad.floor:.4f}", f"{good.floor:.4f}", _("the smaller, the more was learnt"),
    )  # fmt: skip
    surest = Row(
        _("Mean confidence at T after that descent"),
        numbers.share(bad.confidence), numbers.share(good.confidence),
        _("the teacher's: {share}").format(share=numbers.share(found.teacher_confidence)),
    )  # fmt: skip
    if trap == "probabilities":
        return [loss._replace(must=_("must not be negative")), same, left, surest]
    if trap == "mean":
        return [loss._replace(must=_times(good.loss, bad.loss)), gradient, label, left]
    if trap == "no_t2":
        return [loss._replace(must=_times(good.loss, bad.loss)), gradient, left]
    if trap == "swapped":
        angle = Row(
            _("Cosine between its gradient and the right one"),
            f"{bad.cosine:.3f}", f"{good.cosine:.3f}", _("1: the same direction"),
        )  # fmt: skip
        return [loss._replace(must=_("not the same divergence")), label, angle]
    harmless = found.cells["harmless"]
    again = Row(
        _("Soft loss with a log-softmax too many"),
        _nats(harmless.loss), _nats(good.loss), _("the same: harmless"),
    )  # fmt: skip
    return [again, same, gradient, left]


def teacher_rows(drift: "dict[str, Drift]") -> list[Row]:
    """What train mode did to the teacher, beside eval mode."""
    bad, good = drift["failing"], drift["fixed"]
    shown = bad.passes * bad.batch
    return [
        Row(
            _("Pictures answered otherwise than in eval mode, of {n}").format(n=shown),
            str(bad.flipped), str(good.flipped), _("must be 0"),
        ),
        Row(
            _("A picture's logit moves when its neighbours change, by up to"),
            f"{bad.together:.2f}", f"{good.together:.2f}", _("must be 0"),
        ),
        Row(
            _("Running means moved after {n} passes").format(n=bad.passes),
            f"{bad.moved:.2%}", f"{good.moved:.2%}", _("must be 0"),
        ),
        Row(
            _("Largest change of a logit afterwards, back in eval mode"),
            f"{bad.logits:.3f}", f"{good.logits:.3f}", _("must be 0"),
        ),
        Row(
            _("Other answers afterwards, back in eval mode, of {n}").format(n=bad.pictures),
            str(bad.changed), str(good.changed), _("must be 0"),
        ),
    ]  # fmt: skip


def table(found: Sequence[Row]) -> str:
    """Markdown: a table that wraps on a phone."""
    head = f"| {_('Measured')} | {_('✗ Failing')} | {_('✓ Fixed')} |"
    lines = [
        f"| {row.what}{f' · *{row.must}*' if row.must else ''} | **{row.failing}** | {row.fixed} |"
        for row in found
    ]
    return "\n".join([head, "|---|---:|---:|", *lines])


def _nats(value: float) -> str:
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")


def _times(good: float, bad: float) -> str:
    if bad <= 0:
        return ""
    return _("{times} times too small").format(times=f"{good / bad:.4g}")
