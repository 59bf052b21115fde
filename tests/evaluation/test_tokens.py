"""The cosine of class and distillation token, layer by layer."""

from collections.abc import Callable

import pytest
import torch
from timm.models.deit import VisionTransformerDistilled

from deit.config.schema import Config
from deit.evaluation.tokens import token_cosines
from deit.training.run import make_student

IMAGES = torch.rand(3, 3, 28, 28, generator=torch.Generator().manual_seed(0))


def network(config: Callable[..., Config], *overrides: str) -> VisionTransformerDistilled:
    torch.manual_seed(0)
    net = make_student(config("distill=hard", "scale.depth=2", *overrides), num_classes=10).net.eval()
    assert isinstance(net, VisionTransformerDistilled)
    return net


@pytest.mark.parametrize("model", ["deit_ti", "deit3_s"])
def test_there_is_one_for_the_learnt_tokens_and_for_each_block(config: Callable[..., Config], model: str) -> None:
    net = network(config, f"model={model}")
    with torch.no_grad():
        found = token_cosines(net, IMAGES)
        assert found.shape == (3, 3)
        learnt = torch.nn.functional.cosine_similarity(net.cls_token[0], net.dist_token[0])
        assert torch.allclose(found[0], learnt.expand(3))
        # What both heads read is the last block's output behind the network's last norm.
        net.norm = torch.nn.Identity()
        features = net.forward_features(IMAGES)
    assert torch.allclose(found[-1], torch.nn.functional.cosine_similarity(features[:, 0], features[:, 1]), atol=1e-6)


def test_tokens_that_are_the_same_stay_the_same(config: Callable[..., Config]) -> None:
    net = network(config)
    with torch.no_grad():
        net.dist_token.copy_(net.cls_token)
        net.pos_embed[:, 1] = net.pos_embed[:, 0]
        assert torch.allclose(token_cosines(net, IMAGES), torch.ones(3, 3))


def test_opposite_tokens_are_at_minus_one(config: Callable[..., Config]) -> None:
    net = network(config)
    with torch.no_grad():
        net.dist_token.copy_(-net.cls_token)
        assert torch.allclose(token_cosines(net, IMAGES)[0], -torch.ones(3))
