"""ImageNet's relatives as timm's validate.py has them."""

from importlib import resources

import numpy as np
import pytest
import torch
from timm.data import RealLabelsImagenet

from deit.evaluation import imagenet
from deit.models.class_names import imagenet_classes

INFO = resources.files("timm.data") / "_info"


@pytest.mark.parametrize("name", ["a", "r"])
def test_the_classes_of_a_subset_are_those_of_its_folders(name: str) -> None:
    synsets = (INFO / f"imagenet_{name}_synsets.txt").read_text().split()
    chosen = imagenet.subset(name)
    assert [imagenet_classes(1000)[label] for label in chosen] == synsets
    assert len(set(chosen)) == 200
    assert list(chosen) == sorted(chosen)


def test_real_labels_are_timms_by_the_files_names() -> None:
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 50_001)]
    theirs = RealLabelsImagenet(names).real_labels
    assert [imagenet.val_number(name) for name in names] == list(range(50_000))
    assert [sorted(labels) for labels in imagenet.real_labels()] == [sorted(theirs[name]) for name in names]
    assert sum(not labels for labels in imagenet.real_labels()) == 3163  # Beyer et al. keep 46,837 images


@pytest.mark.parametrize(
    "name", ["1.jpg", "ILSVRC2012_val_00000000.JPEG", "ILSVRC2012_val_00050001.JPEG", "ILSVRC2012_test_00000001.JPEG"]
)
def test_other_files_have_no_number(name: str) -> None:
    assert imagenet.val_number(name) is None


def test_a_mask_keeps_the_columns_that_timm_keeps() -> None:
    logits = torch.randn(8, 1000, generator=torch.Generator().manual_seed(0))
    theirs = [int(line) for line in (INFO / "imagenet_r_indices.txt").read_text().splitlines()]
    assert torch.equal(logits[:, torch.tensor(imagenet.subset("r"))], logits[:, theirs])
    assert np.unique(theirs).size == 200
