"""`bench training` and `bench photo`: how fast this machine is at what the app does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg, subcommand

from core.cli.answer import Answer, table
from core.cli.train import device_here
from core.words import _


@dataclass(frozen=True)
class Training:
    """Images per second of our training loop against a loop written the course's way: the same
    network and photographs, taking turns in one run.
    """

    model: str = "dwpw_256k"
    """Network to train: a key of `python -m core models`."""

    px: int = 128
    """Side of the square picture the network sees."""

    batch_size: int = 64
    """Photographs per step."""

    turns: int = 5
    """Counted turns of each loop; one more of each warms up."""

    steps: int = 4
    """Steps in a turn."""

    device: Annotated[str | None, arg(metavar="cpu|cuda")] = None
    """Where to compute; without it, on the GPU if there is one."""

    data: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with Food-11, instead of FOOD11_ROOT or data/food11."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.bench import bench_training
        from core.errors import ConfigError

        if min(self.turns, self.steps) < 1 or self.batch_size < 2 or not 32 <= self.px <= 512:
            raise ConfigError(
                _("At least 1 turn, 1 step and a batch of 2, on pictures of 32 to 512 pixels.")
            )
        device = device_here(self.device)
        found = bench_training(
            self.model, self.px, self.batch_size, self.turns, self.steps, device, self.data
        )
        rows: list[dict[str, Any]] = [
            {"images per second": _("the course's way")} | found["course"]["images_per_s"],
            {"images per second": _("ours")} | found["ours"]["images_per_s"],
            {"images per second": _("ours / the course's")} | found["ratio"],
        ]
        heading = _(
            "{model}, {px} px, batch {batch_size}, {turns} turns of {steps} steps; {device}; {data}"
        ).format(**found)
        return Answer(found, f"{heading}\n\n{table(rows)}")


@dataclass(frozen=True)
class Photo:
    """How long a visitor waits: from a photo's bytes to the answers of every checkpoint."""

    photo: Annotated[Path | None, arg(metavar="FILE")] = None
    """The photo to use; without it, a made-up one of 12 megapixels."""

    repeats: int = 30
    """Counted rounds."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.errors import ConfigError
        from core.photo_bench import bench_photo

        if self.repeats < 1:
            raise ConfigError(_("At least 1 round."))
        found = bench_photo(self.photo, repeats=self.repeats)
        rows = [
            {"step": name, "median ms": t["median_ms"], "p95 ms": t["p95_ms"], "rounds": t["n"]}
            for name, t in found["steps"].items()
        ]
        heading = _(
            "{photo}: {megapixels} megapixels, {bytes:,} bytes; checkpoints {n}, threads {threads}"
        ).format(**found, n=len(found["checkpoints"]))
        return Answer(found, f"{heading}\n\n{table(rows)}")


@dataclass(frozen=True)
class Bench:
    """Measure speed on this machine."""

    what: Annotated[Training, subcommand("training")] | Annotated[Photo, subcommand("photo")]

    @property
    def json(self) -> bool:
        """Whether the chosen measurement was asked for as JSON."""
        return self.what.json

    def run(self) -> Answer:
        """Measure."""
        return self.what.run()
