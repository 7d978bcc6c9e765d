"""Odd households and erratic players: what walks the simulator and the reference side by side."""

import re
from dataclasses import replace

from agentrl.envs.alfworld.game import PROPERTIES, RELEASES, STATES
from agentrl.envs.alfworld.pddl import as_id
from agentrl.envs.alfworld.planner import plan
from agentrl.envs.alfworld.rooms import APPLIANCE_OF
from agentrl.envs.alfworld.rules import Rules

NONSENSE = (
    "",
    "   ",
    "foo",
    "LOOK",
    " look ",
    "inventory\n",
    "go to",
    "go to the moon 1",
    "take",
    "examine",
    "look look",
    "open sésame 1",
    "help\x00",
    "put it down",
    "x" * 5000,
)


SAID = ("Put a mug, then  another one.", "it's the café's 2nd mug: bring it!", "a (good) job, 100%")
"""What people might call a task."""


WEIGHTS = {"go": 1, "look": 2, "inventory": 1, "help": 1, "close": 1, "examine": 3, "slice": 12}
"""How often a player tries a verb; 4 for those that change things."""


TODAY = {
    "put {o} in/on {r}": "move {o} to {r}",
    "You put the {o.name} in/on the {r.name}.": "You move the {o.name} to the {r.name}.",
    "You arrive at {lend.name}.": "You arrive at {r.name}.",
}
"""Texts of 0.3, each with that of 0.4."""


def rules_of(rules, release):
    """The rules of a release, made of those of 0.4: it had other texts, and no help."""
    if release == "0.4":
        return rules
    domain, grammar = rules.domain, rules.grammar
    for old, new in TODAY.items():
        grammar = grammar.replace(new, old)
    domain = re.sub(r"\(:action help.*", ")", domain, flags=re.DOTALL)
    return Rules(domain, re.sub(r"action help \{.*", "", grammar, flags=re.DOTALL))


def maybe(rng, share):
    return rng.random() < share


def twisted(game, rng):
    """A game with all that official ones may have and generated ones have not."""
    receptacles = [_twisted_receptacle(game, one, rng) for one in game.receptacles]
    items = [_twisted_item(game, one, rng) for one in game.items]
    spots = [one.spot for one in receptacles if one.spot]
    loose = [one for one in items if "pickupable" in one.properties and one.kind != game.goal.item]
    held = ()
    if loose and maybe(rng, 0.2):
        item = rng.choice(loose)
        held = (item.name,)
        items[items.index(item)] = replace(item, inside=(), spots=())
    start = rng.choice(spots) if maybe(rng, 0.3) else game.start
    parts = {"receptacles": tuple(receptacles), "items": tuple(items), "held": held}
    words = {"release": rng.choice(RELEASES), "sentence": rng.choice([game.sentence, *SAID])}
    return renumbered(replace(game, **parts, **words, start=start))


def _twisted_receptacle(game, one, rng):
    needed = {game.goal.receptacle, APPLIANCE_OF.get(game.goal.task)}
    needed |= {game.receptacle(item.inside[0]).kind for item in game.items}
    spot = one.spot
    if maybe(rng, 0.3):
        spot = rng.choice(game.receptacles).spot
    if one.kind not in needed and maybe(rng, 0.1):
        spot = ""
    openable = one.openable != maybe(rng, 0.05)
    return replace(one, spot=spot, openable=openable, open=maybe(rng, 0.2))


def _twisted_item(game, item, rng):
    places, names = [one.name for one in game.receptacles], [one.name for one in game.items]
    spots = [one.spot for one in game.receptacles]
    inside, at = set(item.inside), set(item.spots)
    if maybe(rng, 0.1):
        inside.add(rng.choice(places))
    if item.kind not in (game.goal.item, game.goal.lamp) and maybe(rng, 0.05):
        inside = set()
    if maybe(rng, 0.2):
        at = {rng.choice(spots) for _ in range(rng.randint(0, 2))}
    return replace(
        item,
        inside=_sorted(inside),
        spots=_sorted(at),
        properties=item.properties | {one for one in PROPERTIES if maybe(rng, 0.05)},
        states=frozenset(one for one in STATES if maybe(rng, 0.25)),
        contents=_sorted(set(rng.choices(names, k=rng.randint(0, 2))) - {item.name}),
    )


