"""Stochastic depth by sample: its masks do not depend on the batch that a sample is in."""

import pytest
import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn

from deit.config.network import Family, Model, Scale
from deit.data.keys import depth_numbers
from deit.models.stochastic_depth import KeyedDropPath, keyed_drop_paths, num_masks, set_numbers
from deit.models.students import Student, build_student

IDENTITY = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
STUDENTS = {
    "deit": Model(name="deit_ti", heads=3, drop_path=0.5, drop_path_grows=False),
    "deit3": Model(name="deit3", family=Family.deit3, heads=3, layer_scale=1.0, drop_path=0.5, drop_path_grows=False),
    "cait": Model(name="cait", family=Family.cait, heads=4, head_dim=48, depth=24, layer_scale=1.0, drop_path=0.5),
    "timm": Model(name="timm", family=Family.timm, net="mobilenetv3_small_050", drop_path=0.5),
}


def student_of(name: str, nano: Scale, **changes: object) -> Student:
    torch.manual_seed(0)
    model = Model(**vars(STUDENTS[name]) | changes)
    student = build_student(model, nano, image_size=28, token=False, num_classes=10, **IDENTITY).train()
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # statistics of a batch depend on the batch
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return student


def logits(student: Student, images: Tensor, indices: Tensor, epoch: int = 0) -> Tensor:
    paths = keyed_drop_paths(student)
    set_numbers(paths, depth_numbers(0, epoch, torch.zeros_like(indices), indices, num_masks(paths)))
    return student(images).classes


def test_a_sample_is_dropped_where_its_number_is_below_the_rate() -> None:
    path = KeyedDropPath(0.25).train()
    path.set_numbers(torch.tensor([[0.1, 0.25, 0.9]]))
    assert path(torch.ones(3, 2, 2))[:, 0, 0].tolist() == pytest.approx([0, 4 / 3, 4 / 3])
    assert torch.equal(path.eval()(torch.ones(3, 2)), torch.ones(3, 2))


@pytest.mark.parametrize("name", STUDENTS)
def test_a_sample_has_the_same_masks_in_any_batch(nano: Scale, name: str) -> None:
    student = student_of(name, nano)
    images, indices = torch.rand(8, 3, 28, 28), torch.arange(8)
    with torch.no_grad():
        whole = logits(student, images, indices)
        halves = [logits(student, images[part], indices[part]) for part in (slice(0, 8, 2), slice(1, 8, 2))]
        torch.testing.assert_close(torch.stack(halves, dim=1).flatten(0, 1), whole, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(logits(student, images, indices + 8), whole, atol=1e-3), "others have other masks"
        assert not torch.allclose(logits(student, images, indices, epoch=1), whole, atol=1e-3)


@pytest.mark.parametrize("name", STUDENTS)
def test_every_module_is_keyed_and_has_a_row_for_each_call(nano: Scale, name: str) -> None:
    student = student_of(name, nano)
    assert not [module for module in student.modules() if type(module) is DropPath]
    calls = dict.fromkeys(keyed_drop_paths(student), 0)
    for path in calls:
        path.register_forward_hook(lambda module, *_: calls.__setitem__(module, calls[module] + 1))
    student(torch.rand(2, 3, 28, 28))
    assert calls
    assert all(path.num_calls == number for path, number in calls.items())


@pytest.mark.parametrize("name", ["deit", "cait"])
def test_blocks_that_are_computed_twice_have_the_same_masks_twice(nano: Scale, name: str) -> None:
    gradients = []
    for twice in (False, True):
        student = student_of(name, nano, checkpoint_blocks=twice)
        logits(student, torch.full((4, 3, 28, 28), 0.3), torch.arange(4)).square().sum().backward()
        gradients.append([parameter.grad for parameter in student.parameters()])
    torch.testing.assert_close(*gradients)
