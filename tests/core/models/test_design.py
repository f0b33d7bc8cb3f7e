"""A design says what it is in JSON and in a line, and refuses the rest in plain words."""

import json
import string
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, UserError
from core.models.design.spec import (
    MAX_CHARACTERS,
    MAX_JSON_BYTES,
    Design,
    Stage,
    Stem,
    add_stage,
    change,
    from_json,
    move_stage,
    nearest_groups,
    read,
    remove_stage,
)
from tests.core.models.designs import designs

HW7 = "px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x4"


@given(designs())
@settings(max_examples=60, deadline=None)
def test_a_design_survives_its_line_and_its_json(design: Design) -> None:
    assert read(design.line) == design
    assert read(design.line).line == design.line
    assert from_json(design.to_json()) == design
    assert read(design.to_json()) == design
    assert set(design.line) <= set(string.ascii_lowercase + string.digits + "-")


def test_a_line_means_what_its_docstring_says() -> None:
    text = "px96 silu out7, nobias func stem64k7dp3n, inv24k5t6x3d group32g8p"
    assert read(text.upper()) == Design(
        input_px=96,
        classes=7,
        activation="silu",
        bias=False,
        functional=True,
        stem=Stem(width=64, kernel=7, stride=2, pool=3, bias=False),
        stages=(
            Stage(block="inverted", width=24, repeats=3, down="stride", kernel=5, expansion=6),
            Stage(block="group", width=32, down="pool", groups=8),
        ),
    )


