"""A checkpoint's entry in the manifest: validated, frozen, and enough to measure it all again."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from core.models.registry import short_name
from core.photos import CROP
from core.stats import Score

if TYPE_CHECKING:
    from core.data.pixels import Pixels

WEIGHTS, GRAPH, TEST_LOGITS = "weights.safetensors", "model.onnx", "test_logits.safetensors"

Bytes = bytes  # FileInfo has a field of that name

# Both become parts of paths: lower case for file systems that fold it, no way out of the folder.
CheckpointId = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*(?:[.-][a-z0-9_]+)*$", max_length=100)
]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(?:\.[a-z0-9_]+)+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileInfo(_Entry):
    """What a file must be: its SHA-256 and its length."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]

    @classmethod
    def of(cls, data: Bytes) -> Self:
        """What a file with these bytes is."""
        return cls(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


class FurtherData(_Entry):
    """Photographs that were learned from beside those of the data set measured on."""

    name: str
    fingerprint: str
    is_food11: bool
    training: int = Field(ge=0)


class DataInfo(_Entry):
    """The photographs a checkpoint was trained and measured on; counts are readable pictures."""

    name: str
    fingerprint: str
    is_food11: bool
    training: int = Field(ge=0)
    validation: int = Field(ge=0)
    testing: int = Field(ge=0)
    more: FurtherData | None = Field(default=None, exclude_if=lambda more: more is None)
    """Photographs of another set that it learned from too, and was never measured on."""

    @property
    def learned_from(self) -> int:
        """How many photographs it learned from, those of another set too."""
        return self.training + (self.more.training if self.more else 0)

    @classmethod
    def of(cls, pixels: "Pixels") -> Self:
        """What a loaded data set says of itself."""
        index = pixels.index
        return cls(
            name=index.name,
            fingerprint=index.fingerprint,
            is_food11=index.is_food11,
            training=len(pixels.split("training")),
            validation=len(pixels.split("validation")),
            testing=len(pixels.split("testing")),
        )


class HalfPrecision(_Entry):
    """The validation pictures' verdict on rounding the weights to float16."""

    n: int
    correct_float32: int
    correct_float16: int
    agreement: float = Field(ge=0, le=1)
    """Share of pictures on which both give the same class."""


Derivation = Literal["pruned", "narrow", "factored", "quantised"]
"""Weights zeroed, channels cut out, layers factored, weights of few bits."""


class DerivedFrom(_Entry):
    """Of which network this one is a version, and how it was made from it.

    A version shares the training of the network it was made from: it is no second training.
    """

    id: str | None
    """The other network's checkpoint; None where nothing says which one it was."""
    kind: Derivation
    """What was done last."""

    @classmethod
    def told_by(
        cls, config: Mapping[str, Any], widths: Mapping[str, Any], ranks: Mapping[str, Any]
    ) -> Self | None:
        """What an entry without the field says: its settings, and shapes that are not its model's.

        None for a network that was trained.
        """
        kinds: dict[str, Derivation] = {
            "quantised_from": "quantised",
            "factored_from": "factored",
            "pruned_from": "narrow" if config.get("form") == "narrow" else "pruned",
        }
        for key, kind in kinds.items():
            if config.get(key):
                return cls(id=str(config[key]), kind=kind)
        if not widths and not ranks:
            return None
        start = PurePath(str(config.get("start_from") or "")).name
        return cls(id=start or None, kind="factored" if ranks else "narrow")


class Checkpoint(_Entry):
    """One trained network, where it came from and what it measured."""

    id: CheckpointId
    model: str
    """Key of `core.models.registry`."""
    family: str
    recipe: str
    title: str
    teacher: str | None = None
    """Id of the checkpoint it was distilled from."""
    derived_from: DerivedFrom | None = None
    """Set for a version of another network (pruned, narrow, factored, of few bits): it enters no
    comparison of trainings. None for a network that was trained."""
    seed: int
    epochs: int = Field(ge=0)
    input_px: int = Field(gt=0)
    """Side of the square it was trained and measured at."""
    crop: float = Field(default=CROP, gt=0, le=1, exclude_if=lambda crop: crop == CROP)
    """What that is of a picture's centre square: a share of its side (`ModelSpec.crop`)."""
    params: int = Field(ge=0)
    macs: int = Field(ge=0)
    """Multiply-accumulates for one picture at `input_px`."""
    size_bytes: int = Field(gt=0)
    """Length of the weights file."""
    weights_dtype: Literal["float16", "float32"]
    """How convolution and linear weights are stored; the rest is float32."""
    half_precision: HalfPrecision | None = None
    """Why `weights_dtype` is what it is; None where there was nothing to compare on."""
    files: dict[FileName, FileInfo]
    data: DataInfo
    validation: Score | None = None
    test: Score | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    widths: dict[str, tuple[int, ...]] = Field(
        default_factory=dict, exclude_if=lambda widths: not widths
    )
    """Layers narrower than the model's, if channels were cut out (`core.checkpoints.widths`)."""
    ranks: dict[str, tuple[int, ...]] = Field(
        default_factory=dict, exclude_if=lambda ranks: not ranks
    )
    """Layers that are factored, and how far (`core.checkpoints.ranks`)."""
    commit: str | None = None
    date: str
    device: str
    wall_s: float = Field(ge=0)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file, part of every cache key; "" where the entry lists none."""
        return self.files[WEIGHTS].sha256 if WEIGHTS in self.files else ""

    def version_id(self, recipe: str, own: bool = False) -> str:
        """The id for a version of this network made by `recipe`: `<model>-<recipe>-s<seed>`.

        A run of this machine has digits of its own in its id; they follow, so that no version of
        it takes the place of another run's, or of a shipped one. `own`: the version is kept on
        this machine; `-own` follows where no digits do.
        """
        model = short_name(self.model)
        plain = f"{model}-{self.recipe}-s{self.seed}"
        mark = "-own" if own else ""
        if self.id != plain:
            mark = f"-{self.id.rpartition('-')[2]}"
        return f"{model}-{recipe}-s{self.seed}{mark}"


def method_name(method: str, share: float) -> str:
    """A method and its share in percent as a part of an id: `bn_gamma22p6`, `l1_90`."""
    percent = f"{100 * share:.3g}".replace(".", "p")
    return f"{method}_{percent}" if method[-1].isdigit() else f"{method}{percent}"
