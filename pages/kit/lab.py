"""The visitor's lab report: kept in the session, filled where a guess or a measurement ends.

`guess` tells it what is guessed and what the answer was, `live` what was measured; what a page
measures in a way of its own, the page tells it. A photo only when the visitor asks for that.
"""

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, cast
from urllib.parse import urlencode

import streamlit as st
from PIL.Image import Image

from core.report import Answer, Measurement, Report
from pages.kit import url_state

Place = tuple[str, str, str]
"""Page, key of the question, and the settings that its answer depends on."""
MOST_SEEN = 2000
"""Answers seen that are remembered; of older ones a guess would count again."""

PICTURE_PX, PICTURE_BYTES = 128, 9_000
"""Of a photo in a report."""


def report() -> Report:
    """The report of this session as it is now."""
    return cast(Report, st.session_state.setdefault("lab_report", Report()))


def keep(changed: Report) -> None:
    """Put a changed report in the place of the session's."""
    st.session_state["lab_report"] = changed


def place_of(key: str, about: str) -> Place:
    """Where an answer or a measurement on this page is kept."""
    return url_state.page(), key, about[:500]


def answered(place: Place, question: str, choice: str | None) -> None:
    """The visitor has chosen an answer; "": looked at it without a guess; None: taken back.

    An answer that was seen before counts no more.
    """
    page, key, about = place
    if not page or place in _seen():
        return
    if choice is None:
        keep(report().without_answer(place))
        return
    new = Answer(
        page=page, key=key, about=about, link=_link(), when=datetime.now(UTC),
        question=_plain(question), said=_plain(choice),
    )  # fmt: skip
    keep(report().with_answer(new))


def saw(place: Place) -> None:
    """The answer stands on the screen."""
    seen = _seen()
    seen[place] = None
    while len(seen) > MOST_SEEN:
        del seen[next(iter(seen))]


def revealed(place: Place, is_right: bool, truth: str) -> None:
    """What was guessed there was right or not, and the answer in words."""
    old = report().answer(place)
    if old is not None and not old.is_final:
        keep(report().revealed(place, is_right, _plain(truth)))


def is_measured(key: str, about: str) -> bool:
    """Whether that measurement of this page is in the report."""
    place = place_of(key, about)
    return any(each.place == place for each in report().measured)


def measured(
    key: str,
    about: str,
    result: str,
    when: float,
    settings: Mapping[str, Any],
    values: Mapping[str, Any],
    picture: str = "",
) -> None:
    """Something was measured on this page, at `when` (seconds since the epoch).

    `about` and `settings`: with which settings, in one line and by name. `values`: the figures;
    what is no finite number is left out. `picture`: of `small_jpeg`, if the visitor wants it kept.
    """
    page, key, about = place_of(key, about)
    at = datetime.fromtimestamp(when, UTC)
    if not page or any(e.place == (page, key, about) and e.when == at for e in report().measured):
        return
    figures = {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    new = Measurement(
        page=page, key=key, about=about, link=_link(), when=at, result=_plain(result),
        settings={name: str(value)[:200] for name, value in settings.items()}, values=figures,
        picture=picture,
    )  # fmt: skip
    keep(report().with_measurement(new))


def small_jpeg(photo: Image) -> str:
    """A photo as a report keeps it: at most 128 px, JPEG without what a camera notes, base64."""
    small = photo.convert("RGB")
    small.thumbnail((PICTURE_PX, PICTURE_PX))
    small.info.clear()
    for quality in (80, 50, 20):
        small.save(file := BytesIO(), "JPEG", quality=quality)
        if len(file.getvalue()) <= PICTURE_BYTES:
            break
    return b64encode(file.getvalue()).decode()


def _seen() -> dict[Place, None]:
    """The answers that this session has seen, the oldest first."""
    return cast(dict[Place, None], st.session_state.setdefault("lab_seen", {}))


def _link() -> str:
    """This page with its settings; without them where they are very long."""
    query = urlencode(url_state.settings(), doseq=True)
    return f"{url_state.page()}?{query}" if 0 < len(query) <= 2000 else url_state.page()


def _plain(text: str) -> str:
    """A text of a page without Markdown's marks, no longer than a report takes it."""
    return re.sub(r"\*\*|`|:[a-z/_]+:", "", text).strip()[:500]
