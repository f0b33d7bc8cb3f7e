"""The students of both homework reports, to the digit.

Flattening, and every pooling or activation that the reports' torchsummary tables do not list, is
functional: torchsummary lists modules, and its memory lines add up what it lists.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from core.models.convs import BasicBlock, Bottleneck, conv_bn_relu6, depthwise_pointwise


class ConvNet(nn.Module):
    """Convolutional features, global average pool, one linear layer: images -> logits."""

    def __init__(self, features: nn.Sequential, channels: int, num_classes: int) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) float -> (B, num_classes) logits."""
        return self.classifier(self.pool(self.features(x)).flatten(1))


def _plain(widths: list[int], pools: int, num_classes: int, groups: int = 1) -> ConvNet:
    """3 x 3 convolutions of these widths; a max pool after each of the first `pools`."""
    layers = [conv_bn_relu6(3, widths[0], pool=pools > 0)]  # 3 channels cannot be grouped by 8
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False), start=1):
        layers.append(conv_bn_relu6(a, b, groups=groups, pool=i < pools))
    return ConvNet(nn.Sequential(*layers), widths[-1], num_classes)


def plain_2m(num_classes: int = 11) -> ConvNet:
    """HW7 Q1's big plain CNN ("no DP"): 2,168,203 parameters."""
    return _plain([16, 32, 64, 128, 256, 256, 256, 256], 4, num_classes)


def plain_275k(num_classes: int = 11) -> ConvNet:
    """HW7 Q4a's plain CNN of about 1 MB: 275,211 parameters."""
    return _plain([16, 32, 32, 64, 64, 64, 96, 128], 4, num_classes)


def group8_277k(num_classes: int = 11) -> ConvNet:
    """HW7 Q4c: `plain_2m` with groups = 8 in every convolution but the first: 277,195."""
    return _plain([16, 32, 64, 128, 256, 256, 256, 256], 4, num_classes, groups=8)


def dwpw_256k(num_classes: int = 11) -> ConvNet:
    """HW7's depthwise + pointwise student (Q1, Q2, Q4b): 256,779 parameters."""
    widths = [16, 32, 64, 128, 256, 256, 256, 256]
    layers = [conv_bn_relu6(3, widths[0], pool=True)]
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        layers.append(depthwise_pointwise(a, b, pool=i < 3))
    return ConvNet(nn.Sequential(*layers), widths[-1], num_classes)


def hw13_sample(num_classes: int = 11) -> ConvNet:
    """HW13's sample student, convolutions without padding: 87,907 parameters."""
    layers: list[nn.Module] = []
    for a, b, pool in ((3, 32, False), (32, 32, True), (32, 64, True), (64, 100, True)):
        layers += [nn.Conv2d(a, b, 3), nn.BatchNorm2d(b), nn.ReLU()]
        if pool:
            layers.append(nn.MaxPool2d(2))
    return ConvNet(nn.Sequential(*layers), 100, num_classes)


class ResidualStudent(nn.Module):
    """HW13 report's residual student: a 3 x 3 stem and two stages of separable blocks."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        repeats: tuple[int, int],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels, stages = 64, []
        for planes, stride, count in ((64, 1, repeats[0]), (128, 2, repeats[1])):
            blocks = []
            for i in range(count):
                blocks.append(block(channels, planes, stride if i == 0 else 1))
                channels = planes * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2 = stages
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) float, H and W at least 8 -> (B, num_classes) logits."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        x = F.adaptive_avg_pool2d(F.avg_pool2d(x, 4), 1)
        return self.classifier(x.flatten(1))


def hw13_residual(
    num_classes: int = 11,
    block: Literal["basic", "bottleneck"] = "basic",
    repeats: tuple[int, int] = (2, 2),
) -> ResidualStudent:
    """HW13 report's student: 96,587 parameters with BasicBlock x [2, 2], its choice.

    With `block="bottleneck"` the same code stands over the 100,000 limit: the report's reason to
    keep both selectable.
    """
    kind = BasicBlock if block == "basic" else Bottleneck
    return ResidualStudent(kind, repeats, num_classes)
