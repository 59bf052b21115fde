"""No file is read in a way that could run what stands in it: neither now nor after the next change."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))

UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
HARMLESS = {"UnpicklingError"}
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen"),
    *("np.loadtxt", "np.genfromtxt", "torch.jit.load", "torch.hub.load", "torch.package"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader"),
    *("tarfile.open", "shutil.unpack_archive", "hydra.utils.instantiate", "instantiate", "Markup.format"),
}
FORBIDDEN_METHODS = {"extractall", "extract", "load_from_checkpoint", "read_pickle"}
NEEDED = {
    "torch.load": ("weights_only", "True"),
    "np.load": ("allow_pickle", "False"),
    "numpy.load": ("allow_pickle", "False"),
    "Environment": ("autoescape", "True"),
}
"""What a call must say for itself, whatever its library's default is."""


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Everything in a module that could run what a file says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in UNPICKLERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLERS:
            yield from (name.name for name in node.names if name.name not in HARMLESS)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in FORBIDDEN:
            yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            yield from unsafe_call(node)


def unsafe_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in FORBIDDEN or (isinstance(call.func, ast.Attribute) and call.func.attr in FORBIDDEN_METHODS):
        yield name
    if name in NEEDED and said.get(NEEDED[name][0]) != NEEDED[name][1]:
        yield f"{name} without {'='.join(NEEDED[name])}"
    if name == "yaml.load" and "SafeLoader" not in said.get("Loader", ""):
        yield "yaml.load without a safe loader"
    if said.get("shell") == "True":
        yield f"{name} through a shell"
    if "ckpt_path" in said and said.get("weights_only") != "True":
        yield f"{name} of a checkpoint without weights_only=True"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_reads_a_file_in_a_way_that_could_run_it(path: Path) -> None:
    assert list(unsafe(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trusted)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.load(text, yaml.UnsafeLoader)",
        "eval(text)",
        "archive.extractall(folder)",
        "Module.load_from_checkpoint(path)",
        "trainer.fit(module, ckpt_path=path)",
        "trainer.test(module, ckpt_path=path, weights_only=None)",
        "hydra.utils.instantiate(config)",
        "subprocess.run(text, shell=True)",
        "Environment(undefined=StrictUndefined)",
    ],
)
def test_unsafe_lines_are_found(line: str) -> None:
    assert list(unsafe(ast.parse(line))) != []


@pytest.mark.parametrize(
    "line",
    [
        "from pickle import UnpicklingError",
        "torch.load(path, weights_only=True, mmap=True)",
        'yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))',
        "yaml.safe_load(text)",
        "trainer.fit(module, ckpt_path=path, weights_only=True)",
    ],
)
def test_safe_lines_are_not(line: str) -> None:
    assert list(unsafe(ast.parse(line))) == []
