"""The network of a checkpoint is found beside losses, metrics, teachers and averages."""

import logging
from pathlib import Path

import pytest
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.resnet import resnet18
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from deit.config.errors import ConfigError
from deit.models.files import read_state, read_weights

SHAPE = {"img_size": 16, "patch_size": 8, "embed_dim": 64, "depth": 1, "num_heads": 1, "num_classes": 3}
NETWORKS = {
    "DeiT": VisionTransformer(**SHAPE).state_dict(),
    "distilled": VisionTransformerDistilled(**SHAPE).state_dict(),
    "convnet": resnet18(num_classes=3).state_dict(),
}
Content = dict[str, Tensor]


def under(prefix: str, state: Content, add: float = 0) -> Content:
    return {prefix + name: tensor + add for name, tensor in state.items()}


BESIDE = {
    "criterion": {"criterion.weight": torch.ones(3)},
    "metrics": {
        "val_acc.tp": torch.zeros(3),
        "train_f1.fn": torch.zeros(3),
        "test_confusion.confmat": torch.ones(3, 3),
    },
    "loss": {"loss_fn.weight": torch.ones(3), "n_averaged": torch.tensor(4)},
    "scale": {"log_vars": torch.ones(2)},
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("prefix", ["model.", "net.", "backbone.", "student.", "module.model.", "model._orig_mod."])
@pytest.mark.parametrize("network", NETWORKS)
def test_what_lies_beside_a_network_is_left_out_and_named(
    network: str, prefix: str, beside: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = NETWORKS[network]
    torch.save({"state_dict": under(prefix, state) | BESIDE[beside], "epoch": 3}, tmp_path / "a.ckpt")
    with caplog.at_level(logging.WARNING):
        found = read_weights(tmp_path / "a.ckpt")
    assert found.state.keys() == state.keys()
    assert set(found.dropped) == set(BESIDE[beside])
    assert all(name in caplog.text for name in BESIDE[beside])


@pytest.mark.parametrize("network", NETWORKS)
def test_of_a_student_and_its_teacher_the_student_is_read(network: str, tmp_path: Path) -> None:
    student, teacher = NETWORKS[network], NETWORKS["convnet" if network == "DeiT" else "DeiT"]
    for first in ("student.", "model.", "student.model."):
        torch.save({"state_dict": under("teacher.", teacher) | under(first, student, 1)}, tmp_path / "kd.ckpt")
        found = read_weights(tmp_path / "kd.ckpt")
        assert found.state.keys() == student.keys()
        assert all(torch.equal(found.state[name], student[name] + 1) for name in student)
        assert found.dropped == (f"teacher.* ({len(teacher)} tensors)",)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": under("", NETWORKS["DeiT"]), "state_dict_ema": under("", NETWORKS["DeiT"], 1)},
        {"state_dict": under("", NETWORKS["DeiT"]), "state_dict_ema": under("module.", NETWORKS["DeiT"], 1)},
        {"model": under("", NETWORKS["DeiT"]), "model_ema": under("module.", NETWORKS["DeiT"], 1)},
        {"model": under("", NETWORKS["DeiT"]), "ema": {"module": under("", NETWORKS["DeiT"], 1), "updates": 7}},
        {"state_dict": under("model.", NETWORKS["DeiT"]) | under("ema_model.module.", NETWORKS["DeiT"], 1)},
        {"state_dict": under("net.", NETWORKS["DeiT"]) | under("model_ema.module.", NETWORKS["DeiT"], 1)},
        # Lightning's WeightAveraging keeps the average where others have the raw weights
        {
            "state_dict": under("model.", NETWORKS["DeiT"], 1),
            "current_model_state": under("model.", NETWORKS["DeiT"]),
            "averaging_state": {"n_averaged": torch.tensor(3)},
        },
    ],
    ids=["timm", "timm DDP", "official", "ema.module", "ema_model.", "model_ema.", "Lightning's averaging"],
)
def test_averages_of_every_kind_are_told_from_raw_weights(content: dict, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "both.pth")
    raw, average = read_weights(tmp_path / "both.pth"), read_weights(tmp_path / "both.pth", ema=True)
    expected = NETWORKS["DeiT"]
    assert raw.has_average
    assert raw.state.keys() == average.state.keys() == expected.keys()
    assert all(torch.equal(raw.state[name], expected[name]) for name in expected)
    assert all(torch.equal(average.state[name], expected[name] + 1) for name in expected)


def test_one_of_several_networks_is_kept_by_the_line_that_is_printed(tmp_path: Path) -> None:
    both = under("query.", NETWORKS["DeiT"]) | under("key.", NETWORKS["DeiT"], 1)
    torch.save({"state_dict": both}, tmp_path / "pair.ckpt")
    with pytest.raises(ConfigError, match=r"several networks, whose names begin with query\., key\.") as refusal:
        read_state(tmp_path / "pair.ckpt")
    line = "torch.save(" + str(refusal.value).partition("torch.save(")[2]
    exec(line, {"torch": torch})
    kept = read_state(tmp_path / "pair-tensors.pth")
    assert torch.equal(kept["norm.weight"], NETWORKS["DeiT"]["norm.weight"] + 1)


def test_a_module_that_stands_in_a_larger_one_twice_is_one_network(tmp_path: Path) -> None:
    state = NETWORKS["DeiT"]
    twice = {f"{prefix}.{name}": tensor for prefix in ("model", "backbone") for name, tensor in state.items()}
    torch.save({"state_dict": twice}, tmp_path / "twice.ckpt")
    assert read_state(tmp_path / "twice.ckpt").keys() == state.keys()


def test_weights_under_an_unusual_key_are_found(tmp_path: Path) -> None:
    torch.save({"my_net": NETWORKS["DeiT"], "optimizer": {"state": {}, "lr": 1}}, tmp_path / "a.pth")
    assert read_state(tmp_path / "a.pth").keys() == NETWORKS["DeiT"].keys()
    torch.save({"one": NETWORKS["DeiT"], "two": NETWORKS["DeiT"]}, tmp_path / "b.pth")
    with pytest.raises(ConfigError, match=r"b\.pth holds no weights under one of .*; its keys are one, two"):
        read_state(tmp_path / "b.pth")
