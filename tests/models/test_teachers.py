import copy
from pathlib import Path

import pytest
import timm
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import regnet_y_400mf

from deit.config.errors import ConfigError
from deit.config.network import Scale
from deit.config.teaching import Teacher, TeacherSource
from deit.models.files import save_weights
from deit.models.nano import build_nano
from deit.models.preprocess import Inputs
from deit.models.teachers import Ensemble, FrozenTeacher, TeacherNetwork, build_teacher, has_nano_form

FOLDER = Path(__file__).parents[2] / "conf" / "teacher"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in ("none", "ensemble"))
DATA = {"image_size": 28, "num_classes": 10, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}


def configured(name: str) -> Teacher:
    teacher = Teacher(**OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml")))
    assert teacher.present
    return teacher


def random(teacher: Teacher, scale: Scale, **changes) -> TeacherNetwork:
    return build_teacher(teacher, scale, **(DATA | {"source": TeacherSource.random} | changes))


def num_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


# Both forms of every configured teacher


@pytest.mark.parametrize("name", NAMES)
def test_the_published_form_is_timms_with_the_head_of_the_data(name: str, paper: Scale) -> None:
    with torch.device("meta"):
        network = random(configured(name), paper, image_size=224, num_classes=100)
        reference = timm.create_model(configured(name).name, num_classes=100)
    assert num_parameters(network) == num_parameters(reference)
    assert network(torch.rand(1, 3, 224, 224, device="meta")).shape == (1, 100)


@pytest.mark.parametrize("name", NAMES)
def test_the_nano_form_answers_at_every_nano_resolution(name: str, nano: Scale) -> None:
    for image_size in (20, 28, 48):
        net = random(configured(name), nano, image_size=image_size).eval().net
        with torch.no_grad():
            features = net.forward_features(torch.rand(2, 3, image_size, image_size))
            logits = net.forward_head(features)
        assert logits.shape == (2, 10)
        assert logits.isfinite().all()
        assert features.ndim == 3 or min(features.shape[-2:]) >= 2  # tokens of a transformer, or a map


def depths(net: nn.Module) -> list[int]:
    """Blocks of each stage, whatever the family calls them."""
    stages = [
        getattr(net, name)
        for name in ("s1", "s2", "s3", "s4", "layer1", "layer2", "layer3", "layer4")
        if hasattr(net, name)
    ]
    return [len(list(stage.children())) for stage in (stages or net.blocks)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "deit_b"])
def test_the_nano_form_is_as_deep_and_really_narrower(name: str, nano: Scale, paper: Scale) -> None:
    with torch.device("meta"):
        narrow = random(configured(name), nano).net
        width = 1 / 4 if "efficientnet" in name else 1 / 8
        narrower = random(Teacher(name=configured(name).name, nano_width=width / 2), nano).net
        published = random(configured(name), paper).net
    assert depths(narrow) == depths(published)
    assert num_parameters(narrower) < num_parameters(narrow)
    # Parameters go by the square of the width.
    assert 0.5 * width**2 < num_parameters(narrow) / num_parameters(published) < 2 * width**2
    assert narrow.num_features / published.num_features == pytest.approx(width, rel=0.45)


def test_squeeze_and_excitation_stays_in_the_nano_form(nano: Scale) -> None:
    for name in ("regnety_160", "efficientnet_b0"):
        net = random(configured(name), nano).net
        assert any(part.endswith(".se") and list(module.children()) for part, module in net.named_modules())


def test_a_deit_at_nano_scale_is_as_wide_as_a_student(nano: Scale) -> None:
    net = random(configured("deit_b"), nano).net
    assert (net.embed_dim, len(net.blocks), net.blocks[0].attn.num_heads, net.num_prefix_tokens) == (192, 6, 12, 1)


def test_a_deit_refuses_an_image_that_patches_do_not_fill(nano: Scale) -> None:
    with pytest.raises(ConfigError, match=r"30 pixels.*patches of 4.*teacher\.image_size=28"):
        build_nano("deit_base_patch16_224", nano, width=0.125, image_size=30, num_classes=10)


def test_which_networks_have_a_nano_form() -> None:
    assert all(has_nano_form(configured(name).name) for name in NAMES)
    assert has_nano_form("regnety_160")
    assert has_nano_form("regnety_160.deit_in1k")
    assert not any(map(has_nano_form, ("convnext_tiny", "vit_small_patch16_224", "regnety_999", "regnetz_040", "none")))


