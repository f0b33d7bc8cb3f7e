"""Architecture: any network laid open, two side by side, or one of your own within a budget."""

import inspect

import streamlit as st

from core.charts import numbers
from core.course import PARAM_LIMITS
from core.models import described, design_cost
from core.models.design_cost import layer_rows, totals
from core.models.summary_text import summary_mb
from core.words import _
from pages.parts import address, architecture_modes, contents
from pages.parts.foot import foot

st.title(contents.entry("architecture").question)
st.markdown(
    _(
        "A network is a stack of layers, and its parameters, its work and its memory rarely sit in "
        "the same ones. Open one, put two side by side, or design a student that fits a budget."
    )
)

MODES = {
    "look": (_("Look inside"), architecture_modes.look),
    "compare": (_("Side by side"), architecture_modes.side_by_side),
    "design": (_("Design one"), architecture_modes.design),
}
mode = address.choose(
    st.segmented_control,
    _("What to do"),
    list(MODES),
    "look",
    "mode",
    required=True,
    format_func=lambda key: MODES[key][0],
    label_visibility="collapsed",
)
frame = MODES[mode][1]()

with st.expander(_("Why: counting a layer"), icon=":material/function:"):
    st.latex(
        r"\text{params} = C_\text{out}\,\frac{C_\text{in}}{g}\,k^2 + C_\text{out} \qquad "
        r"\text{MACs} = H\,W\,C_\text{out}\,\frac{C_\text{in}}{g}\,k^2"
    )
    st.latex(r"r' = r + (k - 1)\,j \qquad j' = s\,j")
    st.markdown(
        _(
            "$C_\\text{in}$, $C_\\text{out}$: channels in and out; $k$: kernel; $g$: groups; "
            "$H$, $W$: sides of the output map; the last $C_\\text{out}$ are the biases. Halving "
            "the map quarters the MACs and leaves the parameters; doubling the channels "
            "quadruples both. $r$ is the receptive field, $j$ the distance in the photo between "
            "two neighbouring values, $s$ the stride (Araujo et al. 2019). This counts a "
            "convolution here:"
        )
    )
    st.code(inspect.getsource(design_cost.count_conv), language="python")

with st.expander(_("Trap: torchsummary sees modules, and touches them"), icon=":material/warning:"):
    student = described.describe("hw13_residual")
    assert student.design is not None
    listed = student.design.model_copy(update={"functional": False})
    tables = [(layer_rows(one), one.input_px) for one in (student.design, listed)]
    (few, quiet), (many, loud) = ((len(rows), summary_mb(rows, px)[1]) for rows, px in tables)
    st.markdown(
        _(
            "**It lists modules only.** HW13's residual student writes some activations as "
            "function calls: {few} rows, and {quiet} MB for its forward and backward pass. The "
            "very same network with these written as modules: {many} rows, {loud} MB. Same "
            "parameters ({params}), same answers. So compare torchsummary's parameters, never its "
            "memory. Try it: open the student in the designer and turn “function calls” off."
        ).format(
            few=few,
            many=many,
            quiet=numbers.count(round(quiet)),
            loud=numbers.count(round(loud)),
            params=numbers.count(totals(tables[0][0]).params),
        )
    )
    st.markdown(
        _(
            "**It runs the network.** In train mode that run, on random noise, changes "
            "BatchNorm's running statistics: a public report saw a teacher fall from 0.8714 to "
            "about 0.861 by being summarised. Say `model.eval()` first. The tables on this page "
            "are counted, not run; to print one of a built network safely: "
            "`python -m core summary {key}`."
        ).format(key=student.key)
    )

with st.expander(_("From the homework: HW7 Q1 and Q4, HW13 Q1"), icon=":material/school:"):
    st.markdown(
        _(
            "**HW13 Q1: draw your student and paste its torchsummary.** *Design one* draws it and "
            "prints the table; the limit is {limit} parameters ({strict} in 2023), torchsummary's "
            "total counts, and over the limit scores 0. The sample student and a report's residual "
            "student are in the list."
        ).format(
            limit=numbers.count(PARAM_LIMITS["HW13 2022"]),
            strict=numbers.count(PARAM_LIMITS["HW13 2023"]),
        )
    )
    big, small = (totals(layer_rows(described.describe(key).parts, 128)).params
                  for key in ("plain_2m", "dwpw_256k"))  # fmt: skip
    st.markdown(
        _(
            "**HW7 Q1: what does depthwise + pointwise save?** *Side by side*, as it opens: "
            "{big} against {small} parameters, {times}. **HW7 Q4: three networks of about 1 MB**, "
            "plain, depthwise + pointwise and group: open each, and see where each spends it."
        ).format(
            big=numbers.count(big), small=numbers.count(small), times=numbers.ratio(big / small)
        )
    )

st.caption(_("All counts are exact and made here; the accuracies asked for are the course's own."))
foot("architecture", frame)
