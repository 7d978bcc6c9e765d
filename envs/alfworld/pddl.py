"""Official game files: `game.tw-pddl` and the `traj_data.json` beside it, read and written.

    game.tw-pddl    JSON: pddl_domain, grammar, pddl_problem, solvable, walkthrough
    traj_data.json  JSON: task_type, pddl_params (the goal's kinds), people's words for the goal

Rules and texts travel in every file. A game whose rules are not the simulator's is refused; a
file is written with the rules of the installed alfworld package or of another file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agentrl.envs.alfworld.game import Game, Item, Receptacle
from agentrl.envs.alfworld.problem import AGENT, Problem, parse_problem, problem_text
from agentrl.envs.alfworld.rules import Rules, release_of, sentence, with_sentence
from agentrl.errors import DataError

PROPERTIES = {
    "pickupable": "pickupable",
    "cleanable": "cleanable",
    "heatable": "heatable",
    "coolable": "coolable",
    "toggleable": "toggleable",
    "sliceable": "sliceable",
    "container": "isReceptacleObject",
}
"""The predicate of each property."""
STATES = {
    "clean": "isClean",
    "hot": "isHot",
    "cool": "isCool",
    "sliced": "isSliced",
    "toggled": "isToggled",
}
"""The predicate of each state."""


def read_game(path: Path | str) -> Game:
    """The game of a `game.tw-pddl`.

    Raises:
        DataError: it cannot be read, or has other rules than the simulator's; names the file.
    """
    try:
        return parse_game(json.loads(Path(path).read_text(encoding="utf-8")))
    except (DataError, OSError, ValueError, LookupError, TypeError) as error:  # names the file
        raise DataError(f"{path}: {error if str(error) else type(error).__name__}") from error


def parse_game(data: Mapping[str, Any]) -> Game:
    """The game of the JSON in a `game.tw-pddl`.

    Raises:
        DataError: keys are missing, or it has other rules than the simulator's.
    """
    missing = sorted({"pddl_domain", "grammar", "pddl_problem"} - set(data))
    if missing:
        raise DataError(f"no game: it has no {missing[0]!r}")
    found, task = release_of(Rules.of(data)), sentence(str(data["grammar"]))
    return game_of(str(data["pddl_problem"]), task, found)


def game_of(text: str, task: str, release: str) -> Game:
    """The game of a PDDL problem, whose rules are known.

    Raises:
        DataError: the text is none, or not of a game that the simulator plays.
    """
    problem = parse_problem(text)
    names = shown_names(_mentioned(problem))
    return Game(
        receptacles=tuple(_receptacles(problem, names)),
        items=tuple(_items(problem, names)),
        fits=_fits(problem),
        goal=problem.goal,
        sentence=task,
        start=names[_one(problem.of("atlocation"), AGENT)],
        held=tuple(names[item] for item in problem.of("holds").get(AGENT, ())),
        release=release,
    )


def text_of(game: Game) -> str:
    """The PDDL problem of a game; `game_of` reads it back to an equal game.

    Raises:
        DataError: the game's names are not numbered, or its things not ordered, as files do it.
    """
    text = problem_text(_objects(game), _facts(game), game.goal)
    if game_of(text, game.sentence, game.release) != game:
        raise DataError("the game's things are not numbered and ordered as files do it")
    return text


def shown_names(ids: Iterable[str]) -> dict[str, str]:
    """The names that players read, by id: kind and number, the first id with the highest one."""
    kinds = {one: _kind(one) for one in sorted(set(ids))}
    left = Counter(kinds.values())
    names = {}
    for one, kind in kinds.items():
        names[one] = f"{kind} {left[kind]}"
        left[kind] -= 1
    return names


def _kind(one: str) -> str:
    """The kind in an id: `sink_bar_..._bar_sinkbasin` is a sinkbasin."""
    return one.split("_bar_", 1)[0] + ("basin" if "basin" in one else "")


def _mentioned(problem: Problem) -> Iterator[str]:
    """The ids in the facts: what no fact mentions has no name and takes no number."""
    for facts in problem.facts.values():
        for arguments in facts:
            yield from (one for one in arguments if "_bar_" in one)


def _one(found: Mapping[str, tuple[str, ...]], key: str) -> str:
    """What a thing has exactly one of.

    Raises:
        DataError: it has none, or more.
    """
    values = found.get(key, ())
    if len(values) != 1:
        raise DataError(f"the game's problem gives {key} {len(values)} places or types: needs one")
    return values[0]


def _receptacles(problem: Problem, names: Mapping[str, str]) -> Iterator[Receptacle]:
    kinds, spots = problem.of("receptacletype"), problem.of("receptacleatlocation")
    openable, opened = problem.that("openable"), problem.that("opened")
    for one, name in names.items():
        if problem.types.get(one) == "receptacle":
            yield Receptacle(
                name=name,
                kind=problem.kinds[_one(kinds, one)],
                spot=names[_one(spots, one)] if one in spots else "",
                openable=one in openable,
                open=one in opened,
            )


def _items(problem: Problem, names: Mapping[str, str]) -> Iterator[Item]:
    kinds, inside = problem.of("objecttype"), problem.of("inreceptacle")
    spots, contents = problem.of("objectatlocation"), _contents(problem)
    properties = {name: problem.that(word.lower()) for name, word in PROPERTIES.items()}
    states = {name: problem.that(word.lower()) for name, word in STATES.items()}
    for one, name in names.items():
        if problem.types.get(one) == "object":
            yield Item(
                name=name,
                kind=problem.kinds[_one(kinds, one)] if one in kinds else "",
                inside=tuple(names[place] for place in inside.get(one, ())),
                spots=tuple(names[spot] for spot in spots.get(one, ())),
                properties=frozenset(word for word, has in properties.items() if one in has),
                states=frozenset(word for word, has in states.items() if one in has),
                contents=tuple(names[inner] for inner in contents.get(one, ())),
            )


def _contents(problem: Problem) -> dict[str, tuple[str, ...]]:
    """Ids of the items in each container, sorted."""
    found: dict[str, tuple[str, ...]] = {}
    for inner, outer in sorted(problem.facts.get("inreceptacleobject", ())):
        if inner != outer:
            found[outer] = (*found.get(outer, ()), inner)
    return found


def _fits(problem: Problem) -> dict[str, frozenset[str]]:
    return {
        problem.kinds[kind]: frozenset(problem.kinds[item] for item in items)
        for kind, items in problem.of("cancontain").items()
    }


def write_game(game: Game, folder: Path, rules: Rules, trial: str = "trial_generated") -> Path:
    """Write `game.tw-pddl`, which it returns, and `traj_data.json` into a folder.

    Raises:
        DataError: the rules are not the simulator's, or the game is none that a file can tell.
    """
    data = {
        "pddl_domain": rules.domain,
        "grammar": with_sentence(rules.grammar, game.sentence),
        "pddl_problem": text_of(game),
        "solvable": True,
        "walkthrough": None,
    }
    if release_of(rules) != game.release:
        raise DataError(f"{folder}: a game of {game.release} with the rules of {release_of(rules)}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "traj_data.json").write_text(json.dumps(_record(game, trial)), encoding="utf-8")
    path = folder / "game.tw-pddl"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def _record(game: Game, trial: str) -> dict[str, Any]:
    """What `traj_data.json` says about a game."""
    goal = game.goal
    return {
        "task_id": trial,
        "task_type": goal.task,
        "scene": {"floor_plan": "generated", "scene_num": 0},
        "pddl_params": {
            "object_target": goal.item,
            "parent_target": goal.receptacle,
            "toggle_target": goal.lamp,
            "mrecep_target": "",
            "object_sliced": False,
        },
        "turk_annotations": {"anns": []},
    }


def as_id(name: str) -> str:
    """An id that is shown as a name; higher numbers come first."""
    kind, number = name.rsplit(" ", 1)
    basin = "basin" if kind.endswith("basin") else ""
    return f"{kind.removesuffix('basin')}_bar_{10_000 - int(number)}{'_bar_' * bool(basin)}{basin}"


def _objects(game: Game) -> Iterator[tuple[str, str]]:
    yield AGENT, "agent"
    yield from ((as_id(one.name), "receptacle") for one in game.receptacles)
    yield from ((as_id(one.name), "object") for one in game.items)
    spots = {one.spot for one in game.receptacles if one.spot} | {game.start}
    spots.update(spot for item in game.items for spot in item.spots)
    yield from ((as_id(spot), "location") for spot in sorted(spots))
    kinds = {one.kind for one in game.items} | set().union(*game.fits.values())
    yield from ((f"{kind}Type", "otype") for kind in sorted(kinds - {""}))
    # The domain itself names the kinds of the three appliances.
    places = {one.kind for one in game.receptacles} | set(game.fits)
    places |= {"SinkBasin", "Microwave", "Fridge"}
    yield from ((f"{kind}Type", "rtype") for kind in sorted(places))


def _facts(game: Game) -> Iterator[str]:
    yield f"atLocation {AGENT} {as_id(game.start)}"
    for name in game.held:
        yield f"holds {AGENT} {as_id(name)}"
        yield f"holdsAny {AGENT}"
    for kind, items in sorted(game.fits.items()):
        yield from (f"canContain {kind}Type {item}Type" for item in sorted(items))
    for receptacle in game.receptacles:
        yield from _facts_of_receptacle(receptacle)
    for item in game.items:
        yield from _facts_of_item(item)


def _facts_of_receptacle(receptacle: Receptacle) -> Iterator[str]:
    one = as_id(receptacle.name)
    yield f"receptacleType {one} {receptacle.kind}Type"
    if receptacle.spot:
        yield f"receptacleAtLocation {one} {as_id(receptacle.spot)}"
    if receptacle.openable:
        yield f"openable {one}"
    if receptacle.open:
        yield f"opened {one}"


def _facts_of_item(item: Item) -> Iterator[str]:
    one = as_id(item.name)
    if item.kind:
        yield f"objectType {one} {item.kind}Type"
    yield from (f"inReceptacle {one} {as_id(place)}" for place in item.inside)
    yield from (f"objectAtLocation {one} {as_id(spot)}" for spot in item.spots)
    yield from (f"inReceptacleObject {as_id(inner)} {one}" for inner in item.contents)
    yield from (f"{PROPERTIES[word]} {one}" for word in sorted(item.properties))
    yield from (f"{STATES[word]} {one}" for word in sorted(item.states))
