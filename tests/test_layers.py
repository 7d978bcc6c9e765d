"""The architecture as tests: who may import whom, what an import costs, how long code may be.

Everything but the package list is checked on the installed modules, so these tests also hold for
a wheel.
"""

import ast
import importlib
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import agentrl

LAYERS = (
    {"errors", "types", "protocols", "signature", "background", "functions"},
    {
        *("parsing", "calls", "template", "chat", "env", "toolenv", "rewards"),
        *("keeps", "answers", "conformance", "spaces", "testing"),
    },
    {"direction", "rollout", "stage", "agents", "samples", "table"},
    {
        *("samplers", "trackers", "budgets", "curricula"),
        *("strategies", "branching", "prefixes", "experience"),
        *("advantages", "agreement", "returns", "segments", "conflicts", "preferences", "teams"),
        *("weightings", "losses", "penalties", "references"),
        "algorithms.base",
    },
    {"algorithms", "catalogue"},
    {
        *(
            "layouts",
            "annotate",
            "companions",
            "schedules",
            "gap",
            "learner",
            "backends",
            "journal",
            "episodes",
            "attribution",
            "record",
        ),
        *("mismatch", "doctor", "clashes"),
        *("config", "slots", "members", "partnership", "combinations", "yamlfile"),
    },
    {
        *(
            "ensemble",
            "session",
            "student",
            "course",
            "decoupled",
            "remote",
            "checkpoint",
            "warmstart",
            "report",
        ),
        *("train", "played", "evaluate", "compare", "lab"),
        *("certify", "export"),
    },
    {"web", "cli", "__main__"},
)
"""Imports point to the same set or to an earlier one. A new module is placed here or fails."""

OUTSIDE = ("envs", "tools", "configs")
ALLOWED = {
    "tools": {"types", "errors", "functions", "background", "tools"},
    "envs": {
        *("env", "toolenv", "functions", "types", "parsing", "calls", "rewards", "errors"),
        *("signature", "tools", "envs", "background", "spaces"),
    },
    "configs": set(),
}
LOADERS = {"agentrl", "agentrl.env", "agentrl.cli.show"}
"""The modules that may import `agentrl.envs` by a string: to register ids and to list them."""

HEAVY = ("torch", "transformers", "gymnasium", "accelerate", "matplotlib", "sqlalchemy")
CHECKOUT = Path(__file__).parents[1]
only_checkout = pytest.mark.skipif(
    not (CHECKOUT / "agentrl" / "__init__.py").exists(),
    reason="NOT CHECKED HERE: the folders of the repository; these tests run on an installed wheel",
)


def find_modules():
    """Every module by its dotted name, in a checkout and in a wheel alike."""
    found = {}
    for package in ("agentrl", *(f"agentrl.{name}" for name in OUTSIDE)):
        root = Path(importlib.import_module(package).__file__).parent
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = find_modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
FUNCTIONS = [
    (name, node)
    for name, tree in TREES.items()
    for node in ast.walk(tree)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
]


def under(name, *packages):
    """Whether a module is one of the packages or lies in one."""
    return any(f"{name}.".startswith(f"agentrl.{package}.") for package in packages)


LIBRARY = [name for name in MODULES if not under(name, *OUTSIDE) and name != "agentrl"]


def is_type_checking(node):
    """Whether a node is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def live_nodes(node):
    """All nodes below, without what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not is_type_checking(child):
            yield child
            yield from live_nodes(child)


def imports(name):
    """`(line, module)` of every import of ours in a module, inside functions too."""
    for node in live_nodes(TREES[name]):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." if node.level else node.module  # relative imports are nobody's
            full = [f"{module}.{alias.name}" for alias in node.names]
            targets = [f if f in MODULES else module for f in full]
        else:
            continue
        yield from (
            (node.lineno, t) for t in targets if t[0] == "." or f"{t}.".startswith("agentrl.")
        )


