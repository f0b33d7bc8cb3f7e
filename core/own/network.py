"""From a stranger's file to a checkpoint of this machine: built, loaded, exported, tested.

torch is imported in the process that does it (`add`), never by who looks on: the app asks its line
of live runs (`RUNS`), each a process of its own. A visitor's network has an id that cannot be
guessed, enters no comparison of trainings, and is removed when its visitor has left
(`core.checkpoints.remove`), after a day at the latest (`forget_old`).
"""

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from core import checkpoints, paths
from core.checkpoints import Checkpoint, DataInfo
from core.checkpoints.by_recipe import FROM_FILE
from core.data.pixels import pixels_here
from core.errors import CheckpointError
from core.i18n import _
from core.live import LiveRuns, Report
from core.models.design import plans
from core.models.registry import SCALINGS, get, short_name
from core.own.file import Match, find, read
from core.quantization.graph import State
from core.stats import labelled

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_PER_VISITOR = 2
MOST_HERE = 80
"""Visitors' networks on one machine."""
KEPT_S = 24 * 3600.0
VISITOR = "visitor"
"""What the id of a network that is kept for a session has before its secret."""


class Point(NamedTuple):
    """A file that waits in `waiting_file`, and what it is taken for."""

    id: str
    """Of the checkpoint that it becomes."""
    model: str
    """The network and its input scaling."""
    input_px: int
    title: str


class Added(BaseModel):
    """A checkpoint that was made of a file."""

    checkpoint: str


RUNS: LiveRuns[Point, Added] = LiveRuns(Added, "core.own.network:add_live")


def point(model: str, scaling: str, input_px: int, title: str) -> Point:
    """What a visitor's file is to become, under an id that cannot be guessed."""
    key = f"{model}@{scaling}"
    id = f"{short_name(key)}-{FROM_FILE}-s0-{VISITOR}_{secrets.token_hex(8)}"
    return Point(id, key, input_px, title)


def let_wait(wanted: Point, data: bytes) -> None:
    """Put a visitor's file where its run finds it.

    Raises CheckpointError where too many visitors' networks are here.
    """
    if len(_visitors()) >= MOST_HERE:
        raise CheckpointError(
            _("{n} networks of visitors are on this machine already. Try again later.").format(
                n=MOST_HERE
            )
        )
    paths.write_atomic(waiting_file(wanted.id), data)


def waiting_file(id: str) -> Path:
    """Where a file waits until the run that reads it begins."""
    return paths.data_dir() / "waiting" / id


def add_live(point: dict[str, Any], report: Report) -> None:
    """Make the waiting file of a `Point`, given as a dict, a checkpoint. Raises CheckpointError."""
    wanted = Point(**point)
    report({"step": "read"})
    file = waiting_file(wanted.id)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(_("The file is gone. Choose it again.")) from error
    file.unlink(missing_ok=True)
    state = read(data)
    model = wanted.model.rpartition("@")[0]
    (match, *_more) = find({name: array.shape for name, array in state.items()}, model)
    report({"step": "export"})
    made = add(state, match, wanted.model, wanted.input_px, wanted.id, wanted.title)
    report({"rows": [Added(checkpoint=made.id).model_dump()]})


def add(state: State, match: Match, model: str, input_px: int, id: str, title: str) -> Checkpoint:
    """Publish the network that a file holds in `own_dir()`, with its score on the test photographs.

    `state`: the file's tensors. `model`: the network of `match` and perhaps an input scaling.
    `input_px`: the side of the pictures it gets. Its weights stay float32, as they are in the file.
    Raises CheckpointError where its answers are no numbers, UserError for pictures it cannot take.
    """
    from core.training.publish import publish
    from core.training.speed import best_device, device_name

    if not plans.fits(model, input_px):
        raise CheckpointError(
            _("Pictures of {px} pixels are too small: the layers shrink them to nothing.").format(
                px=input_px
            )
        )
    spec = get(model)
    net = loaded(spec.build(), state, match)
    _check(net, input_px)
    began = time.monotonic()
    pixels = pixels_here(input_px, spec.crop)
    test = None if pixels is None else labelled(pixels, "testing", input_px)
    data = DataInfo(
        name=_("unknown photographs"), fingerprint="", is_food11=False,
        training=0, validation=0, testing=0,
    )  # fmt: skip
    if pixels is not None:  # it was tested on these, and learned from others
        data = DataInfo.of(pixels).model_copy(update={"training": 0, "validation": 0})
    return publish(
        net.eval(),
        id=id,
        spec=spec,
        recipe=FROM_FILE,
        title=title,
        seed=0,
        epochs=0,
        input_px=input_px,
        data=data,
        validation=None,
        test=test if test is not None and len(test.labels) else None,
        config={"input_scaling": model.rpartition("@")[2]},
        device=device_name(best_device()),
        wall_s=time.monotonic() - began,
        root=checkpoints.own_dir(),
    )


