"""A network small enough for tests, with every kind of layer our exports meet, and its checkpoint.

Weights are random but fixed by a seed, BatchNorm's statistics are not their defaults, and the last
layer is large enough for logits of several units, so a wrong export cannot pass for a right one.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import checkpoints
from core.models.registry import ModelSpec
from core.stats import Labelled
from core.training.publish import publish

PX = 24
FINGERPRINT = "0123456789abcdef"


class TinyNetwork(nn.Module):
    """Standard, depthwise, pointwise convolution, BatchNorm, both kinds of pool, a linear layer."""

    def __init__(self, num_classes: int = 11) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(2)
        )
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 1),
        )
        self.fc = nn.Linear(12, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.block(self.stem(x)), 1)
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


def tiny(num_classes: int = 11) -> nn.Module:
    """What the registry builds for the key `tiny`: untrained, from torch's global generator."""
    return TinyNetwork(num_classes)


SPEC = ModelSpec(
    "tiny",
    "Tiny network",
    "student",
    PX,
    "tests.tiny_network:tiny",
    "made for the tests",
    mean=(120.0, 110.0, 100.0),
    std=(60.0, 50.0, 40.0),
)


def trained(seed: int = 0) -> TinyNetwork:
    """A tiny network with the weights, and the BatchNorm statistics, of that seed."""
    generator = torch.Generator().manual_seed(seed)
    net = TinyNetwork()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        net.fc.weight.mul_(10)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
                module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return net.eval()


def pictures(n: int = 40, seed: int = 0) -> Labelled:
    """Smooth coloured squares with random labels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 3, 4, 4), dtype=np.uint8)
    pixels = coarse.repeat(PX // 4, axis=2).repeat(PX // 4, axis=3)
    return Labelled(pixels, rng.integers(0, 11, n))


def torch_logits(net: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """Logits by torch, with the normalisation written out here."""
    mean = torch.tensor([120.0, 110.0, 100.0])[:, None, None]
    std = torch.tensor([60.0, 50.0, 40.0])[:, None, None]
    with torch.inference_mode():
        answer: np.ndarray = net((torch.tensor(pixels).float() - mean) / std).numpy()
    return answer


def publish_tiny(id: str = "tiny-scratch-s0", seed: int = 0, **changes: Any) -> Any:
    """Publish a tiny network under `id`; `changes` are arguments of `publish`."""
    arguments: dict[str, Any] = {
        "id": id,
        "spec": SPEC,
        "recipe": "scratch",
        "title": "Tiny, from scratch",
        "seed": seed,
        "epochs": 1,
        "input_px": PX,
        "data": checkpoints.DataInfo(
            name="Generated squares",
            fingerprint=FINGERPRINT,
            is_food11=False,
            training=1,
            validation=40,
            testing=30,
        ),
        "validation": pictures(40, 1),
        "test": pictures(30, 2),
        "config": {"lr": 0.001},
        "device": "cpu",
        "wall_s": 1.5,
    }
    return publish(changes.pop("net", trained(seed)), **(arguments | changes))