def test_names_and_keys_are_safe_in_file_names() -> None:
    design = read(HW7)
    assert design.slug == f"design_{design.key}" and len(design.key) == 8
    named = design.model_copy(update={"name": "best_100k"})
    assert named.slug == "best_100k" and named.key == design.key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one stage"),
        ("px128-relu6-stem16", "at least one stage"),
        ("hello", "“hello” is no part of a design"),
        ("sep32-conv64", "“conv64”"),
        ("sep0", "stage 1 width must be at least 1"),
        ("sep99999", "stage 1 width must be at most 1024"),
        ("stem16-sep32k4", "stage 1 kernel must be one of 1, 3, 5 or 7"),
        ("sep32t6", "only an “inverted” block has an expansion"),
        ("sep32g4", "only a “group” block has groups"),
        ("stem16-plain20-group32g8", "stage 2: 8 groups do not divide 20 channels; these do: 1, 2"),
        ("px32-stem8p-sep8p-sep8p-sep8p-sep8p-sep8p", "stage 5 shrinks a picture of 32 pixels"),
        ("px40-sep8", "must be a multiple of 16"),
        ("nopad-basic8", "without padding"),
        ("-".join(["sep8"] * 13), "at most 12 stages"),
        ("sep8x13", "stage 1 repeats must be at most 12"),
        ("sep8-" + "a" * MAX_CHARACTERS, f"at most {MAX_CHARACTERS} characters"),
        ("sep٣٢", "no part of a design"),
        ("[click](http://a.b)`", "“?click??http???a?b??”"),
    ],
)
def test_a_line_that_is_no_design_is_explained(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert said in str(caught.value)


GOOD: dict[str, Any] = {"stages": [{"block": "plain", "width": 8}]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b"x" * (MAX_JSON_BYTES + 1), "small file"),
        (b"null", "not what a design needs"),
        (b'{"stages": [{"width": NaN}]}', "whole number"),
        ({}, None),
        (GOOD | {"input_px": 128.5}, "input_px must be a whole number"),
        (GOOD | {"input_px": 1e400}, "not JSON|whole number"),
        (b'{"input_px": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"input_px": ' + b"9" * 400 + b"}", "input_px"),
        (GOOD | {"classes": True}, "classes must be a whole number"),
        (GOOD | {"padding": "yes"}, "padding must be true or false"),
        (GOOD | {"__class__": "x"}, "no “__class__”"),
        (GOOD | {"<b>": 1}, "no “?b?”"),
        (GOOD | {"name": "../../etc/passwd"}, "small letters"),
        (GOOD | {"name": "Best"}, "small letters"),
        (GOOD | {"title": "x" * 61}, "title is too long"),
        (GOOD | {"activation": "exec"}, "must be one of"),
        (GOOD | {"stem": {"kernel": "3"}}, "stem kernel must be one of"),
        ({"stages": []}, "at least one stage"),
        ({"stages": [{"width": 8}] * 13}, "at most 12 stages"),
        ({"stages": [{"width": "8"}]}, "stage 1 width must be a whole number"),
        ({"stages": [{"width": 8}, {"width": -1}]}, "stage 2 width must be at least 1"),
        ({"stages": {"0": {}}}, "stages"),
        ({"stages": [[]]}, "stage 1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_hostile_file_is_refused_in_plain_words(content: Any, said: str | None) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    if said is None:
        assert from_json(data) == Design()
        return
    with pytest.raises(ConfigError) as caught:
        from_json(data)
    message = str(caught.value)
    assert any(part in message for part in said.split("|")), message
    assert len(message) < 400 and "Traceback" not in message and "pydantic" not in message


@given(st.text(max_size=60) | st.from_regex(r"\A(sep|px|stem|inv|relu6|-|\d){1,12}\Z"))
@settings(max_examples=60, deadline=None)
def test_any_text_is_a_design_or_a_plain_refusal(text: str) -> None:
    try:
        assert isinstance(read(text), Design)
    except UserError as error:
        assert str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_design_or_a_plain_refusal(data: bytes) -> None:
    try:
        from_json(data)
    except UserError as error:
        assert str(error)


def test_nearest_groups_divide_every_width() -> None:
    assert nearest_groups(8, 20, 32) == [1, 2, 4]
    assert nearest_groups(7, 16, 64) == [1, 2, 4, 8]
    assert nearest_groups(8, 48, 64, most=1) == [8]


def test_edits_give_new_designs() -> None:
    design = read("px64-relu6-stem8p-sep16p-plain32x2d")
    assert change(design, "width", 24, stage=2).line.endswith("sep16p-plain24x2d")
    assert change(design, "stem_kernel", 5).stem.kernel == 5
    assert change(design, "activation", "silu").activation == "silu"
    assert add_stage(design, 2).line.endswith("plain32x2d-plain32")
    assert remove_stage(design, 1).line.endswith("stem8p-plain32x2d")
    assert move_stage(design, 2, -1).line.endswith("stem8p-plain32x2d-sep16p")
    assert change(design, "block", "group", stage=2).stages[1].groups == 8
    back = change(change(design, "block", "inverted", stage=2), "expansion", 6, stage=2)
    assert change(back, "block", "plain", stage=2) == design


def test_edits_that_cannot_be_built_are_explained() -> None:
    design = read("px32-relu6-stem8p-group16g8")
    with pytest.raises(ConfigError, match="these do: 1, 2, 4, 8"):
        change(design, "groups", 3)
    with pytest.raises(ConfigError, match="at least one stage"):
        remove_stage(design, 1)
    with pytest.raises(ConfigError, match="multiple of 16"):
        change(design, "input_px", 33)


@pytest.mark.parametrize(
    "text",
    ['{"stages":[{"block":"soup"}]}', '{"stages":[{"width":0},{"width":8}]}', '{"stages":[5]}',
     '{"stages":[{"kernel":4}],"stem":{"width":0}}', "stem16-sep64x40", "px48-stem0-sep0"],
)  # fmt: skip
def test_a_wrong_stage_is_no_missing_stage(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert "at least one stage" not in str(caught.value) and "stage" in str(caught.value)


LINE = "px64-relu6-stem8p-sep16p-inv32x2t6k5d"
SAVED = read(LINE).model_copy(update={"title": "½ “net”, 小明 👩\u200d🍳"}).to_json()
AROUND: dict[str, Any] = {
    "a byte order mark": "\ufeff{}".format,
    "a byte order mark read as Latin-1": "ï»¿{}".format,
    "newlines": "\r\n{}\n\n".format,
    "spaces of other widths": "\u00a0\u3000{}\u2003\u2028".format,
    "zero-width spaces": "\u200b{}\u200d\u2060".format,
    "marks of direction": "\u202a{}\u202c\u200e".format,
    "quotes": '"{}"'.format,
    "quotes and a comma, from a JSON file": '  "{}",\n'.format,
    "typographic quotes": "“{}”".format,
    "French quotes": "« {} »".format,
    "single typographic quotes": "‘{}’".format,
    "quotes in quotes": '"‘ {} ’"'.format,
    "backticks": "`{}`".format,
    "a fence with a language": "```json\n{}\n```\n".format,
    "a fence of Windows": "```text\r\n{}\r\n```\r\n".format,
    "a fence of tildes": "~~~\n{}\n~~~".format,
    "a fence cut short": "```\n{}".format,
    "a fence in one line": "```{}```".format,
    "UTF-16 with a mark": lambda text: text.encode("utf-16"),
    "UTF-16, the other end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 without a mark, the other end": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "nothing": str.encode,
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_what_an_editor_puts_around_a_design_is_no_part_of_it(around: Any) -> None:
    assert read(around(LINE)) == read(LINE)
    saved = read(around(SAVED))
    assert (saved.line, saved.title) == (LINE, "½ “net”, 小明 👩\u200d🍳")
    assert from_json(around(SAVED)) == saved


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


@pytest.mark.parametrize(
    "text",
    [
        f"design:{LINE}",
        f"Design: {LINE}",
        f"“design:{LINE}”",
        f"design:“{LINE}”",
        f"design:design:{LINE}",
        f"design：{LINE}",
        LINE.upper(),
        full_width(LINE),
        full_width(f"design:{LINE}"),
        LINE.replace("-", "–"),
        LINE.replace("-", "—"),
        LINE.replace("-", "\u2011"),
        LINE.replace("-", "−"),
        LINE.replace("-", " - "),
        LINE.replace("-", "\u200b-\u00ad"),
        "\u200b".join(LINE),
        "\x00".join(LINE) + "\x00",
        LINE.replace("x2", "×2"),
        LINE.replace("-", "\n"),
        full_width(read(LINE).to_json()),
        read(LINE).to_json().replace('"', "“"),
        read(LINE).to_json().replace(" ", "\u00a0"),
    ],
)
def test_a_design_that_went_through_a_word_processor_is_read(text: str) -> None:
    assert read(text).line == LINE


@pytest.mark.parametrize("key", [f"design:{LINE}", f"“design:{LINE}”", f"\ufeffdesign:{LINE}\n",
                                 full_width(f"design:{LINE}"), f"DESIGN:{LINE}"])  # fmt: skip
def test_a_pasted_name_is_the_network_that_it_names(key: str) -> None:
    from core.models.registry import get
    from core.training.config import TrainConfig

    assert get(key).key == f"design:{LINE}"
    assert get(TrainConfig(model=key, px=64).model).key == f"design:{LINE}"


@pytest.mark.parametrize(
    "data",
    ["'" * MAX_JSON_BYTES, "\u200b" * MAX_JSON_BYTES, "﷽" * 9_000, "```\n" * 4_000, "{“" * 9_000,
     "design:" * 2_000, "design" + " " * 19_000, "a" * 10**7, b"\x00" * 10**7, "\ud800-sep8"],
    ids=lambda data: ascii(data[:8]),
)  # fmt: skip
def test_a_text_made_to_keep_us_busy_is_refused_at_once(data: str | bytes) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError):
        read(data)
    assert time.process_time() - began < 1
