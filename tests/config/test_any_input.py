"""Whatever is typed or written into a file, a run begins with what was meant, or one message says why it does not.

DEIT_EXAMPLES=2000 tries more than `make test` has the time for.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from deit.config.compose import fingerprint, plain
from deit.config.mistakes import GROUPS, known_keys
from deit.config.schema import Config
from in_process import Typed

CONF = Path(__file__).parents[2] / "conf"
trying = settings(
    max_examples=int(os.environ.get("DEIT_EXAMPLES", "30")),
    derandomize="DEIT_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

LETTERS = "ab01.-_ ,;:=+~@#$%*\\'\"[]{}()\n\té中"
"""Of what Hydra's grammar and YAML give a meaning to, some, and none of a path: no folder of this machine is read."""
options = st.sampled_from(sorted({path.stem for path in CONF.glob("*/*.yaml")}))
numbers = st.one_of(st.integers(), st.integers(-2, 40), st.floats(), st.floats(0, 1)).map(str)
references = st.sampled_from(("${seed}", "${scale.lr}", "${nowhere}", "${", "${oc.env:HOME_OF_NOBODY}", "${a:1}"))
words = st.sampled_from(("null", "None", "true", "FALSE", "", "auto", "[]", "{}", "[1,2]", "range(0,3)", "'a b'"))
values = st.one_of(options, numbers, words, references, st.text(LETTERS, max_size=8))
keys = st.one_of(st.sampled_from([*known_keys(), *GROUPS]), st.sampled_from(GROUPS), st.text(LETTERS, max_size=6))
signs = st.sampled_from(("", "", "", "+", "++", "~", "--"))
overrides = st.builds("{}{}={}".format, signs, keys, values)
arguments = st.lists(st.one_of(overrides, overrides, values, st.just("-m")), max_size=3)


def mappings(inner: st.SearchStrategy) -> st.SearchStrategy[dict]:
    names = st.one_of(keys.map(lambda key: key.rpartition(".")[2]), st.just("defaults"))
    return st.dictionaries(names, inner, max_size=3)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), values)
trees = st.recursive(scalars, lambda deeper: st.one_of(st.lists(deeper, max_size=2), mappings(deeper)), max_leaves=4)
written = st.one_of(mappings(trees).map(yaml.safe_dump), st.text(LETTERS, max_size=20))
files = st.builds("{}{}".format, st.sampled_from(("# @package _global_\n", "# @package _global_\n", "")), written)


def judge(typed: Typed, before: set[Path], folder: Path) -> None:
    """Whether a command began to work on what it can write down and read again, or was refused in words."""
    assert "Traceback" not in typed.said
    if typed.status == 0:
        for config in typed.begun:
            kept = yaml.safe_load(yaml.safe_dump(plain(config), sort_keys=False))
            again = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), kept))
            assert again == config
            assert isinstance(again, Config)
            assert fingerprint(again) == fingerprint(config)
    else:
        assert typed.status == 2, typed.said
        assert typed.said.strip(), "a mistake is told"
        assert set(folder.rglob("*")) == before, "nothing is written"


@trying
@given(arguments)
@example(["distill=soft", "distill.tau=2.5", "optim.ema=0.99996", "model.layer_scale=1e-5", "name=é: 中"])
def test_whatever_is_typed(type_in: Callable[..., Typed], given_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        judge(type_in(Path(folder), "train.py", *given_), set(), Path(folder))


@trying
@given(files)
@example("# @package _global_\noptim:\n  lr: 1e-3\nseed: 3\n")
def test_whatever_is_written_into_a_file(type_in: Callable[..., Typed], text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "local/default.yaml"
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
        judge(type_in(Path(name), "train.py", "--config-dir", "."), {file, file.parent}, Path(name))
