"""What the household says: the wording of the public domain's texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

NOTHING = "Nothing happens."
WELCOME = "-= Welcome to TextWorld, ALFRED! =-"
COMMON = {"0.3": ("look", "inventory"), "0.4": ("look", "inventory", "help")}
"""The commands that are always admissible, by release."""
PUTTING = {"0.3": "put {item} in/on {place}", "0.4": "move {item} to {place}"}
"""The command that puts something down, by release."""
PUT = {"0.3": "You put the {item} in/on the {place}.", "0.4": "You move the {item} to the {place}."}
"""What is said then."""
ARRIVED = {"0.3": "You arrive at {spot}.", "0.4": "You arrive at {place}."}
"""What is said before a receptacle, by release."""

HELP = """\
Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
"""


def row(names: Sequence[str]) -> str:
    """Names in a row: `a`, `a, and b` or `a, b, and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, and {names[-1]}"


def listed(names: Iterable[str]) -> str:
    """Things in a row, each with its article, or `nothing`."""
    return row([f"a {name}" for name in names] or ["nothing"])


def item_text(name: str, states: Collection[str], properties: Collection[str]) -> str:
    """What one sees of an item that is no container."""
    words = _words(states)
    if words:
        return f"This is a {words} {name}."
    if "toggleable" in properties and "toggled" in states:
        return f"This {name} is on."
    if "sliceable" in properties and "sliced" in states:
        return f"This is a sliced {name}."
    return f"There's nothing special about {name}."


def _words(states: Collection[str]) -> str:
    """The adjectives of what an item went through: `hot and clean`, `cool sliced`, `cold`..."""
    temperature = "hot" if "hot" in states else "cool"
    words = " and ".join(word for word in (temperature, "clean") if word in states)
    if "sliced" in states:
        return words and f"{words} sliced"
    return "cold" if words == "cool" else words
