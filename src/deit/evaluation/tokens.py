"""How alike the class token and the distillation token are (DeiT section 4). Shapes: B batch, L blocks."""

import torch
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor
from torch.nn.functional import cosine_similarity


def token_cosines(net: VisionTransformerDistilled, images: Tensor) -> Tensor:
    """Cosine of the two tokens as they are learnt, without their positions, and after each block, before the last norm.

    images: (B, 3, H, W), preprocessed for ``net``.

    Returns (1 + L, B) float32; the first row is the same for all images.
    """
    layers = net.forward_intermediates(images, return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True)
    assert net.cls_token is not None
    learnt = torch.cat([net.cls_token, net.dist_token], dim=1).expand(len(images), -1, -1)
    pairs = [learnt, *(tokens for _, tokens in layers)]  # (B, 2, D) each
    return torch.stack([cosine_similarity(pair[:, 0].float(), pair[:, 1].float()) for pair in pairs])
