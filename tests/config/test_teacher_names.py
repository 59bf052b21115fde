"""A teacher is called by what its weights are; the published name is for published weights."""

import pytest

from deit.config.teacher_names import teacher_label, teacher_slug
from deit.config.teaching import TeacherSource

NAME = "regnety_160.deit_in1k"


@pytest.mark.parametrize(
    ("source", "is_nano", "label", "slug"),
    [
        (TeacherSource.fit, True, "regnety_160 (nano, fitted on digits)", "regnety_160-nano-fitted"),
        (TeacherSource.fit, False, "regnety_160 (fitted on digits)", "regnety_160-fitted"),
        (TeacherSource.finetune, False, f"{NAME} (fine-tuned on digits)", f"{NAME}-finetuned"),
        (TeacherSource.checkpoint, True, "regnety_160 (nano, weights of t.pth)", "regnety_160-nano-file"),
        (TeacherSource.random, True, "regnety_160 (nano, random weights)", "regnety_160-nano-random"),
        (TeacherSource.pretrained, False, NAME, NAME),
    ],
)
def test_only_published_weights_have_the_published_name(
    source: TeacherSource, is_nano: bool, label: str, slug: str
) -> None:
    assert teacher_label(NAME, source, is_nano=is_nano, data="digits", file="/a/t.pth") == label
    assert teacher_slug(NAME, source, is_nano=is_nano) == slug
