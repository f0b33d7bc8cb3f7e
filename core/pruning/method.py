"""Which weights or channels go: the one place that decides, in numpy, so that no page needs torch.

Magnitude pruning (Han et al. 2015): the smallest weights matter least. *Unstructured* methods
choose single weights of `nn.Conv2d`: `l1` the smallest of each layer (the homework's task), or
`global_l1` of the whole network, or `random` ones as the control. *Channel* methods choose whole
channels: `channel_l2` by the norm of the filters that write them, `bn_gamma` by the BatchNorm scale
behind them (network slimming, Liu et al. 2017), ranked over the whole network.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from core.errors import ConfigError
from core.i18n import _

WeightMethod = Literal["l1", "global_l1", "random"]
ChannelMethod = Literal["channel_l2", "bn_gamma"]
Method = Literal["l1", "global_l1", "random", "channel_l2", "bn_gamma"]
METHODS: tuple[Method, ...] = get_args(Method)
Form = Literal["masked", "removed", "narrow"]
"""What is left of a network: masks beside its weights, zeros among them, or fewer channels."""
FORMS: tuple[Form, ...] = get_args(Form)
CHANNEL_METHODS: tuple[ChannelMethod, ...] = get_args(ChannelMethod)
Scope = Literal["layer", "network"]

Tensors = Mapping[str, NDArray[np.float32]]
"""Parameters by their state-dict names."""
Keep = dict[str, NDArray[np.bool_]]
"""Parameter name -> same shape, False where a value becomes zero."""


class ChannelGroup(BaseModel):
    """Channels that can only go together: one feature map and every layer that writes or reads it.

    A residual sum ties the channels of all its branches; a depthwise layer ties its output to its
    input. Group convolution ties channel c to c + units, c + 2 units ..., so that every group of
    the layer stays as wide as the others; where a group has one input or one output, it is cut
    whole, and then the feature maps on both sides are one group here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int
    """Of the first writer."""
    units: int
    """How many things can be dropped: `channels`, or fewer where group convolution ties them."""
    writers: tuple[str, ...]
    """Layers whose output channels these are (convolution or linear), the first one its root."""
    norms: tuple[str, ...]
    """BatchNorm layers on them."""
    places: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Layer -> the unit of each of its channels; empty where channel c is of unit c % units."""

    def place(self, layer: str) -> NDArray[np.int64]:
        """The unit of each channel of one of the layers."""
        if self.places:
            return np.array(self.places[layer], np.int64)
        return np.arange(self.channels) % self.units

    def of(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """The channels of some units in the first writer, ascending."""
        return np.flatnonzero(np.isin(self.place(self.writers[0]), units))

    def at(self, layer: str, channels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The channels of `layer` that go with these of the first writer, ascending."""
        units = self.place(self.writers[0])[channels]
        return np.flatnonzero(np.isin(self.place(layer), units))


def convolutions(tensors: Tensors) -> list[str]:
    """Names of the `weight` of every 2-d convolution: the tensors with four dimensions."""
    return [name for name, t in tensors.items() if t.ndim == 4 and name.endswith(".weight")]


def check(method: str, ratio: float) -> None:
    """Raises ConfigError unless `method` is one of METHODS and 0 <= ratio <= 1."""
    if method not in METHODS:
        raise ConfigError(
            _("There is no pruning method {method}. Choose one of: {known}.").format(
                method=repr(method), known=", ".join(METHODS)
            )
        )
    if not 0 <= ratio <= 1:
        raise ConfigError(_("A pruning ratio is between 0 and 1, not {x:g}.").format(x=ratio))


def kept_weights(
    tensors: Tensors,
    method: WeightMethod,
    ratio: float,
    seed: int = 0,
    layers: Sequence[str] | None = None,
) -> Keep:
    """Masks that zero a share `ratio` of the convolution weights, those with the lowest scores.

    `layers`: parameter names to prune, all convolutions by default. `l1` and `random` take the
    share of every layer, `global_l1` of all of them together. As torch does, the count is
    round(ratio * size). Raises ConfigError as `check` does.
    """
    check(method, ratio)
    names = convolutions(tensors) if layers is None else layers
    scores = {name: _weight_scores(name, tensors[name], method, seed) for name in names}
    if method != "global_l1":
        return {name: ~lowest(score, ratio) for name, score in scores.items()}
    every = np.concatenate([score.ravel() for score in scores.values()] or [np.empty(0)])
    gone = lowest(every, ratio)
    ends = np.cumsum([score.size for score in scores.values()])
    parts = np.split(gone, ends[:-1])
    return {
        name: ~part.reshape(score.shape)
        for (name, score), part in zip(scores.items(), parts, strict=False)
    }


def lowest(scores: NDArray[np.floating], ratio: float) -> NDArray[np.bool_]:
    """Where the round(ratio * size) lowest scores are: bool, in the shape of `scores`."""
    gone = np.zeros(scores.size, dtype=np.bool_)
    count = round(ratio * scores.size)
    if count == scores.size:
        gone[:] = True
    elif count:
        gone[np.argpartition(scores.ravel(), count - 1)[:count]] = True
    return gone.reshape(scores.shape)


