"""What was measured of a checkpoint's quantised versions: rows, and the file that keeps them.

A row is one scheme at one number of bits: bytes of the file as written, error of the weights, right
answers, and the time where something computes in that format. The rows of a checkpoint stand in
`pretrained/results/quantization-<checkpoint>.json`, with the hash of the weights and the
fingerprint of the photographs they belong to. Nothing here imports torch.
"""

from typing import Any, Literal, NamedTuple, get_args

from pydantic import Field

from core.errors import ConfigError
from core.i18n import _
from core.live import LiveRuns
from core.quantization.method import SCHEMES, check
from core.results import AccuracyRow, CheckpointRows, Frozen

Form = Literal[
    "float32",
    "float16",
    "tensor_minmax",
    "tensor_symmetric",
    "channel_symmetric",
    "channel_minmax",
    "kmeans",
    "hw7_8bit",
    "ort_int8",
    "ort_dynamic",
    "ort_dynamic_conv",
]
"""A way to write a network down: `core.quantization.method`'s schemes, the two float formats,
HW7's own file, and ONNX Runtime's int8: static; dynamic for linear layers; for convolutions too."""
FORMS: tuple[Form, ...] = get_args(Form)
FIXED_BITS: dict[str, int] = {
    "float32": 32, "float16": 16, "hw7_8bit": 8, "ort_int8": 8, "ort_dynamic": 8,
    "ort_dynamic_conv": 8,
}  # fmt: skip
"""Forms that come in one width only."""
COMPUTED: tuple[Form, ...] = ("float32", "ort_int8", "ort_dynamic", "ort_dynamic_conv")
"""Forms that something computes in; the others are widened to float32 first, at its speed."""
ROW_BITS = (8, 6, 5, 4, 3, 2)
Training = Literal["none", "plain", "aware"]
"""Before quantising: nothing; fine-tuned as ever (the control); fine-tuned with quantised
weights."""


class RowKey(NamedTuple):
    """What names a row."""

    scheme: Form
    bits: int
    training: Training = "none"
    epochs: int = 0


def key_of(scheme: str, bits: int) -> RowKey:
    """The row in which that scheme stands at that width: every scheme's 16 bits are float16.

    Raises ConfigError for a scheme that is not there and a width that it does not have.
    """
    if scheme in SCHEMES:
        check(scheme, bits)
        return RowKey("float16", 16) if bits == 16 else RowKey(scheme, bits)
    form = next((form for form in FORMS if form == scheme), None)
    if form is None:
        raise ConfigError(
            _("There is no quantisation scheme {scheme}. Choose one of: {known}.").format(
                scheme=repr(scheme), known=", ".join(FORMS)
            )
        )
    if bits != FIXED_BITS[form]:
        raise ConfigError(
            _("{scheme} has {own} bits, not {bits}.").format(
                scheme=form, own=FIXED_BITS[form], bits=bits
            )
        )
    return RowKey(form, bits)


class QuantRow(AccuracyRow):
    """One quantised network, measured; timed (`onnx_1`, `onnx_32`) if something computes in it."""

    scheme: Form
    bits: int
    training: Training = "none"
    epochs: int = 0
    """Of fine-tuning, before or while quantising."""
    params: int
    size_bytes: int
    """Of the file, as it was on the disk."""
    sqnr_db: float | None = None
    """Signal to quantisation noise over all quantised weights; None if none changed."""
    difference: tuple[float, float, float] | None = None
    """Accuracy minus that of the checkpoint in float32, same photographs, 95 % interval."""
    agreement: float | None = None
    """Share of the photographs to which both give the same answer."""
    operators: dict[str, int] = Field(default_factory=dict)
    """How many nodes of each kind the ONNX file has, for the forms that something computes in."""

    @property
    def key(self) -> RowKey:
        """What names this row."""
        return RowKey(self.scheme, self.bits, self.training, self.epochs)

    def report(self) -> dict[str, Any]:
        """The row as the command line gives it; the time is ONNX Runtime's, one picture at once."""
        return {
            "scheme": self.scheme,
            "bits": self.bits,
            "params": self.params,
            "size_bytes": self.size_bytes,
            "sqnr_db": self.sqnr_db,
            **self.measured("onnx_1"),
        }


class Comparison(Frozen):
    """Two rows on the same photographs: accuracy of a minus accuracy of b, paired."""

    a: RowKey
    b: RowKey
    n: int
    difference: float
    low: float
    high: float
    """95 % interval (Newcombe 1998)."""
    p: float
    """McNemar's exact test that both are equally often right."""


Part = Literal["weights", "variances", "means", "scales", "all_but_variances"]
"""Tensors of a state dict: weights of convolutions and linear layers; of BatchNorm, the running
variances, the running means, its scales and shifts; and all of them but the variances."""
PARTS: tuple[Part, ...] = get_args(Part)


class PartRow(Frozen):
    """A network of which only some tensors went through HW7's 8-bit file, the others exact."""

    part: Part
    values: int
    """Numbers in these tensors."""
    zeroed: int
    """Of those, how many the file rounds to 0 though they are not."""
    n: int
    correct: int
    difference: tuple[float, float, float]
    """Accuracy minus that of the checkpoint in float32, same photographs, 95 % interval."""


class QuantizationGrid(CheckpointRows[QuantRow]):
    """Everything measured of one checkpoint's quantised versions, and where."""

    kind = "quantization"
    command = "python -m core quantize-grid {name}"
    lists = ("rows", "comparisons")

    split: str = "testing"
    comparisons: tuple[Comparison, ...] = ()
    calibration: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Range of each activation, for static int8: with them it can be made without photographs."""
    calibrated_on: int = 0
    """Training photographs that the ranges come from."""
    hw7_parts: tuple[PartRow, ...] = ()
    """Which tensors HW7's 8-bit file loses its accuracy to, in the order of PARTS."""

    def form(self, form: Form) -> QuantRow | None:
        """The row of one of FIXED_BITS, without fine-tuning, if it was measured."""
        return self.row(RowKey(form, FIXED_BITS[form]))

    @property
    def float32(self) -> QuantRow | None:
        """The checkpoint as it is: what the others are compared with."""
        return self.form("float32")

    @property
    def tuned(self) -> list[QuantRow]:
        """Rows after fine-tuning of either kind."""
        return [row for row in self.rows if row.training != "none"]

    def of(self, scheme: Form) -> list[QuantRow]:
        """Rows of a scheme without fine-tuning, by falling bits."""
        rows = [row for row in self.rows if row.scheme == scheme and row.training == "none"]
        return sorted(rows, key=lambda row: -row.bits)

    def comparison(self, a: RowKey, b: RowKey) -> Comparison | None:
        """The comparison of these two rows, if it was made."""
        return next((pair for pair in self.comparisons if (pair.a, pair.b) == (a, b)), None)

    def hw7_part(self, part: Part) -> PartRow | None:
        """The row of that part, if it was measured."""
        return next((row for row in self.hw7_parts if row.part == part), None)

    @staticmethod
    def order(key: RowKey) -> tuple[Any, ...]:
        """Forms as listed, the widest first."""
        return (FORMS.index(key.scheme), -key.bits, *key[2:])


class QuantPoint(NamedTuple):
    """A point of the curves measured live; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    scheme: str
    """One of `core.quantization.method.SCHEMES`."""
    bits: int


RUNS: LiveRuns[QuantPoint, QuantRow] = LiveRuns(QuantRow, "core.quantization.measure:measure_live")
"""The line of this server."""