def layer(name):
    """Index of a module's layer; the longest placed name counts."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        for index, placed in enumerate(LAYERS):
            if ".".join(parts[:length]) in placed:
                return index
    return None


def place(name, line):
    """`file:line`, to click on."""
    return f"{MODULES[name]}:{line}"


def offences(names, allowed):
    """Imports for which `allowed(importer, imported)` is false, one line each."""
    return [
        f"{place(name, line)}: {name} imports {target}"
        for name in names
        for line, target in imports(name)
        if not allowed(name, target)
    ]


def test_every_module_has_a_layer():
    homeless = [name for name in LIBRARY if layer(name) is None]
    assert not homeless, "place these in LAYERS (and in CONTRIBUTING.md)"


def test_imports_point_left():
    def allowed(name, target):
        here, there = layer(name), layer(target)
        return here is None or (there is not None and there <= here)

    assert not offences(LIBRARY, allowed)


@pytest.mark.parametrize("package", OUTSIDE)
def test_environments_and_tools_import_only_their_contract(package):
    names = [name for name in MODULES if under(name, package)]
    assert not offences(names, lambda _, target: under(target, *ALLOWED[package]))


def test_the_library_never_imports_environments_tools_or_configs():
    assert not offences([*LIBRARY, "agentrl"], lambda _, target: not under(target, *OUTSIDE))


def test_only_loaders_import_environments_by_string():
    loads = [
        (name, place(name, node.lineno))
        for name in MODULES
        for node in live_nodes(TREES[name])
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
        if any(isinstance(a, ast.Constant) and under(str(a.value), *OUTSIDE) for a in node.args)
    ]
    assert not [where for name, where in loads if name not in LOADERS]


def test_an_algorithm_imports_another_only_to_change_it():
    papers = {name for name in LIBRARY if layer(name) == 4 and name != "agentrl.algorithms"}
    for name in papers:
        nodes = list(live_nodes(TREES[name]))
        imported = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.module in papers]
        records = {alias.name for node in imported for alias in node.names}
        changed = {id(n.value) for n in nodes if isinstance(n, ast.Attribute) and n.attr == "but"}
        used = [n for n in nodes if isinstance(n, ast.Name) and n.id in records]
        assert not [place(name, n.lineno) for n in used if id(n) not in changed]


@only_checkout
def test_the_package_list_is_the_folders_on_disk():
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]
    roots = {"agentrl": "agentrl", **{f"agentrl.{name}": name for name in OUTSIDE}}
    assert {k: v for k, v in settings["package-dir"].items() if v} == roots
    found = set()
    for package, folder in roots.items():
        for path in (CHECKOUT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml") and "__pycache__" not in path.parts:
                inner = path.parent.relative_to(CHECKOUT / folder).parts
                found.add(".".join((package, *inner)))
    assert sorted(found) == settings["packages"]


@only_checkout
@pytest.mark.parametrize("folder", OUTSIDE)
def test_bare_folders_cannot_be_imported(folder, monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT)
    monkeypatch.delitem(sys.modules, folder, raising=False)
    with pytest.raises(ImportError, match=f"import agentrl.{folder}, not {folder}"):
        importlib.import_module(folder)


def loaded_by(code):
    """Which heavy packages a fresh interpreter holds after some code."""
    code = f"import sys\n{code}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_importing_the_library_is_light():
    assert loaded_by("import agentrl; agentrl.Task, agentrl.Status, agentrl.Policy") == []


def test_the_environment_contract_needs_no_torch():
    assert loaded_by("import agentrl; agentrl.make('agentrl/Echo-v0')") == ["gymnasium"]


def test_the_help_is_light():
    code = "from agentrl.cli import main\nsys.argv = ['agentrl', '--help']\n"
    assert loaded_by(code + "try: main()\nexcept SystemExit as end: assert not end.code") == []


def test_ids_are_registered_for_whoever_imported_gymnasium_first():
    code = "import gymnasium, agentrl; gymnasium.make('agentrl/Echo-v0')"
    assert loaded_by(code) == ["gymnasium"]


@pytest.mark.parametrize("name", agentrl.__all__)
def test_every_public_name_exists(name):
    assert getattr(agentrl, name) is not None


def test_public_names_are_few_and_no_submodules():
    assert sorted(agentrl.__all__) == agentrl.__all__ == sorted(agentrl._HOME)
    assert len(agentrl.__all__) <= 40
    assert not [name for name in agentrl.__all__ if f"agentrl.{name}" in MODULES]


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Trainer"):
        _ = agentrl.Trainer


def length(function):
    """Lines of a function's body. Its signature (the schema) and its docstring don't count."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short():
    lengths = {place(name, node.lineno): length(node) for name, node in FUNCTIONS}
    assert not {where: lines for where, lines in lengths.items() if lines > 40}
    assert statistics.median(lengths.values()) <= 10


def test_files_are_short():
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    papers = {name: 80 for name in LIBRARY if under(name, "algorithms") and layer(name) == 4}
    del papers["agentrl.algorithms"]  # the name table
    assert not {name: n for name, n in lines.items() if n > papers.get(name, 300)}
