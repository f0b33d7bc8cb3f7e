"""A photo through one network: in float32, and at fewer and fewer bits."""

import streamlit as st

from core.charts.quantization import scheme_title
from core.charts.quantization_words import bits_text
from core.charts.theme import role_of
from core.errors import PhotoError, UserError
from core.photos import prepare
from core.serving.compare import Answer, bars_frame
from core.serving.quantized import quantized_predictor
from core.words import _
from pages.parts.answer_bars import Bars, answer_bars
from pages.parts.answers import thumbnail
from pages.parts.photos import pick
from pages.parts.quantization_controls import Setting

CHOICES = (1, 2, 3, 4, 5, 6, 8)
AT_MOST = 3
WHOLE = 32


def photo_check(at: Setting) -> None:
    """Choose a photo and up to three numbers of bits; see where the answer tips over."""
    chosen = st.pills(
        _("Bits to try, up to three"),
        CHOICES,
        selection_mode="multi",
        default=[2, 4, 8],
        key="photo_bits",
    )
    photos = pick(many=False)
    if not photos:
        st.caption(_("Drop a photo: it goes through the network in float32, and at fewer bits."))
        return
    tried = [WHOLE, *sorted(chosen, reverse=True)[:AT_MOST]]
    one = at.checkpoint
    try:
        image = photos[0].read()
        pixels = prepare(image, one.input_px, one.crop)[None]
        with st.spinner(_("Looking at {name} ...").format(name=photos[0].name)):
            logits = [
                quantized_predictor(one.id, "float32" if bits == WHOLE else at.scheme, bits).logits(
                    pixels
                )[0]
                for bits in tried
            ]
    except (PhotoError, UserError) as error:
        st.error(str(error), icon=":material/broken_image:")
        return
    said = _("The photo {name}").format(name=photos[0].name)
    st.image(thumbnail(image), caption=photos[0].caption, width=160, alt=said)
    answers = [bars_frame(Answer(one, each, 0.0)) for each in logits]
    answer_bars(
        [
            Bars(_("float32"), role_of(one.family, one.recipe), bars, f"photo-{bits}")
            if bits == WHOLE
            else Bars(bits_text(bits), "quantised", bars, f"photo-{bits}")
            for bits, bars in zip(tried, answers, strict=True)
        ],
        "quantisation-photo",
    )
    whole = answers[0].iloc[0].food
    tipped = [bits for bits, bars in zip(tried, answers, strict=True) if bars.iloc[0].food != whole]
    st.markdown(
        _("**{scheme}**: the answer stays {food} at each of these.").format(
            scheme=scheme_title(at.scheme), food=whole
        )
        if not tipped
        else _("**{scheme}**: in float32 it is {food}; from {bits} on this list, not.").format(
            scheme=scheme_title(at.scheme), food=whole, bits=bits_text(tipped[0])
        )
    )
