"""The layers over which the kernel slides: their sums by torch, their cost by the calculator."""

import numpy as np
import torch
from torch.nn import functional as F

from core import checkpoints
from core.convolutions.method import ConvSetting, compare
from core.convolutions.sliding import PICTURE_PX, SOURCES, slidings
from core.inference.layers import layers_of
from core.photos import prepare
from tests.food import food_picture


def test_the_layers_are_the_networks_own_and_cost_what_the_calculator_says() -> None:
    listed = checkpoints.load_manifest().values()
    students = {
        key: layers_of(next(c for c in listed if c.model == key), PICTURE_PX)
        for key, _number in SOURCES.values()
    }
    made = {each.kind: each for each in slidings(students, prepare(food_picture(2, 5), PICTURE_PX))}
    for each in made.values():
        step = each.step
        output = F.conv2d(
            torch.from_numpy(each.inputs)[None], torch.from_numpy(each.weight),
            torch.from_numpy(each.bias), step.stride, step.padding, groups=step.groups,
        )[0].numpy()  # fmt: skip
        assert output.shape == each.output.shape == (step.out_channels, *step.out_size)
        assert np.abs(output - each.output).max() < 1e-4
    size = made["standard"].inputs.shape[1]
    costs = compare(ConvSetting(16, 32, groups=8, map_size=size))
    assert made["standard"].step == costs["standard"].steps[0]
    assert made["group"].step == costs["group"].steps[0]
    assert (made["depthwise"].step, made["pointwise"].step) == costs["separable"].steps
