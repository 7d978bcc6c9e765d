"""Ask the reference again what it says in the recorded games, for tests without it.

    AGENTRL_ALFWORLD_PYTHON=... python tests/services/alfworld_record.py

A new game is a new entry of the file: its name, its JSON and `steps`, each one a command at first.
The games were chosen so that every kind of text of the domain is said in one of them.
"""

import json
import tempfile
from pathlib import Path
from zlib import crc32

from alfworld_walks import rules_of
from test_alfworld_reference import Reference, installed

from agentrl.envs.alfworld.game import Game
from agentrl.envs.alfworld.pddl import write_game

FILE = Path(__file__).parents[1] / "envs" / "alfworld_transcripts.json"


def told(text, won, admissible):
    return [text, won, crc32("\n".join(admissible).encode())]


def again(reference, folder, rules, one):
    """A recorded game, told anew."""
    game = Game.from_json(one["game"])
    path = write_game(game, folder, rules_of(rules, game.release))
    opening = told(*reference.ask(load=str(path)))
    steps = [[command, *told(*reference.ask(step=command))] for command, *_ in one["steps"]]
    return {"name": one["name"], "game": game.to_json(), "opening": opening, "steps": steps}


def main():
    reference, rules = Reference("--remember"), installed()
    with tempfile.TemporaryDirectory() as folder:
        found = [again(reference, Path(folder), rules, one) for one in json.loads(FILE.read_text())]
    reference.close()
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in found)
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
