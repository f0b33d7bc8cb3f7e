"""What a factored layer looks like and costs, as arithmetic: ranks in, parameters and MACs out.

Three ways of writing a layer's weight as a product of smaller ones:

- *svd*, for a linear layer or a 1 x 1 convolution: two layers of the same kind with r channels
  between them (Denton et al. 2014).
- *spatial*, for k x k: r filters of k x 1, then 1 x k (Jaderberg et al. 2014, scheme 2; in closed
  form by the SVD of the reshaped kernel: Tai et al. 2016).
- *tucker2*, for k x k: 1 x 1 down to r_in channels, k x k to r_out, 1 x 1 up (Kim et al. 2016).

A depthwise or group convolution is left alone: each of its filters reads only its own channels, so
there is nothing shared to factor; depthwise + pointwise is itself the extreme case. No torch here.
"""

import math
from typing import Literal, NamedTuple, get_args

from core.errors import ConfigError
from core.i18n import _

Form = Literal["svd", "spatial", "tucker2"]
"""How one layer is factored."""
Method = Literal["svd", "spatial", "tucker2", "auto"]
"""How a network is: `svd` takes only linear and 1 x 1 layers, the others take them by SVD and the
k x k ones in their own way; `auto` whichever of the two costs fewer parameters, layer by layer."""
METHODS: tuple[Method, ...] = get_args(Method)

Ranks = dict[str, tuple[int, ...]]
"""Layer -> (r,) of an SVD or a spatial pair, (r_in, r_out) of Tucker-2; whole layers are absent."""


class LayerShape(NamedTuple):
    """One linear layer or convolution, as far as its cost depends on it."""

    name: str
    """Module name: its weight is `<name>.weight`."""
    inputs: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    in_size: tuple[int, int] = (1, 1)
    """Height and width of what it reads; 1 x 1 for a linear layer."""
    out_size: tuple[int, int] = (1, 1)
    fixed: bool = False
    """Left alone for another reason than its groups (a padding that is not its own)."""

    @property
    def forms(self) -> tuple[Form, ...]:
        """The ways in which it can be factored; none for group and depthwise convolutions."""
        if self.groups > 1 or self.fixed:
            return ()
        return ("svd",) if self.kernel == (1, 1) else ("spatial", "tucker2")

    @property
    def params(self) -> int:
        """Weights and biases of the whole layer."""
        return self.weights + self.bias * self.outputs

    @property
    def weights(self) -> int:
        """Values in its weight."""
        return self.inputs // self.groups * self.outputs * math.prod(self.kernel)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole layer for one picture."""
        return self.weights * math.prod(self.out_size)

    def form_of(self, ranks: tuple[int, ...]) -> Form:
        """How it is factored at these ranks. Raises ConfigError where they do not fit it."""
        for form in self.forms:
            if len(ranks) == len(self.full_ranks(form)) and all(
                1 <= rank <= most for rank, most in zip(ranks, self.full_ranks(form), strict=True)
            ):
                return form
        raise ConfigError(
            _("The ranks {ranks} do not fit {layer}.").format(ranks=ranks, layer=self.name)
        )

    def full_ranks(self, form: Form) -> tuple[int, ...]:
        """The largest ranks there are: at these nothing is lost."""
        high, wide = self.kernel
        if form == "tucker2":
            area = high * wide
            return min(self.inputs, self.outputs * area), min(self.outputs, self.inputs * area)
        return (min(self.inputs * high, self.outputs * wide),)

    def factored_params(self, ranks: tuple[int, ...]) -> int:
        """Weights and biases of its factors at these ranks; the bias stays as it was."""
        return self._first(ranks) + self._rest(ranks)[0] + self.bias * self.outputs

    def factored_macs(self, ranks: tuple[int, ...]) -> int:
        """MACs of its factors at these ranks, for one picture.

        The first layer of a spatial pair strides only downwards, Tucker's first not at all; the
        first of an SVD strides, so that the second has less to do.
        """
        (_rest, rest_macs), form = self._rest(ranks), self.form_of(ranks)
        first_out = {
            "svd": self.out_size,
            "spatial": (self.out_size[0], self.in_size[1]),
            "tucker2": self.in_size,
        }[form]
        return self._first(ranks) * math.prod(first_out) + rest_macs

    def _first(self, ranks: tuple[int, ...]) -> int:
        """Weights of the first factor."""
        high = self.kernel[0] if self.form_of(ranks) == "spatial" else 1
        return self.inputs * ranks[0] * high

    def _rest(self, ranks: tuple[int, ...]) -> tuple[int, int]:
        """Weights and MACs of the factors behind the first, all at the output's size."""
        form, (high, wide) = self.form_of(ranks), self.kernel
        weights = {
            "svd": ranks[0] * self.outputs,
            "spatial": ranks[0] * self.outputs * wide,
            "tucker2": ranks[0] * ranks[-1] * high * wide + ranks[-1] * self.outputs,
        }[form]
        return weights, weights * math.prod(self.out_size)


def forms_for(method: Method, shape: LayerShape) -> tuple[Form, ...]:
    """The ways in which a method may factor a layer; none where it leaves it alone."""
    return tuple(form for form in shape.forms if method in ("auto", form) or form == "svd")


def check_method(method: str) -> None:
    """Raises ConfigError unless `method` is one of METHODS."""
    if method not in METHODS:
        raise ConfigError(
            _("There is no low-rank method {method}. Choose one of: {known}.").format(
                method=repr(method), known=", ".join(METHODS)
            )
        )
