"""The shape of the code: what a newcomer relies on to find things."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small_and_say_what_they_hold(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert len(text.splitlines()) <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{node.name} is too long to read at once"
    assert path.stem not in {"utils", "common", "helpers", "misc"}


def test_entry_scripts_are_tables_of_contents() -> None:
    for script in (ROOT / "src").glob("*.py"):
        assert len(script.read_text().splitlines()) <= 40


def test_every_recipe_file_opens_with_what_it_is() -> None:
    for path in (ROOT / "conf").glob("*/*.yaml"):
        assert path.read_text().startswith("# "), path
