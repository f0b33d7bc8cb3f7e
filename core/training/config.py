"""What a training run is: one validated, frozen object that is the command line, the run's JSON,
the key by which identical runs are recognised, and (later) a link. Imports no torch."""

import hashlib
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.errors import UserError
from core.models.design.plans import fits
from core.models.registry import PREFIX, as_key

Policy = Literal["none", "light", "standard", "strong"]
Select = Literal["best", "last"]
Precision = Literal["auto", "float32", "bfloat16"]


class TrainConfig(BaseModel):
    """Settings of one run: from scratch, fine-tuned, or distilled from a teacher."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str = "dwpw_256k"
    """Network to train: a key of `python -m core models`."""
    teacher: str = ""
    """Checkpoint that teaches, as `python -m core check` lists them; empty for labels alone."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Weight of the teacher's soft answers in the loss, 0 to 1; the labels get 1 - alpha."""
    temperature: float = Field(4.0, gt=0, le=100)
    """Temperature T that softens teacher and student alike."""
    pretrained: bool = False
    """Start from ImageNet weights, for networks that have them."""
    start_from: str = ""
    """Start from the weights of this checkpoint or run (its name or folder)."""
    epochs: int = Field(60, ge=1, le=10_000)
    """Passes over the training photographs."""
    batch_size: int = Field(64, ge=2, le=4096)
    """Photographs per step."""
    lr: float = Field(2e-3, gt=0, le=1)
    """Highest learning rate (AdamW): warmed up linearly, then lowered along a cosine to 0."""
    weight_decay: float = Field(0.02, ge=0, le=1)
    """AdamW's weight decay, on convolution and linear weights only."""
    warmup_epochs: float = Field(2.0, ge=0)
    """Epochs over which the learning rate rises; in a run of no more epochs than the two that are
    usual, over half of it."""
    clip_norm: float = Field(10.0, gt=0)
    """Largest gradient norm; longer gradients are shortened to it (the course's value)."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the label's weight spread over all classes."""
    mixup: float = Field(0.0, ge=0, le=10)
    """Beta parameter of mixup; 0 mixes nothing. Common values: 0.1 to 0.4."""
    augment: Policy = "standard"
    """How far photographs are cropped, turned, recoloured: none, light, standard or strong."""
    views: int = Field(0, ge=0, le=10_000)
    """Number of different views of each photograph, taken in turn, shared by all seeds. The teacher
    answers each view once and its answers are kept. 0: a fresh view every epoch."""
    teacher_int8: bool = Field(False, exclude_if=lambda value: not value)
    """The teacher answers in int8 where ONNX Runtime asks it (on a processor): 2 to 3 times as fast
    for an EfficientNet. The activations' ranges come from 128 of the training photographs."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Keep a moving average of the weights with this decay per step, and use it; 0 for none."""
    px: int = Field(128, ge=32, le=512, multiple_of=16)
    """Side of the square picture the network sees."""
    start_px: int = Field(0, ge=0, le=512)
    """Side in the first epoch, growing to `px` over two thirds of them; 0 for `px` throughout."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of the training photographs to use, the same in every class."""
    more_data: str = Field("", exclude_if=lambda value: not value)
    """Folder of further photographs to learn from, or a variable that names it: their training
    split only. Validation and test stay those of `data`."""
    more_share: float = Field(1.0, gt=0, le=1, exclude_if=lambda value: value == 1)
    """Share of those further photographs that an epoch uses, drawn anew for each view."""
    select: Select = "best"
    """Keep the epoch that is best on the validation split, or the last one."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the weights, the order, the views and dropout."""
    precision: Precision = "auto"
    """Number format of the forward pass; auto measures which is faster on this device."""
    data: str = ""
    """Folder with the photographs, or a variable that names it, instead of FOOD11_ROOT; `dreams`
    for those that the teacher dreamed."""

    @field_validator("model")
    @classmethod
    def _as_typed(cls, name: str) -> str:
        return as_key(name)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.start_px and (self.start_px < 32 or self.start_px > self.px):
            raise ValueError(f"start_px must be between 32 and px ({self.px}), or 0")
        if self.pretrained and self.start_from:
            raise ValueError("pretrained and start_from both name a start: choose one")
        self._check_design()
        usual = type(self).model_fields["warmup_epochs"].default
        if self.warmup_epochs >= self.epochs and self.warmup_epochs != usual:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be under epochs ({self.epochs})"
            )
        return self

    def _check_design(self) -> None:
        smallest = self.start_px or self.px
        if not self.model.startswith(PREFIX):
            return
        try:
            is_enough = fits(self.model, smallest)
        except UserError as error:
            raise ValueError(str(error)) from None
        if not is_enough:
            raise ValueError(
                f"pictures of {smallest} px are too small for this design: it shrinks them to "
                "nothing"
            )

    @property
    def warmup(self) -> float:
        """Epochs of warm-up: as configured, or half of a run that is over before it would be."""
        return self.warmup_epochs if self.warmup_epochs < self.epochs else self.epochs / 2

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this configuration."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def px_at(self, epoch: int) -> int:
        """Side of the pictures in an epoch (counted from 0): a multiple of 16, ends at `px`."""
        if not self.start_px:
            return self.px
        grown = min(1.0, epoch / max(1, self.epochs * 2 // 3))
        side = self.start_px + grown * (self.px - self.start_px)
        return self.px if grown == 1 else int(side) // 16 * 16
