"""Which part of the package may import which: the table is the documentation."""

import ast
from pathlib import Path

import pytest

import unfair_bp

PACKAGE = Path(unfair_bp.__file__).parent
COMMANDS = {
    "train",
    "sweep",
    "evaluate",
    "plots",
    "report",
    "schedule",
    "quirks",
    "published",
    "collapse",
    "benchmark",
}
# For each part, what it may import besides itself; a name with a dot allows that module alone.
MAY_IMPORT = {
    "errors": set(),
    "console": {"environment"},
    "environment": {"errors"},
    "files": {"errors", "console"},
    "experiment": {"errors"},
    "backprop": {"experiment", "environment"},
    "data": {"errors", "experiment", "files", "console", "environment"},
    "running": {"errors", "experiment", "backprop", "data", "files", "console"},
    "results": {"errors", "environment", "experiment", "running.directory", "running.metrics"},
    "figures": {
        "errors",
        "experiment",
        "files",
        "console",
        "environment",
        "running.metrics",
        "results",
    },
    "reporting": {"errors", "experiment", "results", "figures", "files", "console"},
    "measuring": {"errors", "experiment", "backprop", "data", "running", "console"},
    "sweeping": {
        "errors",
        "environment",
        "experiment",
        "data",
        "running",
        "commandline",
        "files",
        "console",
    },
    "commandline": {"errors", "experiment", "console", "running.directory"},
}
ANYTHING_BUT_COMMANDS = {"commandline", *MAY_IMPORT}
MAY_IMPORT.update({command: ANYTHING_BUT_COMMANDS for command in COMMANDS})
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imports_of(path):
    """The package's modules that a module imports, as in ``running.metrics``."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted = [alias.name.split(".") for alias in node.names]
            found |= {".".join(name[1:]) for name in dotted if name[0] == "unfair_bp"} - {""}
        if not isinstance(node, ast.ImportFrom):
            continue
        assert node.level == 0, f"{path} has a relative import"
        if node.module.split(".")[0] == "unfair_bp":
            inside = node.module.split(".")[1:]
            for alias in node.names:
                name = ".".join([*inside, alias.name])
                is_module = (PACKAGE / (name.replace(".", "/") + ".py")).exists()
                found.add(name if is_module or not inside else ".".join(inside))
    return {name for name in found if not name.startswith("__")}


def part_of(module):
    """The part of the house that a module belongs to."""
    return module.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_follow_the_table(path):
    """Breaks if a module imports a part that does not stand below it."""
    if path.name in ("__init__.py", "__main__.py") and len(path.parts) == 1:
        return  # the front door and the list of commands
    part = part_of(".".join(path.with_suffix("").parts))
    allowed = MAY_IMPORT[part]
    for module in imports_of(path):
        if part_of(module) != part:
            assert part_of(module) in allowed or module in allowed, f"{path} imports {module}"


def test_the_table_permits_no_more_than_is_used():
    """Breaks if a part may import what it does without, so that the table says too much."""
    used = {part: set() for part in MAY_IMPORT}
    for path in MODULES:
        if path.name not in ("__init__.py", "__main__.py") or len(path.parts) > 1:
            part = part_of(".".join(path.with_suffix("").parts))
            used[part] |= {other for other in imports_of(path) if part_of(other) != part}
    for part in MAY_IMPORT.keys() - COMMANDS:
        needed = {other for module in used[part] for other in (module, part_of(module))}
        assert needed >= MAY_IMPORT[part], f"{part}: {MAY_IMPORT[part] - needed}"


def test_only_the_graph_asks_for_fast_forms():
    """Breaks if the plain maths comes to depend on the fast forms."""
    users = [
        str(path)
        for path in MODULES
        if path.parts[0] == "backprop"
        and "fast" not in path.parts
        and any(module.startswith("backprop.fast") for module in imports_of(path))
    ]
    assert users == ["backprop/graph.py"]


def test_figures_and_plain_values_need_no_tensorflow():
    """Breaks if a picture, or the description of a run, takes seconds to import."""
    for path in MODULES:
        if path.parts[0] in ("experiment", "figures", "results"):
            assert not any(module.startswith("backprop") for module in imports_of(path)), path


def test_no_circle():
    """Breaks if two modules import each other, directly or on a way round."""
    graph = {".".join(path.with_suffix("").parts): imports_of(path) for path in MODULES}
    done, open_now = set(), []

    def visit(module):
        assert module not in open_now, " -> ".join([*open_now, module])
        if module in done:
            return
        open_now.append(module)
        for other in sorted(graph.get(module, ())):
            visit(other)
        open_now.pop()
        done.add(module)

    for module in graph:
        visit(module)
