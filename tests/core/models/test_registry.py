"""The registered networks, to the digit of the two homework reports."""

import math
from pathlib import Path

import pytest
import torch

from core.errors import UserError
from core.models import MODELS, get, teachers
from core.models.cost import count_macs, count_params, layer_table, torchsummary_text
from core.models.students import hw13_residual

LITES = ("efficientnet_lite0", "efficientnet_lite2")

# facts.md of the course: total parameters, forward/backward MB, params MB, total MB
REPORTED = {
    "resnet18": (11_182_155, None, None, None),
    "plain_2m": (2_168_203, 13.69, 8.27, None),
    "dwpw_256k": (256_779, 13.13, 0.98, 14.29),
    "plain_275k": (275_211, 11.49, 1.05, 12.72),
    "group8_277k": (277_195, 13.69, 1.06, None),
    "hw13_sample": (87_907, 99.72, 0.34, 100.62),
    "hw13_residual": (96_587, 882.00, 0.37, 882.94),
}


@pytest.mark.parametrize("key", REPORTED)
def test_totals_and_memory_lines_equal_the_reports(key: str) -> None:
    spec = get(key)
    net, shape = spec.build(), (3, spec.input_px, spec.input_px)
    params, forward_mb, params_mb, total_mb = REPORTED[key]
    assert count_params(net) == params
    printed = torchsummary_text(net, shape)
    for line, theirs in (
        ("Forward/backward pass size", forward_mb),
        ("Params size", params_mb),
        ("Estimated Total Size", total_mb),
    ):
        assert theirs is None or f"{line} (MB): {theirs:.2f}\n" in printed


def test_summary_leaves_batchnorm_and_the_random_state_alone() -> None:
    net = get("dwpw_256k").build().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.random.get_rng_state()
    torchsummary_text(net, (3, 128, 128))
    layer_table(net, (3, 128, 128))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert net.training


def test_macs_of_a_depthwise_student_by_hand() -> None:
    """Sum over dwpw_256k's layers of outputs x filter length, written out from the table."""
    widths, side = [16, 32, 64, 128, 256, 256, 256, 256], 64
    total = 128 * 128 * 16 * 27
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        total += side * side * (9 * a + a * b)
        side //= 2 if i < 3 else 1
    total += 256 * 11
    assert count_macs(get("dwpw_256k").build(), (3, 128, 128)) == total


@pytest.mark.parametrize("key", MODELS)
def test_every_network_answers_at_128_px(key: str) -> None:
    spec = get(key)
    net = spec.build().eval()
    pixels = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8)
    with torch.inference_mode():
        logits = net(spec.normalize(pixels))
    assert logits.shape == (2, 11)
    assert bool(logits.isfinite().all())


def test_both_residual_blocks_are_selectable() -> None:
    assert type(next(hw13_residual(block="basic").layer1.children())).__name__ == "BasicBlock"
    bottleneck = get("hw13_residual_bottleneck").build()
    assert count_params(bottleneck) == count_params(hw13_residual(block="bottleneck"))
    assert count_params(bottleneck) > 100_000


def test_normalize_is_the_published_scaling() -> None:
    white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    for key in LITES:
        lite = get(key).normalize(white).flatten()
        assert torch.allclose(lite, torch.full((3,), (255 - 127) / 128))
    ours = get("dwpw_256k").normalize(white).flatten()
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("key", LITES)
def test_imagenet_weights_change_the_teacher(key: str) -> None:
    torch.manual_seed(0)
    fresh = get(key).build().state_dict()
    torch.manual_seed(0)
    loaded = get(key).build(pretrained=True).state_dict()
    assert torch.equal(fresh["_fc.weight"], loaded["_fc.weight"])
    assert not torch.equal(fresh["_conv_stem.weight"], loaded["_conv_stem.weight"])


@pytest.mark.parametrize(("key", "wide", "deep"), [(LITES[0], 1.0, 1.0), (LITES[1], 1.1, 1.2)])
def test_an_efficientnet_is_as_wide_and_deep_as_published(
    key: str, wide: float, deep: float
) -> None:
    """Parameters by hand from Tan & Le's table: widths to multiples of 8, repeats rounded up; stem
    and head as in Lite0, as are the numbers of blocks in the first and last stage."""
    stages = (
        (1, 16, 1, 3), (6, 24, 2, 3), (6, 40, 2, 5), (6, 80, 3, 3), (6, 112, 3, 5), (6, 192, 4, 5),
        (6, 320, 1, 3),
    )  # fmt: skip

    def width(channels: int) -> int:
        near = max(8, int(channels * wide + 4) // 8 * 8)
        return near + 8 if near < 0.9 * channels * wide else near

    def conv(filters: int, length: int) -> int:
        return filters * length + 2 * filters  # and its BatchNorm

    a, total = 32, conv(32, 27)
    for number, (expansion, channels, repeats, kernel) in enumerate(stages):
        b, ends = width(channels), number in (0, len(stages) - 1)
        for _block in range(repeats if ends else math.ceil(repeats * deep)):
            inner = a * expansion
            total += (conv(inner, a) if expansion > 1 else 0) + conv(inner, kernel**2)
            total += conv(b, inner)
            a = b
    total += conv(1280, a) + 1280 * 11 + 11
    assert count_params(get(key).build()) == total


@pytest.mark.parametrize(
    ("key", "training", "afterwards"), [(LITES[0], 192, 192), (LITES[1], 160, 192)]
)
def test_what_an_efficientnet_looks_at_is_enlarged(
    key: str, training: int, afterwards: int
) -> None:
    spec, seen = get(key), list[int]()
    net = spec.build()
    stem = net.get_submodule("_conv_stem")
    stem.register_forward_pre_hook(lambda _layer, given: seen.append(given[0].shape[-1]))
    for mode in (True, False):
        with torch.inference_mode():
            net.train(mode)(torch.zeros(2, 3, spec.input_px, spec.input_px))
    assert seen == [training, afterwards]


@pytest.mark.parametrize("key", LITES)
def test_other_weights_are_refused(
    key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.save({"_fc.weight": torch.zeros(1), "_fc.bias": torch.zeros(1)}, tmp_path / "other.pth")
    monkeypatch.setattr(teachers, "_imagenet_weights", lambda variant: str(tmp_path / "other.pth"))
    with pytest.raises(UserError, match=f"{get(key).title} weights do not fit"):
        get(key).build(pretrained=True)


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match="starts from scratch"):
        get("dwpw_256k").build(pretrained=True)
    with pytest.raises(UserError, match="dwpw_256k"):  # the known ones are named
        get("resnet19")
