"""YAML files that nothing can be composed of, looked for once composing has failed: Hydra does not name them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra._internal.config_repository import ConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from yaml import MarkedYAMLError

CONF = Path(__file__).parents[3] / "conf"
HOLDS = "a file holds keys and values, and its defaults are a list of options, such as - override /scale: paper"


def problems(arguments: Sequence[str]) -> list[str]:
    """What is wrong with each file below conf/, and below the ``--config-dir`` of a command line."""
    folders = [CONF]
    for one, after in zip(arguments, [*arguments[1:], ""], strict=True):
        flag, equals, value = one.partition("=")
        if flag in ("--config-dir", "-cd"):
            folders.append(Path(value if equals else after))
    return [text for folder in folders for text in _problems(folder)]


def _problems(folder: Path) -> Iterator[str]:
    place = ConfigSearchPathImpl()
    place.append("looked at", f"file://{folder.absolute()}")
    reader = ConfigRepository(place)
    for file in sorted(folder.rglob("*.yaml")):
        try:
            reader.load_config(str(file.relative_to(folder).with_suffix("")))
        except MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            spaces = "; YAML is indented with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
            yield f"{file}{line}: {error.problem}{spaces}"
        except Exception as error:  # Hydra and PyYAML tell what is wrong by exceptions of a dozen kinds
            why = str(error) or type(error).__name__
            yield f"{file} cannot be read: {why}; {HOLDS}"