def loaded(net: "nn.Module", state: State, match: Match) -> "nn.Module":
    """`net`, in eval mode, with the file's tensors. Raises CheckpointError for other shapes."""
    import torch

    own = {n: t for n, t in net.state_dict().items() if not n.endswith("num_batches_tracked")}
    values = _unfolded(net) if match.folded else {}
    wanted = [n for n in own if n not in values] if match.folded else list(own)
    if set(match.names) == set(wanted):
        pairs = match.names
    elif len(match.names) == len(wanted):
        pairs = dict(zip(wanted, match.names.values(), strict=True))
    else:
        raise CheckpointError(_("The tensors in the file are not those of the network."))
    values |= {ours: torch.from_numpy(state[theirs].copy()) for ours, theirs in pairs.items()}
    if any(values[name].shape != tensor.shape for name, tensor in own.items()):
        raise CheckpointError(_("The tensors in the file are not those of the network."))
    net.load_state_dict(values, strict=False)  # all but the counters, as was just seen
    return net.eval()


def _unfolded(net: "nn.Module") -> dict[str, "Tensor"]:
    """What the tensors are that a file without BatchNorm does not have.

    A BatchNorm behind a convolution gives back what it gets, and adds the convolution's bias where
    that has none of its own: then its bias is what the file has.
    """
    import torch
    from torch import nn

    values: dict[str, Tensor] = {}
    before: tuple[str, nn.Module] = ("", net)
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            values |= {
                f"{name}.weight": torch.ones_like(module.weight),
                f"{name}.running_mean": torch.zeros_like(module.running_mean),
                f"{name}.running_var": torch.full_like(module.running_var, 1 - module.eps),
            }
            own_bias = isinstance(before[1], nn.Conv2d) and before[1].bias is not None
            if own_bias:
                values[f"{name}.bias"] = torch.zeros_like(module.bias)
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            before = name, module
    return values


def _check(net: "nn.Module", px: int) -> None:
    """Raises CheckpointError unless the answers to noise are numbers."""
    import torch

    noise = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        if not bool(net(noise).isfinite().all()):
            raise CheckpointError(_("With these weights the network's answers are not numbers."))


def file_id(model: str, data: bytes) -> str:
    """The id of a file's checkpoint at the command line: the same file gives the same id."""
    import hashlib

    return f"{short_name(model)}-{FROM_FILE}-s0-{hashlib.sha256(data).hexdigest()[:10]}"


def default_scaling(model: str) -> str:
    """The scaling of the registered network: ImageNet's, but for EfficientNet-Lite."""
    spec = get(model)
    return next(name for name, pair in SCALINGS.items() if pair == (spec.mean, spec.std))


def _visitors() -> list[str]:
    return [id for id in checkpoints.listing(checkpoints.own_dir()).checkpoints if is_visitors(id)]


def is_visitors(id: str) -> bool:
    """Whether a checkpoint is kept for a session alone."""
    return id.rpartition("-")[2].startswith(f"{VISITOR}_")


def forget(id: str) -> None:
    """Remove a visitor's network, and its file if that waits still. Raises CheckpointError."""
    waiting_file(id).unlink(missing_ok=True)
    if is_visitors(id):
        checkpoints.remove(id, checkpoints.own_dir())


def forget_old() -> None:
    """Remove visitors' networks, and files that wait, of more than a day ago."""
    old = time.time() - KEPT_S
    root = checkpoints.own_dir()
    for id in _visitors():
        folder = root / id
        if not folder.exists() or folder.stat().st_mtime < old:
            forget(id)
    for file in waiting_file("").glob("*"):
        if file.stat().st_mtime < old:
            file.unlink(missing_ok=True)
