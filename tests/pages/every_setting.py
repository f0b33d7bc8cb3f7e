"""Every setting of every page, at a value that is not its default, as a link says it.

A page has several scenes where not all of its widgets are on the screen at once. What is no setting
stands in NOT_SETTINGS, so that a new widget has to be put here or there.
"""

import re

Link = dict[str, str | list[str]]

TEACHER, STUDENT = "resnet18-scratch-s0", "best_100k-distilled-s0"
SCENES: dict[str, list[Link]] = {
    "home": [
        {"step": "tuned", "dish": "2", "cost": "macs", "baselines": "HW13 2021", "trials": "true",
         "tab": "sources", "provenance": STUDENT},
    ],
    "compare": [
        {"networks": [STUDENT, TEACHER], "photo_from": "dream", "dream_of": "Soup", "dream": "1",
         "trap": "true"},
        {"food": "Egg", "example": "1", "tab": "classes", "T": "2.5"},
        {"made": "invoice", "rates": "true", "score": "energy"},
    ],
    "results": [{"figure": "16", "finding": "kd_helps", "provenance": STUDENT}],
    "convolutions": [
        {"in_channels": "32", "out_channels": "64", "groups": "4", "map_size": "20",
         "kernel_size": "5", "stride": "2", "padding": "2", "bias": "false", "rank_percent": "40",
         "tab": "time"},
        {"tab": "slide", "photo_from": "dream", "dream_of": "Soup", "dream": "1"},
    ],
    "architecture": [
        {"model": "resnet18", "px_resnet18": "160"},
        {"mode": "compare", "model_a": "resnet18", "model_b": "plain_275k", "px_both": "96"},
        {"mode": "design", "design": "px64-relu6-stem16p-sep32p-sep64", "design_stage": "2",
         "tab": "take"},
        {"tab": "sees", "network": "dwpw_256k-scratch-s0", "layer_dwpw_256k": "5",
         "more_network": "true", "photo_from": "dream", "dream_of": "Soup", "dream": "1"},
        {"mode": "own"},
    ],
    "temperature": [
        {"teacher": TEACHER, "student": STUDENT, "kind": "sure", "number_sure": "3", "T": "4.5",
         "tab": "homework"},
        {"dream_of": "Soup", "dream": "1", "more_networks": "true"},
        {"answers_to": "photo", "photo_from": "dream", "dream_of": "Soup", "dream": "1"},
        {"answers_to": "photo", "food": "Egg", "example": "1"},
    ],
    "distillation": [
        {"teacher": TEACHER, "student": STUDENT, "kind": "sure", "number_sure": "3", "T": "8",
         "alpha": "0.3", "move": "1.25", "pick": "9", "trap": "swapped", "cell_T": "20",
         "provenance": STUDENT},
        {"dream_of": "Soup", "dream": "1", "moves": "true", "pairs": "true"},
        {"answers_to": "bank", "more_networks": "true", "tab": "generated"},
    ],
    "training": [
        {"preset": "hour", "model": "resnet18", "teacher": "none", "alpha": "0.35", "T": "7.5",
         "mixup": "0.4", "epochs": "12", "px": "96", "share": "40", "seeds": "1.3",
         "batch_size": "128", "lr": "0.0005", "augment": "strong", "pretrained": "true"},
        {"model": "design", "design": "px64-relu6-stem16p-sep32p"},
    ],
    "pruning": [
        {"network": "dwpw_256k-distilled-s0", "ratio": "90", "method": "channel_l2",
         "reveal": "true", "all_methods": "true", "finetuned": "true", "more_network": "true",
         "time_with": "torch_32"},
        {"layer": "layer1.0.conv1.weight"},
        {"group": "1", "height": "gamma"},
        {"photo_ratios": ["20", "80"], "photo_from": "dream", "dream_of": "Soup", "dream": "1"},
        {"tab": "photo", "food": "Egg", "example": "1"},
    ],
    "quantization": [
        {"tab": "time", "network": "dwpw_256k-scratch-s0", "scheme": "kmeans", "bits": "3",
         "options": ["bytes", "methods", "networks"], "reveal": "true"},
        {"layer": "features.1.3.weight", "line_bits": "2"},
        {"time_with": "onnx_32", "reveal": "true"},
        {"photo_bits": ["3", "5"], "photo_from": "dream", "dream_of": "Soup", "dream": "1"},
        {"food": "Egg", "example": "1"},
        {"hw7_sample": "hostile"},
    ],
    "low_rank": [
        {"network": TEACHER, "layer": "layer1.0.conv1", "form": "tucker2", "R": "11",
         "method": "spatial", "energy": "85", "reveal": "true", "all_methods": "true",
         "finetuned": "false", "more_network": "true"},
        {"time_with": "torch_32", "reveal": "true"},
        {"photo_energies": ["90", "60"], "photo_from": "dream", "dream_of": "Soup", "dream": "1"},
        {"tab": "photo", "food": "Egg", "example": "1"},
    ],
    "export": [
        {"network": STUDENT, "measure": "time", "file": "hw7-8bit", "reveal": "true"},
        {"tab": "way", "more_network": "true"},
        {"device_networks": [STUDENT, "dwpw_256k-scratch-s0"], "device_weights": "hw7-8bit"},
    ],
    "class": [],
    "report": [{"question": "HW13 Q3.1"}],
}  # fmt: skip
"""Page -> its links; together they have every setting of the page."""

IN_BROWSER = {
    "home": {"step"},
    "temperature": {"T"},
    "distillation": {"T", "alpha", "move", "pick"},
    "quantization": {"line_bits"},
    "low_rank": {"R"},
}
"""Settings that only the browser moves: Vega's parameters."""

GUESSES: dict[str, dict[str, str | float]] = {
    "results": {"guess_results": "differs"},
    "convolutions": {"guess_share": 1 / 8, "guess_time": "half"},
    "architecture": {"guess_half": "first"},
    "temperature": {"guess_grows": "top", "homework_t": "softer"},
    "distillation": {"guess_t2": "same"},
    "training": {"guess_right": "middle"},
    "pruning": {"guess_curve": "late", "guess_speed": "same"},
    "quantization": {"guess_bits": 4, "guess_speed": "same"},
    "low_rank": {"guess_ranks": "third", "guess_whole": "half", "guess_speed": "same"},
    "export": {"guess_smallest": "onnx", "guess_fastest": "onnx"},
}
"""Page -> its guesses: kept while the visitor is elsewhere, but in no link."""
GUESSED_IN: dict[str, dict[str, Link]] = {
    "low_rank": {"guess_speed": {"tab": "time"}},
    "export": {"guess_fastest": {"measure": "time"}},
}
"""Page -> the guesses that are not on it at first -> a link to where they are."""

NOT_SETTINGS = re.compile(
    r"guess_\w+|homework_t"  # see GUESSES
    r"|camera_on"  # a camera that switched itself on would frighten
    r"|edit_\w+|design_start"  # the designer's controls write its line, which is the setting
    r"|runs_shown|also|finished"  # of runs that nobody has started here
    r"|room_\w+"  # of a class, not of a page
    r"|lang"  # of the whole app
    r"|report_\w+|quiz_\w+"  # a visitor's own words, name and answers
    r"|own_\w+"  # of a visitor's own file, which no link holds
)