def _weight_scores(
    name: str, weight: NDArray[np.float32], method: WeightMethod, seed: int
) -> NDArray[np.floating]:
    if method == "random":  # the layer's name, so that a layer's draw hangs on no other layer
        return np.random.default_rng([seed, zlib.crc32(name.encode())]).random(weight.shape)
    return np.abs(weight)


def channel_scores(
    tensors: Tensors, group: ChannelGroup, method: ChannelMethod
) -> NDArray[np.float64] | None:
    """(units,) how much each unit matters; None where the method has nothing to go by.

    `channel_l2`: root of the summed squares of all weights that write the channel. `bn_gamma`:
    mean |gamma| of its BatchNorm layers; a group without one cannot be ranked.
    """
    if method == "bn_gamma":
        if not group.norms:
            return None
        gammas = [
            _sums(group, norm, np.abs(tensors[f"{norm}.weight"])) / _sums(group, norm, None)
            for norm in group.norms
        ]
        return np.mean(gammas, axis=0)
    squares = np.zeros(group.units)
    for writer in group.writers:
        weight = tensors[f"{writer}.weight"].astype(np.float64)
        squares += _sums(group, writer, (weight**2).reshape(len(weight), -1).sum(axis=1))
    return np.sqrt(squares)


def _sums(
    group: ChannelGroup, layer: str, values: NDArray[np.floating] | None
) -> NDArray[np.float64]:
    """(units,) sums of a layer's `values`, one a channel; without them, how many channels."""
    return np.bincount(group.place(layer), values, group.units).astype(np.float64)


def dropped_channels(
    tensors: Tensors,
    groups: Sequence[ChannelGroup],
    method: ChannelMethod,
    ratio: float,
    scope: Scope | None = None,
) -> list[NDArray[np.int64]]:
    """Channels to drop from each group, ascending; each group keeps at least its best unit.

    `scope` "layer" takes the share `ratio` of every group (the default of `channel_l2`), "network"
    of all ranked units together (the default of `bn_gamma`, as in the paper).
    Raises ConfigError as `check` does, and where group convolutions leave a feature map that
    cannot be cut.
    """
    check(method, ratio)
    whole = next((group for group in groups if group.units == 1 < group.channels), None)
    if whole is not None and ratio > 0:
        raise ConfigError(
            _(
                "No channel of {layer} can be cut out: the group convolutions beside it tie all "
                "{n} of them together. Prune single weights (l1), or change the groups."
            ).format(layer=whole.writers[0], n=whole.channels)
        )
    scores = [channel_scores(tensors, group, method) for group in groups]
    ranked = [score for score in scores if score is not None]
    if (scope or ("network" if method == "bn_gamma" else "layer")) == "layer" or not ranked:
        gone = [None if score is None else lowest(score, ratio) for score in scores]
    else:
        every = lowest(np.concatenate(ranked), ratio)
        parts = iter(np.split(every, np.cumsum([len(score) for score in ranked])[:-1]))
        gone = [None if score is None else next(parts) for score in scores]
    return [
        np.empty(0, np.int64) if score is None or out is None else group.of(_but_best(out, score))
        for group, score, out in zip(groups, scores, gone, strict=True)
    ]


def _but_best(gone: NDArray[np.bool_], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Units that go; the best one stays, as a layer without channels is no layer."""
    if gone.all():
        gone = gone.copy()
        gone[int(score.argmax())] = False
    return np.flatnonzero(gone)


def kept_channels(
    tensors: Tensors, groups: Sequence[ChannelGroup], dropped: Iterable[NDArray[np.int64]]
) -> Keep:
    """Masks under which the network answers as if the dropped channels were not there.

    Zeroing a filter alone is not enough: its bias and BatchNorm's beta would go on sending a
    constant. So every parameter that writes a dropped channel is zeroed.
    """
    keep: Keep = {}
    for group, channels in zip(groups, dropped, strict=True):
        for layer in (*group.writers, *group.norms):
            for name in (f"{layer}.weight", f"{layer}.bias"):
                if name in tensors:
                    mask = keep.setdefault(name, np.ones(tensors[name].shape, np.bool_))
                    mask[group.at(layer, channels)] = False
    return keep


def choose(
    tensors: Tensors,
    method: Method,
    ratio: float,
    groups: Sequence[ChannelGroup] = (),
    seed: int = 0,
    scope: Scope | None = None,
) -> Keep:
    """The masks of any method: `kept_weights`, or `kept_channels` of `dropped_channels`."""
    check(method, ratio)
    if method == "channel_l2" or method == "bn_gamma":
        dropped = dropped_channels(tensors, groups, method, ratio, scope)
        return kept_channels(tensors, groups, dropped)
    return kept_weights(tensors, method, ratio, seed)
