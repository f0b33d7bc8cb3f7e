"""`export`: write a checkpoint as one file for a phone, with its model card beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from core.cli.answer import Answer
from core.cli.train import say
from core.export.files import Shipping
from core.export.stack import Format
from core.i18n import _


@dataclass(frozen=True)
class Export:
    """Write a checkpoint as a file that can leave this app, and FILE.md, its model card.

    The file is run and compared with the original: on the test photographs where a copy of Food-11
    is on this machine, on made-up pictures otherwise.
    """

    checkpoint: Annotated[Positional[str], arg(metavar="CHECKPOINT")]
    """Which one: `python -m core check` lists them."""

    format: Format
    """safetensors: the weights. onnx: graph and float32 weights in one file. onnx-fp16: the same,
    weights at half precision. onnx-int8: 8-bit weights and arithmetic. hw7-8bit: the homework's
    8-bit weights."""

    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Where to; without it, the checkpoint's name in this folder."""

    force: bool = False
    """Write over a file that is there."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core import checkpoints, paths
        from core.errors import UserError
        from core.export.files import file_name, shipped

        entry = checkpoints.get(self.checkpoint)
        out = self.out or Path(file_name(entry.id, self.format))
        if out.is_dir():
            raise UserError(_("{file} is a folder: name a file in it.").format(file=out))
        card = out.with_name(f"{out.name}.md")
        for path in () if self.force else (out, card):
            if path.exists():
                raise UserError(
                    _("{file} is there already. Choose another name, or give --force.").format(
                        file=path
                    )
                )
        if not out.resolve().parent.is_dir():
            raise UserError(_("There is no folder {folder}.").format(folder=out.parent))
        self._calibrate()
        data = shipped(entry.id, self.format)
        from core.export.card import shipping_card
        from core.export.measure import measure

        say(_("Comparing with the original ..."))
        shipping = measure(entry.id, (self.format,))
        paths.write_atomic(out, data)
        text = shipping_card(entry, self.format, out.name, data, shipping)
        paths.write_atomic(card, text.encode())
        row = shipping.rows[0].report()
        document = {"checkpoint": entry.id, "file": str(out), "card": str(card), **row}
        return Answer(document, _text(str(out), str(card), row, shipping))

    def _calibrate(self) -> None:
        """Measure the ranges that int8 needs, if nobody has and the photographs are here."""
        from core.errors import CheckpointError
        from core.export.files import calibrate, obstacle

        reason = obstacle(self.checkpoint, self.format)
        if reason and not calibrate(self.checkpoint):
            raise CheckpointError(reason)


def _text(out: str, card: str, row: dict[str, Any], shipping: Shipping) -> str:
    parity, time = row["parity"], row["latency_ms"]
    where = (
        _("{n:,} test photographs ({data})").format(n=parity["n"], data=shipping.data)
        if row["accuracy"] is not None
        else _("{n} made-up pictures (no photographs here: see python -m core data)").format(
            n=parity["n"]
        )
    )
    lines = [
        _("{file}: {bytes:,} bytes; its model card: {card}").format(
            file=out, bytes=row["size_bytes"], card=card
        ),
        _("parity on {where}: largest logit difference {gap:.3g}, same class on {same:.2%}").format(
            where=where, gap=parity["max_logit_difference"], same=parity["agreement"]
        ),
    ]
    score = shipping.rows[0].parity and shipping.rows[0].parity.score
    if score:
        lines.append(
            _("accuracy {accuracy:.4f} (95 % interval {low:.4f} to {high:.4f})").format(
                accuracy=score.accuracy, low=score.ci95[0], high=score.ci95[1]
            )
        )
    lines.append(
        _("one picture: {median:.2f} ms ({p25:.2f} to {p75:.2f}), {runtime}").format(
            **time, runtime=row["runtime"]
        )
        if time
        else _("no time of its own: it is decoded to float32 first")
    )
    return "\n".join(lines)