def _sorted(names):
    return tuple(sorted(names, key=as_id))


def renumbered(game):
    """The game with the spots in use numbered from 1, as reading a file numbers them."""
    used = {game.start} | {one.spot for one in game.receptacles if one.spot}
    used |= {spot for item in game.items for spot in item.spots}
    order = sorted(used, key=as_id, reverse=True)
    new = {spot: f"loc {number}" for number, spot in enumerate(order, 1)} | {"": ""}
    receptacles = (replace(one, spot=new[one.spot]) for one in game.receptacles)
    items = (replace(one, spots=_sorted(new[spot] for spot in one.spots)) for one in game.items)
    return replace(game, receptacles=tuple(receptacles), items=tuple(items), start=new[game.start])


def thorlike(text, rng):
    """A problem as THOR's scenes tell it: ids of coordinates, distances, things that no fact names.

    Other ids mean another order and other numbers for the same things.
    """
    new = {one: _thor_id(one, rng) for one in set(re.findall(r"\w+_bar_\w+", text))}
    text = re.sub(r"\w+_bar_\w+", lambda found: new[found[0]], text)
    spots = sorted(one for one in new.values() if one.startswith("loc_bar_"))
    facts = [f"(= (distance {spots[0]} {spot}) {rng.randint(1, 20)})" for spot in spots[1:]]
    thing = next(one for one in sorted(new.values()) if not one.startswith("loc_bar_"))
    extra = "Apple - object ; a class\nMirror_bar__plus_01_dot_00 - object\nMirrorType - otype\n"
    far = f"(objectAtLocation Mirror_bar__plus_01_dot_00 {spots[0]})"
    text = text.replace("(:objects\n", f"(:objects\n{extra}loc_bar_unused - location\n")
    return text.replace("(:init\n", "\n".join(["(:init", *facts, far, f"; {thing}", ""]))


def _thor_id(one, rng):
    kind, rest = one.split("_bar_", 1)
    if kind == "loc":
        return "_bar_".join([kind, *(f"{sign(rng)}{rng.randint(0, 20)}" for _ in range(4))])
    places = [f"_{rng.choice(['plus', 'minus'])}_{rng.uniform(0, 9):05.2f}" for _ in range(3)]
    basin = f"_bar_{kind.capitalize()}Basin" if rest.endswith("basin") else ""
    return "_bar_".join([kind.capitalize(), *places]).replace(".", "_dot_") + basin


def sign(rng):
    return rng.choice(["", "_minus_"])


class Player:
    """Mostly wanders towards the goal's things, tries what cannot be done, repeats itself."""

    def __init__(self, rng):
        self.rng, self.seen = rng, ["look"]

    def command(self, world):
        legal = world.admissible()
        self.seen = [*self.seen[-200:], *legal]
        if maybe(self.rng, 0.06):
            return self.rng.choice(NONSENSE)
        if maybe(self.rng, 0.1):
            return self.rng.choice(self.seen)
        if maybe(self.rng, 0.05):
            things = [*world.items, *world.receptacles]
            verb = self.rng.choice(["examine", "go to", "use", "open", "close"])
            return f"{verb} {self.rng.choice(things)}"
        return self.rng.choices(legal, [self.weight(world.game.goal, one) for one in legal])[0]

    def weight(self, goal, command):
        """Much for what changes things, and for the goal's things."""
        about = (goal.item, goal.receptacle, goal.lamp, APPLIANCE_OF.get(goal.task, ""))
        named = any(kind and f" {kind.lower()} " in command for kind in about)
        return WEIGHTS.get(command.split()[0], 4) * (4 if named else 1)


class Winner(Player):
    """Follows the planner, and strays now and then."""

    def command(self, world):
        straying = maybe(self.rng, 0.15)
        planned = [] if straying else plan(world.game, world)
        return planned[0] if planned else super().command(world)
