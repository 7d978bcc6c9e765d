"""Golden cases -> the callables that training runs: one module of `bindings/` per family of papers.

`BINDINGS[(name, piece)](**options, **inputs, groups=...)` returns the outputs by name. An adapter
only reshapes: it builds the groups or the table that the case describes, calls the part that fills
the record's slot (options are the part's arguments, so a wrong one is an error), and reads rows
back as nested lists `[group][attempt]...`. A new paper adds its pieces to the dict at the end of
the module of its family.
"""

from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent / "bindings"
MODULES = [import_module(f"bindings.{path.stem}") for path in sorted(FOLDER.glob("*.py"))]


def gathered(name):
    """One table of every family, in one."""
    return {key: value for m in MODULES for key, value in getattr(m, name, {}).items()}


WITHOUT_NUMBERS = {
    *("active_vln", "air_quality", "co_grpo", "game_rl", "grpo_guard", "syn_grpo", "vgpo"),
    *("gigpo", "reinforce"),
}
"""No formula is published or used, or the index lacks the paper."""


def golden_file(module):
    """The numbers of an algorithm's file; a second file of one paper shares the first one's."""
    folder = FOLDER.parent / "golden"
    if module in WITHOUT_NUMBERS:
        return None
    paths = [p for p in folder.glob("*.yaml") if f"{module}_".startswith(f"{p.stem}_")]
    return max(paths, key=lambda path: len(path.stem), default=None)


BINDINGS = gathered("BINDINGS")
LEARN = gathered("LEARN")
"""Settings that a record asks for on `echo`: changes of its own slots, in the form of YAML."""
EXEMPT = gathered("EXEMPT")
"""Records that no gradient step on `echo` can prove: `tests/file.py::test` that proves them."""
