"""What may be asked of src/evaluate.py, and which settings count."""

from collections.abc import Callable

import pytest

from deit.assessment.request import V2, read, settings
from deit.config.errors import ConfigError
from deit.config.schema import Config


def test_v2_stands_for_its_three_variants_and_no_set_comes_twice() -> None:
    assert read(["checkpoint=a", "sets=val,v2,v2-top-images,val"]).set_names == ("val", *V2)


WRONG = [
    ([], "checkpoint must be given; pass checkpoint=logs/runs/<run>"),
    (["checkpoint=a", "sets=sketsh"], "sets must be of test, val, real"),
    (["checkpoint=a", "sets=sketsh"], "got sketsh. Pass sets=sketch."),
    (["checkpoint=a", "sets=train"], "got train. Pass sets=test."),
    (["checkpoint=a", "output=x.html"], "output must be a folder, got x.html, a file's name. Pass output=x."),
    (["checkpoint=a", "sets=,"], "names no set; pass sets=test"),
    (["checkpoint=a,b,a"], "checkpoint names a twice"),
    (["checkpoint=a", "batch_size=0"], "batch_size=0 must be above zero"),
    (["checkpoint=a", "r=."], "r=. is the folder of a set that is not asked for; pass sets=r too"),
    (["checkpoint=a", "sets=v2", "v2=/nowhere"], "v2=/nowhere is no folder"),
    (["checkpoint=a", "output=pyproject.toml"], "output=pyproject.toml is a file"),
    (["checkpoint=a", "sets=x", "batch_size=-1"], "2 problems:"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_wrong_request_is_told_with_what_to_type(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(words)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "override",
    ["model=deit_s", "seed=1", "optim.batch_size=8", "data.flip=0", "data.pack=256", "trainer.compile=true",
     "trainer.num_nodes=2", "resolution=384", "distill.fusion=logits"],
)  # fmt: skip
def test_a_setting_that_would_do_nothing_is_refused(override: str, config: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match="says nothing to an evaluation"):
        settings(config(override), [override], None)


def test_what_is_not_typed_is_as_the_run_was_made(config: Callable[..., Config]) -> None:
    own = config("data.seed=7", "trainer=ddp", "trainer.devices=2", "trainer.precision=bf16-mixed", "data.workers=3")
    typed = ["data.workers=2"]
    found = settings(config(*typed), typed, own)
    assert (found.data.seed, found.data.workers, found.trainer.precision) == (7, 2, "bf16-mixed")
    assert found.trainer.world_size == 1, "devices are of this machine"
    assert found.crop is None


def test_a_group_that_is_typed_is_taken_whole(config: Callable[..., Config]) -> None:
    own = config("data.seed=7", "trainer.precision=bf16-mixed")
    typed = ["data=digits", "trainer=ddp", "trainer.devices=2", "augment.eval_crop=0.5"]
    found = settings(config(*typed), typed, own)
    assert (found.data.seed, found.trainer.precision, found.trainer.devices, found.crop) == (0, "32-true", 2, 0.5)


def test_shards_and_data_that_are_gone_are_refused(config: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match="pass trainer=ddp"):
        settings(config("trainer=fsdp"), ["trainer=fsdp"], None)
    own = config("data=folder", "data.root=/nowhere")
    with pytest.raises(ConfigError, match=r"data\.root=/nowhere does not exist"):
        settings(config(), [], own)
