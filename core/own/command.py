"""`add`: make a network that somebody else trained a checkpoint of this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from core.cli.answer import Answer, own_folder, saved_line
from core.errors import CheckpointError
from core.i18n import _


@dataclass(frozen=True)
class Add:
    """Make the network in a file a checkpoint: `evaluate`, `predict`, `prune` and the app know it.

    Read are PyTorch state dicts (.pth, .ckpt), safetensors, .npz, HW7's 8- and 16-bit files and the
    weights of an ONNX graph; nothing is unpickled. The network is recognised by its tensors.
    """

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """The file."""

    model: Annotated[str, arg(metavar="KEY")] = ""
    """The network, where several have such tensors: a key that `models` lists."""

    design: Annotated[str, arg(metavar="LINE")] = ""
    """The network as a design in one line, where it is none that `models` lists."""

    px: Annotated[int | None, arg(metavar="PX")] = None
    """Side of the pictures that it learned from; without it, the network's usual one."""

    scaling: Literal["", "imagenet", "unit", "symmetric", "lite"] = ""
    """How its pictures were scaled: ImageNet's mean and std, 0 to 1, -1 to 1, EfficientNet-Lite's;
    without it, the network's usual one."""

    title: str = ""
    """What it is called; without it, the file's name."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.cli.train import say
        from core.models.design.cost import layer_rows, totals
        from core.models.design.limits import budgets
        from core.models.design.plans import describe
        from core.models.registry import PREFIX, get
        from core.own.file import find, read
        from core.own.network import add, default_scaling, file_id
        from core.quantization.file import MAX_FILE_BYTES

        if self.file.stat().st_size > MAX_FILE_BYTES:
            raise CheckpointError(_("The file is larger than any network of ours."))
        data = self.file.read_bytes()
        wanted = f"{PREFIX}{self.design.removeprefix(PREFIX)}" if self.design else self.model
        say(_("Reading {file} ...").format(file=self.file.name))
        state = read(data)
        (match, *more) = find({name: array.shape for name, array in state.items()}, wanted)
        px = self.px or get(match.model).input_px
        scaling = self.scaling or default_scaling(match.model)
        say(_("Making a checkpoint of it ..."))
        title = self.title or self.file.stem
        key = f"{match.model}@{scaling}"
        entry = add(state, match, key, px, file_id(key, data), title)
        sums = totals(layer_rows(describe(match.model).parts, px))
        years = [budget for budget in budgets(sums) if budget.quantity == "params"]
        document = {
            "checkpoint": entry.id,
            "model": match.model,
            "also": [other.model for other in more],
            "batchnorm_folded": match.folded,
            "input_px": px,
            "scaling": scaling,
            "params": entry.params,
            "macs": entry.macs,
            "limits": [
                {"homeworks": list(year.homeworks), "limit": year.limit, "answer": year.answer}
                for year in years
            ],
            "test": entry.test and entry.test.model_dump(mode="json"),
        }
        verdicts = [
            _("{homeworks}: at most {limit:,}: {verdict}").format(
                homeworks=", ".join(year.homeworks), limit=year.limit,
                verdict=_("fits") if year.answer == "within" else _("over, scores 0"),
            )
            for year in years
        ]  # fmt: skip
        lines = [
            _("{model}: {params:,} parameters. Taken for granted: {px} px, scaling {scaling}.")
            .format(model=match.model, params=entry.params, px=px, scaling=scaling),
            *verdicts,
        ]  # fmt: skip
        if entry.test:
            low, high = entry.test.ci95
            lines.append(
                _("{correct:,} of {n:,} test photographs right, accuracy {accuracy:.4f} (95 % "
                  "interval {low:.4f} to {high:.4f}), on {data}")
                .format(correct=entry.test.correct, n=entry.test.n, accuracy=entry.test.accuracy,
                        low=low, high=high, data=entry.data.name)
            )  # fmt: skip
        return Answer(document, "\n".join([*lines, saved_line(entry.id)]))


Add.__doc__ = f"{Add.__doc__}\n    {own_folder()}"
