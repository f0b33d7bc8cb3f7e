"""The training form's settings in the address bar: a preset, and whatever differs from it.

A link may hold anything. Streamlit's own `bind="query-params"` falls over numbers such as 1e999;
here a value counts only if its control could have shown it, and is left out otherwise.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from core.recipes import LESSON
from core.recipes import preset as preset_settings
from core.training.config import TrainConfig

SIDES = (32, 48, 64, 96, 128, 160, 192, 224)
"""What the menu offers; a link may name another of ANY_SIDE, as a design of one's own does."""
ANY_SIDE = range(32, 513, 16)
BATCHES = (16, 32, 64, 128, 256)
AUGMENT = ("none", "light", "standard", "strong")
MOST_EPOCHS = 300
SEEDS = (0, 1, 2, 3, 4)
DREAMED = "learns_from_dreams"
"""Session state: whether there are dreams only, for which presets say otherwise."""
ANSWERED = "browser_answered"
"""Session state: the browser has drawn this page to its end."""

_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,12})?(e-[0-9]{1,2})?", re.ASCII)


class Setting(NamedTuple):
    """How a setting is read from a link (None: it cannot be) and written into one."""

    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


def _whole(low: int, high: int) -> Setting:
    def read(text: str) -> int | None:
        is_number = re.fullmatch("[0-9]{1,6}", text, re.ASCII)
        return int(text) if is_number and low <= int(text) <= high else None

    return Setting(read)


def _real(low: float, high: float) -> Setting:
    def read(text: str) -> float | None:
        return float(text) if _NUMBER.fullmatch(text) and low <= float(text) <= high else None

    return Setting(read, lambda value: f"{value:.12g}")


def _one(options: Sequence[Any]) -> Setting:
    by_text = {str(option): option for option in options}
    return Setting(by_text.get)


def _some(options: Sequence[int]) -> Setting:
    by_text = {str(option): option for option in options}

    def read(text: str) -> list[int] | None:
        words = text.split(".", len(options))
        sound = len(set(words)) == len(words) and all(word in by_text for word in words)
        return sorted(by_text[word] for word in words) if sound else None

    return Setting(read, lambda chosen: ".".join(map(str, sorted(chosen))))


SETTINGS: Mapping[str, Setting] = {
    "alpha": _real(0, 1),
    "T": _real(1, 20),
    "mixup": _real(0, 1),
    "epochs": _whole(1, MOST_EPOCHS),
    "px": _one(ANY_SIDE),
    "share": _whole(5, 100),
    "seeds": _some(SEEDS),
    "batch_size": _one(BATCHES),
    "lr": _real(1e-5, 0.1),
    "augment": _one(AUGMENT),
    "pretrained": Setting({"yes": True}.get, lambda _on: "yes"),
}
"""Session state key, which is also the parameter's name -> how it travels."""


def settings_of(preset: str) -> dict[str, Any]:
    """The preset's settings, for what there is to learn from."""
    return preset_settings(preset, bool(st.session_state.get(DREAMED)))


def defaults(preset: str) -> dict[str, Any]:
    """What the controls show under a preset before anything is touched."""
    plain, chosen = TrainConfig(), settings_of(preset)
    names = ("px", "epochs", "batch_size", "lr", "mixup", "augment")
    return {name: chosen.get(name, getattr(plain, name)) for name in names} | {
        "share": round(100 * chosen.get("share", 1.0)),
        "alpha": LESSON["alpha"],
        "T": LESSON["temperature"],
        "seeds": [0],
        "pretrained": False,
    }


def fill(preset: str) -> None:
    """Give the controls that belong to a preset its values, before they are drawn."""
    kept = ("alpha", "T", "seeds", "pretrained")
    for name, value in defaults(preset).items():
        if name not in kept or name not in st.session_state:
            st.session_state[name] = value


def take_up(preset: str) -> None:
    """At the session's first look: the preset, and what the link says otherwise."""
    fill(preset)
    for name, setting in SETTINGS.items():
        value = setting.read((st.query_params.get_all(name) or [""])[0])
        if value is not None:
            st.session_state[name] = value


def hold() -> None:
    """Before the controls are drawn: tell the browser their values again until it has answered.

    A first run may be lost on its way (a server that has just begun, a connection made anew).
    Streamlit then takes the values for told, and the browser shows every control at its lowest.
    """
    if not st.session_state.get(ANSWERED):
        for name in ("preset", "model", "teacher", *SETTINGS):
            if name in st.session_state:
                st.session_state[name] = st.session_state[name]


def write(preset: str) -> None:
    """Bring the address bar to what the controls show; what the preset says is left out."""
    for name, default in defaults(preset).items():
        value = st.session_state.get(name, default)
        written = st.query_params.get_all(name)
        if value == default or value == []:
            if written:
                del st.query_params[name]
        elif written != [text := SETTINGS[name].write(value)]:
            st.query_params[name] = text
