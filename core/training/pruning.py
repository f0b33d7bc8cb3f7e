"""Pruning experiments on a checkpoint: prune, fine-tune, measure.

All forms of one method at one ratio give the same answers, so their accuracy is measured once, by
ONNX Runtime on the published bytes with zeros in them; a narrow network is proved to agree when it
is made. Fine-tuned networks are measured for themselves.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from torch import nn

from core import checkpoints
from core.compression.prune import Form, arrays, forms_of, masked, prune, without_masks
from core.compression.prune_channels import find_groups
from core.compression.prune_select import CHANNEL_METHODS, ChannelGroup, Method, Scope, choose
from core.errors import ConfigError
from core.measure.cost import count_macs, count_params, state_bytes
from core.measure.latency import Spread, Timing
from core.measure.pruning_grid import PruningRow, RowKey
from core.measure.sparsity import count_nonzero, gzip_bytes
from core.places import runs_dir
from core.serving.predict import Heard
from core.serving.pruned import PrunedPredictor
from core.training.experiment import Experiment, finetune, finetune_config
from core.words import _

if TYPE_CHECKING:
    from core.training.loop import Report

TimeForms = Callable[[Mapping[str, nn.Module]], Mapping[str, Timing]]


class PruningExperiment(Experiment):
    """A checkpoint to be pruned."""

    @cached_property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Its channel groups, traced once."""
        return find_groups(self.net, self.px)

    def groups_for(self, method: Method) -> tuple[ChannelGroup, ...]:
        """Its channel groups where the method needs them."""
        return self.groups if method in CHANNEL_METHODS else ()


def networks(
    one: PruningExperiment,
    method: Method,
    ratio: float,
    *,
    net: nn.Module | None = None,
    seed: int = 0,
    scope: Scope | None = None,
) -> dict[Form, nn.Module]:
    """The pruned network in each form that the method has; of `net` instead of the checkpoint's.

    For a `net` that was pruned so and trained on, its zeros are what goes.
    """
    return {
        form: prune(
            net or one.net,
            method,
            ratio,
            form,
            groups=one.groups_for(method),
            px=one.px,
            seed=seed,
            scope=scope,
        )
        for form in forms_of(method)
    }


def correct_of(
    one: PruningExperiment, method: Method, ratio: float, seed: int = 0, heard: Heard | None = None
) -> int | None:
    """Right answers on the test split after pruning; None without photographs."""
    pictures = one.pictures()
    if pictures is None:
        return None
    keep = choose(arrays(one.net), method, ratio, one.groups_for(method), seed)
    return PrunedPredictor(one.checkpoint.id, keep, one.threads).correct(pictures, heard)


def describe(
    one: PruningExperiment,
    made: Mapping[Form, nn.Module],
    key: RowKey,
    correct: int | None,
    time: TimeForms | None = None,
    zipped: bool = False,
) -> list[PruningRow]:
    """A row per form: all that can be counted; with `zipped` or `time` its bytes after gzip, and
    with `time` its times."""
    pictures = None if correct is None else one.pictures()
    timed = time({str(form): net for form, net in made.items()}) if time else {}
    return [
        PruningRow(
            **key._replace(form=form)._asdict(),
            params=count_params(net),
            nonzero=count_nonzero(net),
            macs=count_macs(net, (3, one.px, one.px)),
            size_bytes=state_bytes(net),
            gzip_bytes=gzip_bytes(net) if time or zipped else None,
            latency={"torch_1": Spread.of(timed[form])} if time else {},
            n=None if pictures is None else len(pictures.labels),
            correct=correct,
        )
        for form, net in made.items()
    ]


def measure(
    one: PruningExperiment,
    method: Method,
    ratio: float,
    *,
    seed: int = 0,
    time: TimeForms | None = None,
    zipped: bool = False,
    heard: Heard | None = None,
) -> list[PruningRow]:
    """A row per form of one method at one ratio; `time` and `zipped` as in `describe`.

    Raises ConfigError for what `prune` cannot do.
    """
    made = networks(one, method, ratio, seed=seed)
    correct = correct_of(one, method, ratio, seed, heard)
    return describe(one, made, RowKey(method, ratio, "masked"), correct, time, zipped)


def prune_and_finetune(
    one: PruningExperiment,
    key: RowKey,
    *,
    scope: Scope | None = None,
    seed: int = 0,
    report: "Report | None" = None,
    device: str | None = None,
) -> nn.Module:
    """Prune to `key.ratio` in `key.rounds` equal steps, `key.finetune_epochs` epochs after each.

    Step k leaves (1 - ratio)^(k / rounds) of the weights or of the channels: five rounds to
    1 - 0.95^5 within each layer are HW7's network slimming. What is zero stays zero under its mask.
    Returns the network with its zeros written in, in eval mode; `networks(net=...)` gives its
    forms, which all answer alike. Raises ConfigError for 0 epochs or rounds, and what training
    raises.
    """
    if key.finetune_epochs < 1 or key.rounds < 1:
        raise ConfigError(_("Fine-tuning needs at least one round and one epoch."))
    config = finetune_config(one.checkpoint, key.finetune_epochs)
    weights = one.checkpoint.files[checkpoints.WEIGHTS].sha256[:8]
    groups, net = one.groups_for(key.method), one.net
    for step in range(1, key.rounds + 1):
        last = step == key.rounds
        ratio = key.ratio if last else 1 - (1 - key.ratio) ** (step / key.rounds)
        keep = choose(arrays(net), key.method, ratio, groups, seed, scope)
        folder = (
            f"prune-{one.checkpoint.id}-{weights}-{key.method}-{key.ratio:.4f}-{scope or 'own'}"
        )
        folder += f"-{key.finetune_epochs}e-{step}of{key.rounds}-s{seed}"
        trained = finetune(masked(net, keep), config, runs_dir() / folder, report, device)
        net = without_masks(trained)
    return net
