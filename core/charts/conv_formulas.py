"""The formulas behind `core.measure.conv_cost`, in LaTeX: with symbols, and with numbers filled in.

The filled-in line is a sum one can check by hand; a test evaluates it and compares.
"""

from typing import Literal, NamedTuple, get_args

from core.measure.conv_cost import BYTES, Cost, Kind
from core.measure.conv_setting import ConvSetting
from core.words import _

Quantity = Literal["params", "macs", "activation_bytes", "intensity"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

C_IN, C_OUT = r"C_\text{in}", r"C_\text{out}"


class Formula(NamedTuple):
    """One quantity of one layer: LaTeX without dollar signs."""

    symbols: str
    """In letters: C_in, C_out, k, g, R, H (side of the input map), H' (side of the output map)."""
    numbers: str
    """The same with the numbers of the setting, an equals sign, and the result."""


RULES: dict[Kind, str] = {
    "standard": "1",
    "group": "1 / g",
    "separable": f"1 / {C_OUT} + 1 / k^2",
    "lowrank": rf"R\,({C_IN} + {C_OUT}) \,/\, (k\,{C_IN}\,{C_OUT})",
}
"""Rule of thumb for the share of the standard layer's weights (`conv_cost.rule_of_thumb`)."""


def formula(quantity: Quantity, cost: Cost, setting: ConvSetting) -> Formula:
    """The formula of one quantity for one layer, for a picture at a time (batch 1)."""
    letters = _terms(cost.kind, _letters(setting))
    filled = _terms(cost.kind, _figures(setting))
    match quantity:
        case "params":
            return Formula(letters.params, f"{filled.params} = {_count(cost.params)}")
        case "macs":
            return Formula(letters.macs, f"{filled.macs} = {_count(cost.macs)}")
        case "activation_bytes":
            return Formula(
                rf"{BYTES}\,({letters.written})",
                rf"{BYTES} \cdot ({filled.written}) = {_count(cost.activation_bytes)}",
            )
    result = cost.intensity()
    return Formula(
        rf"\text{{{_('MACs')}}} / "
        rf"\big({BYTES}\,({letters.moved} + \text{{{_('parameters')}}})\big)",
        rf"{_count(cost.macs)} / \big({BYTES} \cdot ({filled.moved} + {_count(cost.params)})\big)"
        rf" \approx {result:.{1 if result >= 10 else 2}f}",
    )


class _Names(NamedTuple):
    """What stands for each size: a letter, or its figure."""

    c_in: str
    c_out: str
    k: str
    g: str
    rank: str
    h: str
    h_out: str
    dot: str
    """Between factors."""
    bias: bool


class _Terms(NamedTuple):
    params: str
    macs: str
    written: str
    """Values written, maps between steps included."""
    moved: str
    """Values of maps read and written."""


def _letters(setting: ConvSetting) -> _Names:
    return _Names(C_IN, C_OUT, "k", "g", "R", "H", "H'", r"\,", setting.bias)


def _figures(s: ConvSetting) -> _Names:
    return _Names(
        c_in=_count(s.in_channels),
        c_out=_count(s.out_channels),
        k=_count(s.kernel_size),
        g=_count(s.groups),
        rank=_count(s.rank),
        h=_count(s.map_size),
        h_out=_count(s.out_size),
        dot=r" \cdot ",
        bias=s.bias,
    )


def _terms(kind: Kind, n: _Names) -> _Terms:
    def product(*factors: str) -> str:
        return n.dot.join(factors)

    square, out = f"{n.k}^2", f"{n.h_out}^2"
    read, written = product(n.c_in, f"{n.h}^2"), product(n.c_out, out)
    biases = n.c_out
    if kind == "separable":
        weights = f"{product(n.c_in, square)} + {product(n.c_in, n.c_out)}"
        biases = f"{n.c_in} + {n.c_out}"
        macs = product(f"({weights})", out)
        between = product(n.c_in, out)
    elif kind == "lowrank":
        tall = product(n.h_out, n.h)  # the first step shrinks the height only
        weights = product(n.rank, n.k, f"({n.c_in} + {n.c_out})")
        macs = product(n.rank, n.k, f"({product(n.c_in, tall)} + {product(n.c_out, out)})")
        between = product(n.rank, tall)
    else:
        shared = f" / {n.g}" if kind == "group" else ""
        weights = product(n.c_in, n.c_out, square) + shared
        macs = product(n.c_in, n.c_out, square, out) + shared
        between = ""
    return _Terms(
        params=f"{weights} + {biases}" if n.bias else weights,
        macs=macs,
        written=f"{between} + {written}" if between else written,
        moved=f"{read} + {product('2', between)} + {written}" if between else f"{read} + {written}",
    )


def _count(n: int) -> str:
    return f"{n:,}".replace(",", "{,}")
