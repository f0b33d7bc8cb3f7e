"""The distillation page in words: the numbers on the screen, the formula, the homework."""

import numpy as np
import streamlit as st

from core.charts import numbers
from core.compression.written import source_of
from core.course import CLASSES
from core.serving.kd_parts import large_t_gradient, lengths, take_apart
from core.words import _, food_class
from pages.parts.example import Example

ALPHA = 0.5
HOT = 20.0


def what_you_see(shown: Example, label: int) -> None:
    """Both terms of this picture in numbers, at the settings the homeworks use."""
    teacher, student = shown.logits
    plain, warm = (take_apart(student, teacher, label, ALPHA, t) for t in (1.0, 4.0))
    st.markdown(
        _(
            "With nothing added to a logit: at T = 1 and alpha = 0.5, HW13's setting, the hard "
            "loss is {hard}, the soft loss {soft}, the sum of their halves **{total}**. At T = 4 "
            "the soft loss is {warm}; the hard one does not know T."
        ).format(
            hard=f"{plain.hard:.2f}",
            soft=f"{plain.soft:.2f}",
            total=f"{plain.total:.2f}",
            warm=f"{warm.soft:.2f}",
        )
    )
    others = np.abs(np.where(np.arange(len(CLASSES)) == label, 0, warm.soft_gradient))
    other = int(others.argmax())
    pull = _("lowers") if warm.soft_gradient[other] > 0 else _("raises")
    st.markdown(
        _(
            "**The label** speaks of one class: it raises {food} and lowers the other ten by what "
            "the student gives them. **The teacher** has an opinion on each: at T = 4, besides "
            "{food}, it says most about {other}, whose logit it {pull}: soft gradient {soft}, hard "
            "gradient {hard}. Where both bars of a row point apart, label and teacher disagree, "
            "and alpha decides."
        ).format(
            food=food_class(CLASSES[label]),
            other=food_class(CLASSES[other]),
            pull=pull,
            soft=f"{warm.soft_gradient[other]:+.3f}",
            hard=f"{warm.hard_gradient[other]:+.3f}",
        )
    )
    hot = lengths(student, teacher, label, HOT)
    st.markdown(
        _(
            "At T = 20 the soft gradient is {soft} long and the hard one {hard}. Without T² the "
            "soft one would be {bare}: 400 times shorter, so that alpha = 0.5 would mean "
            "{share} teacher. T² keeps alpha's meaning whatever T."
        ).format(
            soft=f"{hot.soft:.3g}",
            hard=f"{hot.hard:.3g}",
            bare=f"{hot.without_t2:.2g}",
            share=numbers.share(hot.without_t2 / max(hot.without_t2 + hot.hard, 1e-12)),
        )
    )


def why(shown: Example) -> None:
    """The loss, its gradient, and the function that trains the students here."""
    st.latex(
        r"L = \alpha\, T^2\, \mathrm{KL}\big(p \,\|\, q\big) + (1 - \alpha)\, "
        r"\mathrm{CE}(z, y), \qquad p = \mathrm{softmax}(v / T),\; q = \mathrm{softmax}(z / T)"
    )
    st.latex(
        r"\frac{\partial L}{\partial z_i} = \alpha\, T\, (q_i - p_i) + "
        r"(1 - \alpha)\,\big(\mathrm{softmax}(z)_i - [i = y]\big)"
    )
    st.markdown(
        _(
            "$v$ are the teacher's logits, $z$ the student's, $y$ the label, $\\alpha$ the weight "
            "of the teacher. $\\mathrm{KL}(p \\| q) = \\sum_i p_i \\ln (p_i / q_i)$: how many nats "
            "$q$ wastes where $p$ is the truth; never negative, and 0 only for $q = p$. Its "
            "gradient carries $1/T$ from $z/T$, and $q_i - p_i$ itself shrinks as $1/T$: hence "
            "$T^2$ (Hinton, Vinyals & Dean 2015)."
        )
    )
    teacher, student = shown.logits
    far = large_t_gradient(student, teacher)
    top = int(np.abs(far).argmax())
    near = take_apart(student, teacher, 0, 1.0, HOT).soft_gradient[top]
    st.markdown(
        _(
            "For large $T$ the soft gradient becomes $(z_i - v_i)/11$ for centred logits: "
            "distilling is then matching logits. Here, for {food}: {near} at T = 20, {far} in the "
            "limit."
        ).format(food=food_class(CLASSES[top]), near=f"{near:+.3f}", far=f"{far[top]:+.3f}")
    )
    st.markdown(_("The function that trains the students of this app:"))
    st.code(source_of("core.compression.distill", "loss_fn_kd"), language="python", wrap_lines=True)


def homework() -> None:
    """Where the course's two questions are answered on this page."""
    st.markdown(
        _(
            "**HW13 Q2.1** asks for `loss_fn_kd` with alpha = 0.5 and T = 1. It stands under "
            "*Why*, with mixup and label smoothing besides. At T = 1 the factor T² is 1: who "
            "leaves it out notices nothing until T changes. One answer handed in got 0.25 of 0.5 "
            "points: it gives `nn.KLDivLoss` softmax probabilities where log-probabilities belong. "
            "That line runs as the first trap; a reader of the report could tell only from the "
            "loss going wrong."
        )
    )
    st.markdown(
        _(
            "**HW7 Q2** asks what distillation brings. That report's own figures, on its own split "
            "of Food-11: the depthwise student 0.71010 without a teacher, 0.83801 with one, and a "
            "teacher of 88.41 % hardly taught better than one of 80.09 %. They were one run each "
            "and do not belong in a column with ours: see *Does distillation help?* above. Its "
            "reference setting is T = 20, alpha = 0.5: drag the slider there."
        )
    )
