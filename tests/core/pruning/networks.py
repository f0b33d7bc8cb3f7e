"""Tiny networks with what makes channel pruning hard: depthwise, residual, group convolution."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PX = 16


class Depthwise(nn.Module):
    """conv, BN, ReLU6, pool, depthwise, BN, pointwise without BN, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 12, 1),
        )  # fmt: skip
        self.fc = nn.Linear(12, 11)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(self.body(x), 1).flatten(1))
        return logits


class Residual(nn.Module):
    """A stem, a block whose sum ties its output to the stem's, and a block with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.inner, self.bn1 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.outer, self.bn2 = nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.wide, self.bn3 = nn.Conv2d(8, 10, 3, 2, padding=1), nn.BatchNorm2d(10)
        self.short, self.bn4 = nn.Conv2d(8, 10, 1, 2), nn.BatchNorm2d(10)
        self.fc = nn.Linear(10, 11)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.stem(x)))
        x = F.relu(x + self.bn2(self.outer(F.relu(self.bn1(self.inner(x))))))
        x = F.relu(self.bn3(self.wide(x)) + self.bn4(self.short(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class Grouped(nn.Module):
    """Two convolutions in 4 groups: channel c of each is tied to c + n/4, c + 2n/4, c + 3n/4."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1, groups=4), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, groups=4), nn.BatchNorm2d(16), nn.ReLU(),
        )  # fmt: skip
        self.fc = nn.Linear(16, 11)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(self.body(x), 1).flatten(1))
        return logits


KINDS = {"depthwise": Depthwise, "residual": Residual, "grouped": Grouped}


def make(kind: str) -> nn.Module:
    """A network of that kind with fixed random weights and BatchNorm statistics, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(len(kind))
        return settled(KINDS[kind]())


def settled(net: nn.Module) -> nn.Module:
    """The network with random BatchNorm statistics, scales and shifts, in eval mode."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.2, 1.5)
                module.bias.normal_()
    return net.eval()


def pictures(n: int = 5) -> Tensor:
    """Random pictures, the same each time."""
    return torch.randn(n, 3, PX, PX, generator=torch.Generator().manual_seed(3))


def answers(net: nn.Module) -> Tensor:
    """Logits of `pictures`."""
    with torch.inference_mode():
        logits: Tensor = net(pictures())
    return logits
