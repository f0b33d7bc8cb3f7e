"""A photo through one network: whole, at lower rank, and at lower rank after fine-tuning."""

from typing import Protocol

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.compression.lowrank_plan import ranks_for_energy
from core.compression.lowrank_shapes import Method, Ranks
from core.errors import CheckpointError, PhotoError
from core.photos import prepare
from core.serving.compare import Answer, bars_frame
from core.serving.lowrank import FactoredPredictor
from core.serving.predict import predictor
from core.words import _
from pages.parts.answer_bars import Bars, answer_bars
from pages.parts.answers import thumbnail
from pages.parts.low_rank_controls import Setting, Whole, layers_of
from pages.parts.photos import pick

CHOICES = (95, 90, 80, 70, 60, 50, 40, 30)
AT_MOST = 2


class _Asked(Protocol):
    """Any network that answers."""

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]: ...


@st.cache_resource(max_entries=8, show_spinner=False)
def _predictor(id: str, sha256: str, method: Method, energy: float) -> FactoredPredictor:
    layers = layers_of(id, sha256)
    ranks: Ranks = ranks_for_energy(layers.shapes, layers.parts, method, energy)
    return FactoredPredictor(id, ranks, layers.parts)


def photo_check(at: Setting, how: Whole, found: list[Checkpoint]) -> None:
    """Choose a photo and energies; see where the answer tips over, and what training repairs."""
    chosen = st.pills(
        _("Energies to try, up to two (%)"),
        CHOICES,
        selection_mode="multi",
        default=[80, 50],
        key="photo_energies",
    )
    photos = pick(many=False)
    if not photos:
        st.caption(_("Drop a photo: it goes through the network whole, and factored."))
        return
    one = at.checkpoint
    tuned = [each for each in found if each.config.get("factored_from") == one.id
             and each.config.get("finetune_epochs")][:1]  # fmt: skip
    energies = [percent / 100 for percent in sorted(chosen, reverse=True)[:AT_MOST]]
    try:
        image = photos[0].read()
        with st.spinner(_("Looking at {name} ...").format(name=photos[0].name)):
            answers = _answers(
                at, how, energies, tuned, prepare(image, one.input_px, one.crop)[None]
            )
    except (PhotoError, CheckpointError) as error:
        st.error(str(error), icon=":material/broken_image:")
        return
    st.image(thumbnail(image), width=160, alt=_("The photo {name}").format(name=photos[0].name))
    bars = {name: bars_frame(answer) for name, answer in answers.items()}
    first = next(iter(bars))
    answer_bars(
        [
            Bars(
                name,
                role_of(one.family, one.recipe) if name == first else "factored",
                frame,
                f"photo-{name}",
            )
            for name, frame in bars.items()
        ],
        "low-rank-photo",
    )
    said = {name: str(frame.iloc[0].food) for name, frame in bars.items()}
    whole, *rest = said.items()
    other = [name for name, food in rest if food != whole[1]]
    st.markdown(
        _("The whole network says {food}; something else: {names}.").format(
            food=whole[1], names=", ".join(other)
        )
        if other
        else _("All say {food}.").format(food=whole[1])
    )


def _answers(
    at: Setting,
    how: Whole,
    energies: list[float],
    tuned: list[Checkpoint],
    pixels: NDArray[np.uint8],
) -> dict[str, Answer]:
    one = at.checkpoint
    asked: dict[str, _Asked] = {_("whole"): predictor(one.id)}
    for energy in energies:
        name = _("{energy} of the energy").format(energy=numbers.share(energy))
        asked[name] = _predictor(one.id, at.sha256, how.method, energy)
    for each in tuned:
        name = _("{energy} and fine-tuned").format(energy=numbers.share(each.config["energy"]))
        asked[name] = predictor(each.id)
    return {name: Answer(one, network.logits(pixels)[0], 0.0) for name, network in asked.items()}