def test_other_names_keep_timms_form_at_nano_scale_at_the_size_of_the_data(nano: Scale) -> None:
    network = random(Teacher(name="vit_tiny_patch16_224"), nano, image_size=48)
    assert network.net.patch_embed.grid_size == (3, 3)
    assert network(torch.rand(1, 3, 48, 48)).shape == (1, 10)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("regnety_161", r"no network called regnety_161; .*teacher\.name=regnety_16"),
        ("regnety_160.deit_in2k", r"no weights called deit_in2k; possible: .*teacher\.name=regnety_160\.deit_in1k"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, hint: str, nano: Scale) -> None:
    with pytest.raises(ConfigError, match=hint):
        random(Teacher(name=name), nano)


# What a teacher sees


def seen_by(network: TeacherNetwork, images: Tensor) -> Tensor:
    seen: list[Tensor] = []
    handle = network.net.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        network.eval()(images)
    handle.remove()
    return seen[0]


def test_a_fresh_teacher_sees_the_size_and_statistics_of_the_data(nano: Scale, images: Tensor) -> None:
    seen = seen_by(random(configured("resnet50"), nano), images)
    mean, std = (torch.tensor(DATA[key]).view(3, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(seen, (images - mean) / std)


def test_a_size_that_is_set_wins(nano: Scale, images: Tensor) -> None:
    teacher = configured("resnet50")
    teacher.image_size = 36
    assert seen_by(random(teacher, nano), images).shape == (2, 3, 36, 36)


def test_the_record_beside_the_weights_wins_over_the_data(tmp_path: Path, nano: Scale, images: Tensor) -> None:
    source = random(configured("resnet50"), nano)
    path = tmp_path / "teacher.safetensors"
    save_weights(path, source.net.state_dict(), Inputs((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), 20).metadata())
    network = from_file(configured("resnet50"), nano, path)
    shrunk = F.interpolate(images, (20, 20), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(seen_by(network, images), shrunk / 0.5)


# From a file


def from_file(teacher: Teacher, scale: Scale, path: Path, **changes) -> TeacherNetwork:
    teacher.checkpoint = str(path)
    return build_teacher(teacher, scale, **(DATA | {"source": TeacherSource.checkpoint} | changes))


@pytest.mark.parametrize("name", ["regnety_040", "efficientnet_b0", "resnet50", "deit_b"])
def test_a_nano_teacher_comes_back_from_its_file(tmp_path: Path, name: str, nano: Scale, images: Tensor) -> None:
    source = random(configured(name), nano).eval()
    save_weights(tmp_path / "teacher.safetensors", source.net.state_dict(), source.preprocess.inputs.metadata())
    network = from_file(configured(name), nano, tmp_path / "teacher.safetensors").eval()
    with torch.no_grad():
        assert torch.equal(network(images), source(images))


@pytest.mark.parametrize(("scale", "name"), [("nano", "regnety_040"), ("nano", "deit_b"), ("paper", "regnety_004")])
def test_a_head_for_other_classes_is_refused_with_both_numbers(tmp_path: Path, scale, name, request) -> None:
    size = request.getfixturevalue(scale)
    teacher = configured(name) if name in NAMES else Teacher(name=name)
    torch.save({"model": random(teacher, size, num_classes=7).net.state_dict()}, tmp_path / "seven.pth")
    with pytest.raises(ConfigError, match=r"seven\.pth predicts 7 classes, the data have 10; .*teacher\.source=fit"):
        from_file(teacher, size, tmp_path / "seven.pth")


@pytest.mark.parametrize("scale", ["nano", "paper"])
def test_a_file_without_a_head_never_gets_a_random_one(tmp_path: Path, scale: str, request) -> None:
    size, teacher = request.getfixturevalue(scale), Teacher(name="regnety_004")
    state = random(teacher, size).net.state_dict()
    torch.save({n: t for n, t in state.items() if not n.startswith("head")}, tmp_path / "headless.pth")
    with pytest.raises(ConfigError, match=r"headless\.pth does not fit.*head\.fc\.weight"):
        from_file(teacher, size, tmp_path / "headless.pth")


@pytest.mark.parametrize("scale", ["nano", "paper"])
def test_the_file_of_another_network_is_refused_by_names(tmp_path: Path, scale: str, request) -> None:
    size = request.getfixturevalue(scale)
    torch.save(random(Teacher(name="resnet18"), size).net.state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth does not fit.*stem\.conv\.weight") as refusal:
        from_file(Teacher(name="regnety_004"), size, tmp_path / "other.pth")
    assert len(str(refusal.value)) < 1000


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, nano: Scale) -> None:
    (tmp_path / "notes.pth").write_text("not weights")
    with pytest.raises(ConfigError, match=r"notes\.pth"):
        from_file(configured("resnet50"), nano, tmp_path / "notes.pth")
    with pytest.raises(ConfigError, match=r"pass teacher\.checkpoint=<file>"):
        build_teacher(configured("resnet50"), nano, **DATA, source=TeacherSource.checkpoint)


def test_keys_of_another_code_base_are_translated(tmp_path: Path, paper: Scale) -> None:
    source = regnet_y_400mf(num_classes=10).eval()
    torch.save(source.state_dict(), tmp_path / "torchvision.pth")
    teacher = Teacher(name="regnety_004.tv2_in1k")
    network = from_file(teacher, paper, tmp_path / "torchvision.pth").eval()
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(network.net(images), source(images), rtol=1e-4, atol=1e-5)
    assert "state_dict" not in network.net.pretrained_cfg
    assert network.preprocess.inputs == Inputs((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224)
    with pytest.raises(ConfigError, match="predicts 10 classes, the data have 7"):
        from_file(teacher, paper, tmp_path / "torchvision.pth", num_classes=7)


# Frozen


def test_a_frozen_teacher_answers_with_constants_and_keeps_its_statistics(nano: Scale, images: Tensor) -> None:
    teacher = FrozenTeacher(random(configured("resnet50"), nano), "resnet50")
    before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    teacher.network.train()  # as a careless caller would
    first, second = teacher.answer(images), teacher.answer(images)
    assert torch.equal(first, second)
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.network.state_dict().items())
    assert (first.dtype, first.shape, first.requires_grad) == (torch.float32, (2, 10), False)
    logits = torch.zeros(2, 10, requires_grad=True)
    F.kl_div(logits.log_softmax(1), first.softmax(1), reduction="batchmean").backward()
    assert logits.grad is not None
    assert not any(p.requires_grad for p in teacher.network.parameters())


def test_answers_are_float32_under_autocast(nano: Scale, images: Tensor) -> None:
    teacher = FrozenTeacher(random(configured("resnet50"), nano), "resnet50")
    with torch.autocast("cpu", torch.bfloat16):
        assert teacher.network(images).dtype == torch.bfloat16
        assert teacher.answer(images).dtype == torch.float32


def test_a_module_that_holds_a_frozen_teacher_does_not_contain_it(nano: Scale) -> None:
    module = nn.Linear(2, 2)
    module.teacher = FrozenTeacher(random(configured("resnet50"), nano), "resnet50")
    assert set(module.state_dict()) == {"weight", "bias"}
    assert copy.deepcopy(module).teacher is module.teacher
    assert module.teacher.to("cpu") is module.teacher


def test_an_ensemble_averages_probabilities(nano: Scale, images: Tensor) -> None:
    members = [random(configured(name), nano).eval() for name in ("regnety_040", "resnet50")]
    members[1].net.get_classifier().bias.data.fill_(0).index_fill_(0, torch.tensor([3]), 50.0)  # sure of class 3
    together = FrozenTeacher(Ensemble(members), "both")
    answer = together.answer(images)
    expected = torch.stack([member(images).softmax(-1) for member in members]).mean(0)
    assert torch.allclose(answer.softmax(-1), expected, atol=1e-6)
    assert torch.allclose(answer.exp().sum(-1), torch.ones(2), atol=1e-5)
    assert Ensemble(members).sizes(28) == [28, 28]


def test_a_teacher_sees_the_students_size_on_request(nano: Scale) -> None:
    same = Teacher(name="resnet50.tv_in1k", same_size=True)
    for size in (28, 48):
        assert random(same, nano, image_size=size).sizes(7) == [size]


@pytest.mark.parametrize("name", ["regnety_160", "resnet50", "efficientnet_b0"])
def test_nano_forms_have_no_strided_convolution_of_one_pixel_and_answer_as_if_they_had(name: str, nano: Scale) -> None:
    """In PyTorch 2.14.1 its gradient, channels last on a CPU, writes beyond its memory."""
    net = build_nano(name, nano, width=None, image_size=28, num_classes=10).eval()
    of_one = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert {module.stride for module in of_one} == {(1, 1)}
    skipping = [module for module in of_one if module._forward_pre_hooks]
    images = torch.rand(2, 3, 28, 28)
    answered = net(images)
    for module in skipping:
        module.stride = (2, 2)
        module._forward_pre_hooks.clear()
    torch.testing.assert_close(answered, net(images))
    assert bool(skipping) == (name != "efficientnet_b0"), "which strides in its 3 x 3 alone"
