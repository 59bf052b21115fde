"""YAML files that nothing can be composed of, looked for once composing has failed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf
from yaml import MarkedYAMLError, YAMLError

CONF = Path(__file__).parents[3] / "conf"


def problems(arguments: Sequence[str]) -> list[str]:
    """What is wrong with each file below conf/, and below the ``--config-dir`` of a command line."""
    folders = [CONF]
    for one, after in zip(arguments, [*arguments[1:], ""], strict=True):
        flag, equals, value = one.partition("=")
        if flag in ("--config-dir", "-cd"):
            folders.append(Path(value if equals else after))
    return [text for folder in folders for file in sorted(folder.rglob("*.yaml")) for text in _problems(file)]


def _problems(file: Path) -> Iterator[str]:
    try:
        content = OmegaConf.load(file)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        spaces = "; YAML is indented with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
        yield f"{file}{line}: {error.problem}{spaces}"
    except (YAMLError, ValueError) as error:  # not only YAML can be wrong: so can the letters it is written in
        yield f"{file} is no YAML: {error}"
    except (OSError, RecursionError):
        yield f"{file} must hold keys and values, such as seed: 0"
    else:
        yield from _wrong_defaults(file, content)


def _wrong_defaults(file: Path, content: DictConfig | ListConfig) -> Iterator[str]:
    if not isinstance(content, DictConfig) or "defaults" not in content:
        return
    defaults = content.defaults
    if not isinstance(defaults, ListConfig) or not all(isinstance(item, (str, DictConfig)) for item in defaults):
        yield f"{file}: defaults must be a list of options, each on a line of its own, such as - override /scale: paper"
