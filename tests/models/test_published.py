import time
from pathlib import Path

import pytest
import timm
import torch

from deit.config.errors import ConfigError
from deit.config.network import Scale
from deit.config.teaching import Teacher, TeacherSource
from deit.models.preprocess import Inputs
from deit.models.teachers import build_teacher

DATA = {"image_size": 28, "num_classes": 10, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("scale", ["nano", "paper"])
def test_without_a_network_the_way_out_is_told_at_once(scale: str, request: pytest.FixtureRequest) -> None:
    started = time.perf_counter()
    with pytest.raises(ConfigError) as refusal:
        build_teacher(
            Teacher(name="regnety_160.deit_in1k"),
            request.getfixturevalue(scale),
            **(DATA | {"num_classes": 1000, "source": TeacherSource.pretrained}),
        )
    message = str(refusal.value)
    assert message.startswith("the published weights of regnety_160.deit_in1k could not be had (")
    assert "teacher.checkpoint=<file>, such as regnety_160-a5fe301d.pth from https://" in message
    assert "\n" not in message
    assert time.perf_counter() - started < 10  # the hub's own retries alone take longer


@pytest.mark.usefixtures("no_network")
def test_published_weights_for_other_classes_are_refused_before_any_download(paper: Scale) -> None:
    with pytest.raises(ConfigError, match=r"predict 1000 classes, the data have 10; pass teacher\.source=fit"):
        build_teacher(Teacher(name="regnety_160.deit_in1k"), paper, **DATA, source=TeacherSource.pretrained)


def test_published_weights_bring_their_own_head_size_and_statistics(no_network: Path, paper: Scale) -> None:
    source = timm.create_model("deit_tiny_patch16_224").eval()
    torch.save({"model": source.state_dict()}, no_network / "deit_tiny_patch16_224-a1311bcf.pth")
    teacher = Teacher(name="deit_tiny_patch16_224.fb_in1k")
    published = DATA | {"num_classes": 1000, "source": TeacherSource.pretrained}
    network = build_teacher(teacher, paper, **published).eval()
    assert network.preprocess.inputs == Inputs((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224)
    images = torch.rand(1, 3, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(network(images), source(network.preprocess(images)))
    teacher.image_size = 112
    network = build_teacher(teacher, paper, **published)
    assert network.net.pos_embed.shape == (1, 1 + 7 * 7, 192)


def test_fine_tuning_takes_all_but_the_head_of_published_weights(no_network: Path, paper: Scale) -> None:
    source = timm.create_model("deit_tiny_patch16_224")
    torch.save({"model": source.state_dict()}, no_network / "deit_tiny_patch16_224-a1311bcf.pth")
    teacher = Teacher(name="deit_tiny_patch16_224.fb_in1k", num_classes=1000)
    network = build_teacher(teacher, paper, **DATA, source=TeacherSource.finetune)
    assert network.preprocess.inputs.image_size == 224
    assert network.net.head.weight.shape == (10, 192)
    body = {name: tensor for name, tensor in network.net.state_dict().items() if not name.startswith("head.")}
    torch.testing.assert_close(body, {name: source.state_dict()[name] for name in body})
