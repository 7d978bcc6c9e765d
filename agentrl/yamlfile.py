"""Configurations as text: where a file is found, where a key was written, what an override does.

`config.py` decides what the keys mean; here they are only nested mappings whose every key
remembers its file and line, or its override, for the error message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agentrl.errors import ConfigError, boundary, suggestion

Tree = dict[str, Any]
Places = dict[str, str]
"""Dotted key -> `file:line` or the override that set it."""


def read_tree(source: str | Path, overrides: Sequence[str] = ()) -> tuple[Tree, Places, str]:
    """The mapping of a configuration after its overrides, every key's place, and the file.

    Raises:
        ConfigError: no such configuration, not YAML, not a mapping, a key given twice.
    """
    path, text = read_config(source)
    tree, places = parse_yaml(text, path)
    if is_run(Path(source)):
        folder = Path(source)  # wherever it was when it was written
        tree["out"] = str(folder.parent if tree.get("only") else folder)
    for override in overrides:
        apply_override(tree, places, override)
    return tree, places, path


def is_run(path: Path) -> bool:
    """Whether a path is a run's folder, and not one of its checkpoints."""
    return (path / "run.yaml").is_file() and not (path / "state.json").exists()


def read_config(source: str | Path) -> tuple[str, str]:
    """Path and text of a configuration: a file, a run's folder, or a name that comes with agentrl.

    Raises:
        ConfigError: there is none, with the closest name; or it is no text.
    """
    path = Path(source)
    if path.is_dir() and (path / "run.yaml").exists():
        path = path / "run.yaml"
    if path.is_file():
        with boundary(ConfigError, f"cannot read {str(path)!r}, give a YAML file in UTF-8"):
            return str(path), path.read_text(encoding="utf-8")
    from importlib.resources import files

    shipped = files("agentrl.configs")
    names = sorted(
        f.name.removesuffix(".yaml") for f in shipped.iterdir() if f.name.endswith(".yaml")
    )
    name = path.name.removesuffix(".yaml")
    if name in names and path.parent in (Path(), Path("configs")):  # else it is a mistyped path
        return str(source), (shipped / f"{name}.yaml").read_text(encoding="utf-8")
    raise ConfigError(
        f"no configuration {str(source)!r}: give a YAML file, a run's folder, or a shipped name, "
        + suggestion(name, names)
    )


def parse_yaml(text: str, path: str) -> tuple[Tree, Places]:
    """The mapping in a YAML text and the place of every dotted key. Raises: ConfigError."""
    places: Places = {}
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} is empty or not a mapping: it needs at least `env:`")
    _walk(root, "", path, places)
    return tree, places


def _walk(node: Any, prefix: str, path: str, places: Places) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        dotted = f"{prefix}{key.value}"
        where = f"{path}:{key.start_mark.line + 1}"
        if dotted in places:
            first = places[dotted].rpartition(":")[2]
            raise ConfigError(f"{where}: the key {dotted!r} is given twice, first in line {first}")
        places[dotted] = where
        _walk(value, f"{dotted}.", path, places)


def apply_override(tree: Tree, places: Places, override: str) -> None:
    """Set `a.b=value` in the tree; the value is read as YAML.

    A section given as a name, such as `model: tiny`, opens into a mapping when a key below it is
    set. Setting a section replaces it whole: `algorithm=rloo` keeps no slot of what was there.

    Raises:
        ConfigError: no `=`, or a value that is not YAML.
    """
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"cannot read {override!r}: write key=value, for example learner.lr=1e-4")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"command line, {override!r}: the value is not YAML: {reason}") from None
    where = f"command line, {override!r}"
    *parents, last = key.split(".")
    node, path = tree, ""
    for parent in parents:
        path = f"{path}.{parent}" if path else parent
        inner = node.get(parent)
        if isinstance(inner, str):
            inner = {"id" if path == "env" else "name": inner}
        elif not isinstance(inner, Mapping):
            inner, places[path] = {}, where
        node[parent] = dict(inner)
        node = node[parent]
    node[last] = value
    for below in [place for place in places if place.startswith(f"{key}.")]:
        del places[below]
    places[key] = where


def locate(places: Mapping[str, str], key: str, path: str) -> str:
    """Where a dotted key, or the closest section around it, was written."""
    while key and key not in places:
        key = key.rpartition(".")[0]
    return places.get(key, path)


def plain(value: Any) -> Any:
    """Settings as YAML knows them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
