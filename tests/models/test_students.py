import pytest
import timm
import torch
from torch import Tensor, nn

from deit.config.errors import ConfigError
from deit.config.network import Family, Model, Scale
from deit.models.students import Student, build_student

IDENTITY = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@pytest.mark.parametrize(
    ("heads", "image_size", "token", "parameters"),
    [
        (3, 224, False, 5_717_416),
        (6, 224, False, 22_050_664),
        (12, 224, False, 86_567_656),
        (12, 384, False, 86_859_496),
        (3, 224, True, 5_910_800),
        (6, 224, True, 22_436_432),
        (12, 224, True, 87_338_192),
        (12, 384, True, 87_630_032),
    ],
)
def test_the_sizes_of_the_paper(paper: Scale, heads: int, image_size: int, token: bool, parameters: int) -> None:
    with torch.device("meta"):
        student = build_student(
            Model(name="deit", heads=heads), paper, image_size=image_size, token=token, num_classes=1000, **IDENTITY
        )
    assert sum(p.numel() for p in student.parameters()) == parameters


@pytest.mark.parametrize(
    ("token", "name"), [(False, "deit_tiny_patch16_224"), (True, "deit_tiny_distilled_patch16_224")]
)
def test_weights_and_answers_are_those_of_timm(paper: Scale, tiny: Model, token: bool, name: str) -> None:
    student = build_student(tiny, paper, image_size=224, token=token, num_classes=1000, **IDENTITY).eval()
    reference = timm.create_model(name).eval()
    assert list(student.net.state_dict()) == list(reference.state_dict())
    reference.load_state_dict(student.net.state_dict())
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        heads = student(images)
        fused = heads.classes if heads.distill is None else (heads.classes + heads.distill) / 2
        torch.testing.assert_close(fused, reference(images))
    assert (heads.distill is None) is not token


@pytest.mark.parametrize("is_training", [True, False])
def test_both_heads_answer_apart_in_either_mode(nano: Scale, images: Tensor, is_training: bool) -> None:
    model = Model(name="deit_ti", heads=3, drop_path=0.0)
    student = build_student(model, nano, image_size=28, token=True, num_classes=10, **IDENTITY)
    heads = student.train(is_training)(images)
    assert heads.distill is not None
    assert heads.classes.shape == heads.distill.shape == (2, 10)
    assert not torch.allclose(heads.classes, heads.distill)
    heads.classes.sum().backward()
    assert student.net.head_dist.weight.grad is None


def deviation(weight: Tensor) -> float:
    return weight.detach().std().item()


def test_fresh_weights_are_those_of_deit(nano: Scale) -> None:
    model = Model(name="deit_b", heads=12)
    net = build_student(model, nano, image_size=28, token=True, num_classes=100, **IDENTITY).net
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear):
            assert deviation(module.weight) == pytest.approx(0.02, rel=0.05), name
            assert not module.bias.any(), name
        if isinstance(module, nn.LayerNorm):
            assert module.eps == 1e-6, name
            assert (module.weight == 1).all(), name
    for token in (net.cls_token, net.dist_token):
        assert deviation(token) == pytest.approx(0.02, rel=0.2)  # 192 numbers: 5 % is one standard error
    assert deviation(net.pos_embed) == pytest.approx(0.02, rel=0.05)
    fan_in = 3 * 4 * 4
    bound = fan_in**-0.5  # PyTorch's convolution: uniform within this
    assert net.patch_embed.proj.weight.abs().max() <= bound
    assert deviation(net.patch_embed.proj.weight) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert net.patch_embed.proj.bias.any()


def test_stochastic_depth_grows_linearly_and_dropout_spares_attention_and_heads(nano: Scale) -> None:
    model = Model(name="deit_ti", heads=3, drop_path=0.1, dropout=0.3)
    net = build_student(model, nano, image_size=28, token=False, num_classes=10, **IDENTITY).net
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in net.blocks]
    assert rates == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
    block = net.blocks[0]
    assert (net.pos_drop.p, block.attn.proj_drop.p, block.mlp.drop1.p, block.mlp.drop2.p) == (0.3,) * 4
    assert (block.attn.attn_drop.p, net.head_drop.p) == (0.0, 0.0)


def test_width_is_heads_times_head_dim_unless_set(nano: Scale) -> None:
    def width(model: Model) -> int:
        return build_student(model, nano, image_size=28, token=False, num_classes=10, **IDENTITY).net.embed_dim

    assert width(Model(name="deit_ti", heads=3)) == 48
    assert width(Model(name="deit_ti", heads=3, embed_dim=96)) == 96


