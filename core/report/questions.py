"""The homeworks' questions that a report answers, and which page shows what each is about."""

from typing import Literal

from core.i18n import _

QuestionKey = Literal[
    "HW7 Q1", "HW7 Q2", "HW7 Q4", "HW13 Q1", "HW13 Q2.1", "HW13 Q2.2", "HW13 Q3.1", "HW13 Q3.2",
]  # fmt: skip


QUESTIONS: dict[QuestionKey, tuple[str, ...]] = {
    "HW7 Q1": ("low_rank", "pruning", "quantization", "results"),
    "HW7 Q2": ("training", "distillation", "results"),
    "HW7 Q4": ("convolutions", "results"),
    "HW13 Q1": ("architecture", "training"),
    "HW13 Q2.1": ("distillation",),
    "HW13 Q2.2": ("temperature",),
    "HW13 Q3.1": ("pruning",),
    "HW13 Q3.2": ("pruning",),
}
"""Question -> pages on which its answer can be seen, the first one first."""

_BELONGS: dict[str, QuestionKey] = {
    "low_rank": "HW7 Q1",
    "quantization": "HW7 Q1",
    "results": "HW7 Q1",
    "training": "HW7 Q2",
    "convolutions": "HW7 Q4",
    "architecture": "HW13 Q1",
    "distillation": "HW13 Q2.1",
    "temperature": "HW13 Q2.2",
    "pruning": "HW13 Q3.1",
    "pruning guess_speed": "HW13 Q3.2",
}
"""Page, or page and key of a guess -> the question that it is put under."""


def question_of(page: str, key: str) -> QuestionKey | None:
    """The question under which a guess or a measurement of that page stands, if any."""
    return _BELONGS.get(f"{page} {key}") or _BELONGS.get(page)


def question_text(key: QuestionKey) -> str:
    """The question, in the language of the session."""
    return {
        "HW7 Q1": _(
            "Compress one big model by two methods (pruning, quantisation, knowledge distillation, "
            "low-rank approximation) to the same size, and compare their accuracy."
        ),
        "HW7 Q2": _(
            "How much does knowledge distillation help a student, and does a better teacher help "
            "more?"
        ),
        "HW7 Q4": _(
            "Compare three networks of about 1 MB: plain convolutions, depthwise + pointwise, "
            "group convolutions."
        ),
        "HW13 Q1": _(
            "Draw your student of at most 100,000 parameters, and paste its torchsummary."
        ),
        "HW13 Q2.1": _("Write loss_fn_kd with alpha = 0.5 and T = 1."),
        "HW13 Q2.2": _("Does a higher temperature give a softer or a harder distribution?"),
        "HW13 Q3.1": _(
            "Plot pruning ratio against accuracy, pruning the weight of every nn.Conv2d (L1), "
            "teacher and student."
        ),
        "HW13 Q3.2": _("Does that pruning reduce the inference time?"),
    }[key]
