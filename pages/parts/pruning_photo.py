"""A photo through one network, whole and pruned to three ratios."""

import streamlit as st

from core.charts import numbers
from core.charts.pruning import method_title
from core.charts.theme import role_of
from core.errors import CheckpointError, PhotoError
from core.photos import prepare
from core.serving.compare import Answer, bars_frame
from core.serving.pruned import PrunedPredictor
from core.words import _
from pages.parts.answer_bars import Bars, answer_bars
from pages.parts.answers import thumbnail
from pages.parts.photos import pick
from pages.parts.pruning_controls import Setting, chosen_masks, masks

CHOICES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
AT_MOST = 3


@st.cache_resource(max_entries=8, show_spinner=False)
def _predictor(id: str, sha256: str, method: str, ratio: float, _at: Setting) -> PrunedPredictor:
    groups = _at.grid.groups if _at.grid else ()
    return PrunedPredictor(id, chosen_masks(id, sha256, _at.method, ratio, groups))


def photo_check(at: Setting) -> None:
    """Choose a photo and up to three ratios; see where the answer tips over."""
    chosen = st.pills(
        _("Ratios to try, up to three (%)"),
        CHOICES,
        selection_mode="multi",
        default=[30, 60, 90],
        key="photo_ratios",
    )
    photos = pick(many=False)
    if not photos:
        st.caption(_("Drop a photo: it goes through the network whole, and pruned."))
        return
    ratios = [0.0, *(percent / 100 for percent in sorted(chosen)[:AT_MOST])]
    one = at.checkpoint
    try:
        if masks(at) is None:
            return
        image = photos[0].read()
        pixels = prepare(image, one.input_px, one.crop)[None]
        with st.spinner(_("Looking at {name} ...").format(name=photos[0].name)):
            logits = [
                _predictor(one.id, at.sha256, at.method, ratio, at).logits(pixels)[0]
                for ratio in ratios
            ]
    except (PhotoError, CheckpointError) as error:
        st.error(str(error), icon=":material/broken_image:")
        return
    said = _("The photo {name}").format(name=photos[0].name)
    st.image(thumbnail(image), caption=photos[0].caption, width=160, alt=said)
    answers = [bars_frame(Answer(one, each, 0.0)) for each in logits]
    answer_bars(
        [
            Bars(_("whole"), role_of(one.family, one.recipe), bars, "photo-0")
            if ratio == 0
            else Bars(
                _("{ratio} pruned").format(ratio=numbers.share(ratio)),
                "pruned",
                bars,
                f"photo-{ratio}",
            )
            for ratio, bars in zip(ratios, answers, strict=True)
        ],
        "pruning-photo",
    )
    whole = answers[0].iloc[0].food
    tipped = [
        ratio for ratio, bars in zip(ratios, answers, strict=True) if bars.iloc[0].food != whole
    ]
    st.markdown(
        _("**{method}**: the answer stays {food} at each of these ratios.").format(
            method=method_title(at.method), food=whole
        )
        if not tipped
        else _(
            "**{method}**: the whole network says {food}; from {ratio} on this list, not."
        ).format(method=method_title(at.method), food=whole, ratio=numbers.share(tipped[0]))
    )