def test_a_student_normalises_and_resizes_what_it_is_given(nano: Scale, tiny: Model) -> None:
    student = build_student(
        tiny, nano, image_size=28, token=False, num_classes=10, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)
    ).eval()
    seen: list[Tensor] = []
    student.net.patch_embed.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    student(torch.full((1, 3, 40, 40), 0.3))
    assert seen[-1].shape == (1, 3, 28, 28)
    torch.testing.assert_close(seen[-1][0, :, 5, 5], torch.tensor([0.4, 0.2, 0.0]))


def test_only_the_network_is_in_the_state_dict(nano: Scale, tiny: Model) -> None:
    student: Student = build_student(tiny, nano, image_size=28, token=True, num_classes=10, **IDENTITY)
    assert all(name.startswith("net.") for name in student.state_dict())


FAMILIES = {
    "deit3": Model(name="deit3", family=Family.deit3, heads=3, layer_scale=1e-4, drop_path_grows=False),
    "cait": Model(name="cait", family=Family.cait, heads=4, head_dim=48, depth=24, layer_scale=1e-5),
    "a convnet": Model(name="timm", family=Family.timm, net="resnet50", drop_path=0),
    "timm's own size": Model(name="timm", family=Family.timm, net="mobilenetv3_small_050", drop_path=0.1),
    "a transformer of timm": Model(name="timm", family=Family.timm, net="deit_tiny_patch16_224", drop_path=0),
}


def of(model: Model, nano: Scale, **changes: object) -> Student:
    changed = Model(**vars(model) | changes)
    token = changed.family is Family.deit3
    return build_student(changed, nano, image_size=28, token=token, num_classes=10, mean=(0, 0, 0), std=(1, 1, 1))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns(family: str, nano: Scale, images: Tensor) -> None:
    student = of(FAMILIES[family], nano).train()
    classes, distill = student(images)
    assert classes.shape == (2, 10)
    assert (distill is not None) == student.two_heads == (family == "deit3")
    loss = sum(logits.square().mean() for logits in (classes, distill) if logits is not None)
    loss.backward()
    gradients = [parameter.grad for parameter in student.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_at_nano_scale_depth_and_width_keep_their_proportions(nano: Scale) -> None:
    cait = of(FAMILIES["cait"], nano).net
    assert (len(cait.blocks), len(cait.blocks_token_only), cait.embed_dim) == (12, 2, 4 * 12)


@pytest.mark.parametrize("family", ["deit3", "cait", "a transformer of timm"])
def test_blocks_computed_twice_give_the_same_gradients(family: str, nano: Scale, images: Tensor) -> None:
    gradients = []
    for twice in (False, True):
        torch.manual_seed(0)
        student = of(FAMILIES[family], nano, checkpoint_blocks=twice, drop_path=0).train()
        student(images).classes.square().sum().backward()
        gradients.append([p.grad for p in student.parameters() if p.grad is not None])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_a_student_in_eval_mode_stays_there(nano: Scale) -> None:
    student = of(FAMILIES["deit3"], nano, eval_mode=True).train()
    assert not any(module.training for module in student.modules())
    assert of(FAMILIES["deit3"], nano).train().training


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"net": "resnet5000"}, "timm has no network called resnet5000.*pass model.net="),
        ({"net": "vgg11", "drop_path": 0.1}, "vgg11 takes no drop_path_rate.*model.drop_path=0"),
        ({"net": "resnet18", "dropout": 0.1}, "resnet18 takes no drop_rate.*model.dropout=0"),
        ({"net": "convnext_atto"}, "convnext_atto cannot see images of 28 pixels.*resolution.pixels"),
    ],
)
def test_what_a_network_of_timm_cannot_do_is_refused(changes: dict[str, object], words: str, nano: Scale) -> None:
    with pytest.raises(ConfigError, match=words):
        of(Model(name="timm", family=Family.timm, drop_path=0), nano, **changes)


def test_a_network_without_blocks_cannot_compute_them_twice(nano: Scale) -> None:
    vgg = Model(name="timm", family=Family.timm, net="vgg11", drop_path=0, checkpoint_blocks=True)
    with pytest.raises(ConfigError, match=r"vgg11 has no blocks that can be computed twice.*trainer\.accumulate"):
        build_student(vgg, nano, image_size=64, token=False, num_classes=2, mean=(0, 0, 0), std=(1, 1, 1))
