"""Convolution building blocks: standard, group, depthwise + pointwise.

Depthwise separable convolution is Sifre 2014 / Howard et al. 2017 (MobileNets); the two homeworks
(HW7 Q1 and Q4, HW13 Q1) ask for it by hand, as one depthwise layer and one 1 x 1 layer.
Shapes are (batch, channels, height, width) throughout.
"""

from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn_relu6(
    in_channels: int, out_channels: int, *, groups: int = 1, pool: bool = False
) -> nn.Sequential:
    """3 x 3 convolution with bias, BatchNorm, ReLU6, and a 2 x 2 max pool if `pool` (HW7)."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, groups=groups),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def depthwise_pointwise(
    in_channels: int, out_channels: int, *, pool: bool = False
) -> nn.Sequential:
    """HW7's separable block: depthwise 3 x 3, BatchNorm, ReLU6, pointwise 1 x 1, nothing after it.

    The pointwise layer stays linear because, as the homework's slides argue, an activation there
    loses information; the next block's depthwise layer brings the next BatchNorm and ReLU6.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels),
        nn.BatchNorm2d(in_channels),
        nn.ReLU6(),
        nn.Conv2d(in_channels, out_channels, 1),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class SeparableConv2d(nn.Sequential):
    """HW13's `dwpw_conv`: depthwise k x k, BatchNorm, ReLU, pointwise 1 x 1, biases in both."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, in_channels, kernel_size, stride, padding, groups=in_channels),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 1),
        )


class BasicBlock(nn.Module):
    """Residual block of two separable 3 x 3 convolutions (He et al. 2015, HW13 report)."""

    expansion = 1

    def __init__(self, in_channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = SeparableConv2d(in_channels, planes, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = SeparableConv2d(planes, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, planes, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class Bottleneck(nn.Module):
    """Residual block 1 x 1, 3 x 3, 1 x 1 with expansion 4, each convolution separable."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = SeparableConv2d(in_channels, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = SeparableConv2d(planes, planes, 3, stride, padding=1)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = SeparableConv2d(planes, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 4 planes, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + self.shortcut(x))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """The identity where the shape stays; an empty Sequential, which torchsummary does not list."""
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    return nn.Sequential(
        SeparableConv2d(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)
    )
