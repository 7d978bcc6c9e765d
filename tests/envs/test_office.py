"""The office: its applications, its dialogues, how they are judged, and its players."""

import json
from collections import Counter

import numpy as np
import pytest

from agentrl.env import make
from agentrl.envs.functions import Office
from agentrl.envs.functions.desk import Desk, comparable
from agentrl.envs.functions.dialogues import REQUESTS
from agentrl.envs.functions.manners import DECLINED, QUESTIONS, THINGS, fits
from agentrl.errors import ConfigError
from agentrl.types import Parse, ToolCall

OFFICE = {
    "people": [
        {"name": "Ann", "address": "ann@oak.org", "phone": "200"},
        {"name": "Bob", "address": "bob@elm.org", "phone": "201"},
    ],
    "inbox": [{"number": 3, "sender": "Bob", "subject": "demo", "text": "We won the bid"}],
    "outbox": [],
    "events": [{"number": 7, "day": "Monday", "hour": 9, "title": "demo", "guests": []}],
    "files": [
        {"file": "notes", "folder": "drafts", "text": "Bring your laptop"},
        {"file": "menu", "folder": "drafts", "text": "Lunch is on me"},
    ],
}
MOVE = ["move_file", {"file": "notes", "folder": "archive"}]
DELETE = ["delete_file", {"file": "menu"}]


def turn(says, *steps, wanted="done", new=(), **more):
    """A user's turn as data."""
    return {
        "says": says,
        "known": [],
        "new": list(new),
        "steps": [list(step) for step in steps],
        "wanted": {"kind": wanted, **more},
    }


def started(*turns, tools=("move_file", "delete_file", "find_phone"), **arguments):
    """An office at the first of these turns."""
    env = Office(calls="llama_pythonic", turns=4, **arguments)
    data = {"office": OFFICE, "tools": list(tools), "turns": list(turns)}
    env.reset(options={"task": data})
    return env


def said(env, *texts):
    """Say texts, or make calls; the sums of all parts and the last info."""
    parts = Counter()
    for text in texts:
        text = text if isinstance(text, str) else env.write([ToolCall(*call) for call in text])
        reply, _, terminated, _, info = env.step(text)
        parts.update(info["parts"])
    return reply, {name: round(value, 6) for name, value in parts.items()}, terminated, info


def rollout(env, speak, task):
    """One episode; the sums of all parts and the last info."""
    env.reset(options={"task": task})
    ended, parts = False, Counter()
    while not ended:
        _, _, terminated, truncated, info = env.step(speak())
        parts.update(info["parts"])
        ended = terminated or truncated
    return parts, info


# ---- the applications ---------------------------------------------------------------------------


@pytest.fixture
def desk():
    desk = Desk()
    desk.load(OFFICE)
    return desk


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("find_address", {"name": " ann"}, "ann@oak.org"),
        ("find_phone", {"name": "BOB"}, "201"),
        ("list_contacts", {}, ["Ann", "Bob"]),
        ("search_mail", {"sender": "bob"}, OFFICE["inbox"]),
        ("search_mail", {"sender": "Ann"}, []),
        ("free_hours", {"day": "Monday"}, [10, 11, 12, 13, 14, 15, 16]),
        ("list_events", {"day": "Monday"}, OFFICE["events"]),
        ("list_files", {"folder": "drafts"}, ["notes", "menu"]),
        ("read_file", {"file": "menu"}, "Lunch is on me"),
    ],
)
def test_looking_changes_nothing(desk, name, arguments, result):
    assert desk.tools[name].call(arguments) == result
    assert desk.state() == OFFICE


@pytest.mark.parametrize(
    ("name", "arguments", "place", "records"),
    [
        ("change_phone", {"name": "Bob", "phone": "9"}, "people", [{"phone": "9"}]),
        ("send_mail", {"to": "a@b", "text": "Hi"}, "outbox", [{"to": "a@b", "text": "Hi"}]),
        ("forward_mail", {"number": 3, "to": "a@b"}, "outbox", [{"text": "Fwd: We won the bid"}]),
        ("reply_to_mail", {"number": 3, "text": "Hi"}, "outbox", [{"to": "Bob", "text": "Re: Hi"}]),
        ("delete_mail", {"number": 3}, "inbox", []),
        ("cancel_event", {"number": 7}, "events", []),
        ("move_event", {"number": 7, "day": "Friday", "hour": 9}, "events", [{"day": "Friday"}]),
        ("rename_file", {"file": "menu", "new_name": "x"}, "files", [{"file": "x"}]),
        ("move_file", {"file": "menu", "folder": "x"}, "files", [{"folder": "x"}]),
        ("delete_file", {"file": "menu"}, "files", [{"file": "notes"}]),
    ],
)
def test_acting_changes_what_it_says(desk, name, arguments, place, records):
    desk.tools[name].call(arguments)
    state = desk.state()
    assert {key for key in OFFICE if state[key] != OFFICE[key]} == {place}
    assert len(state[place]) == len(OFFICE[place]) - (not records) - (name == "delete_file") + (
        place == "outbox"
    )
    assert all(record.items() <= state[place][-1].items() for record in records)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (["find_phone", {"name": "Zoe"}], "find_phone: there is no contact named Zoe"),
        (["delete_file", {"file": "x"}], "delete_file: there is no file x"),
        (["send_mail", {"to": "Ann", "text": "x"}], "send_mail: Ann is no mail address"),
        (["delete_mail", {"number": 4}], "delete_mail: there is no mail 4"),
        (["cancel_event", {"number": 4}], "cancel_event: there is no event 4"),
        (["free_hours", {"day": "Sunday"}], "free_hours: day: Input should be 'Monday', 'Tue"),
        (["add_event", {"day": "Monday", "hour": 9, "title": "x"}], "Monday at 9 is not free"),
        (["rename_file", {"file": "menu", "new_name": "notes"}], "there is a file notes already"),
        (["move_file", {"file": "menu"}], "move_file: folder: Field required"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(call, reason):
    env = started(turn("x"), tools=tuple(Desk().tools))
    reply, *_ = said(env, [call])
    assert reply.startswith("Error: ")
    assert reason in reply
    assert env.desk.state() == OFFICE


def test_states_are_compared_by_what_matters():
    other = json.loads(json.dumps(OFFICE))
    other["files"].reverse()
    other["events"][0]["number"] = 1
    other["inbox"][0]["text"] = " we WON the  bid."
    assert comparable(other) == comparable(OFFICE)
    other["files"][0]["folder"] = "x"
    assert comparable(other) != comparable(OFFICE)


# ---- how dialogues are judged -------------------------------------------------------------------


def test_calls_then_words_then_the_next_turn():
    env = started(turn("Move notes", [MOVE]), turn("Delete menu", [DELETE]))
    assert said(env, [MOVE])[0] == "moved"
    assert said(env, "Done.")[:3] == ("Delete menu", {"response": 0.5}, False)
    _, parts, ended, info = said(env, [DELETE], "It is gone.")
    assert (parts, ended) == ({"response": 0.5, "state": 1, "solved": 1}, True)
    assert info["success"]


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (([MOVE], "Done."), {"response": 1, "state": 1}),
        (([MOVE], ""), {"response": 0, "state": 1}),
        (([MOVE], "Moved: there is no file in drafts now."), {"response": 1, "state": 1}),
        (([MOVE], DECLINED), {"response": 0, "state": 1}),
        (([MOVE], "Which folder?"), {"response": 0, "state": 1}),
        (([MOVE], "move_file(file='notes')]"), {"response": 0, "state": 1}),
        (([MOVE], "Done. . . . . . . . ."), {"response": 0, "state": 1}),
        (("Done.",), {"response": 1, "state": 0}),
        (([MOVE, DELETE], "Done."), {"response": 1, "state": 0}),
        (([["delete_file", {"file": "notes"}]], "Done."), {"response": 1, "state": 0}),
    ],
)
def test_state_and_response_are_judged_apart(texts, parts):
    found = said(started(turn("Move notes", [MOVE])), *texts)
    assert (found[1]["response"], found[1]["state"]) == (parts["response"], parts["state"])
    assert found[3]["success"] is all(parts.values()) is ("solved" in found[1])


@pytest.mark.parametrize(
    ("texts", "right"),
    [
        (("Which folder?",), True),
        (("Please tell me the destination.",), True),
        (("I need to know where it should go. Which folder is it?",), True),
        (("Which file?",), False),
        (("Done.",), False),
        ((DECLINED,), False),
        (("Which folder, which file, who, what text, which day?",), False),
        (([["find_phone", {"name": "Ann"}]], "Which folder?"), True),
        (([MOVE], "Which folder?"), False),
    ],
)
def test_what_is_missing_is_asked_for_before_anything_changes(texts, right):
    asked = turn("Move notes.", wanted="ask", value="folder")
    env = started(asked, turn("archive, please.", [MOVE]))
    reply, parts, *_ = said(env, *texts)
    assert (reply, parts) == ("archive, please.", {"response": right / 2})


@pytest.mark.parametrize(
    ("texts", "right"),
    [
        ((DECLINED,), True),
        (("I don't have a tool for that.",), True),
        (("I’m afraid moving files isn’t something I can do.",), True),  # noqa: RUF001
        (("Moving files is not supported.",), True),
        (("There is no function for it. Is there anything else?",), True),
        (("Done.",), False),
        (("Which folder?",), False),
        (("I cannot do that. Which folder is it?",), False),
        (([DELETE], DECLINED), False),
        (([MOVE], DECLINED), True),  # there is no such tool: nothing has happened
    ],
)
def test_what_cannot_be_done_is_declined(texts, right):
    env = started(turn("Move notes.", wanted="decline"), tools=("delete_file",))
    _, parts, ended, info = said(env, *texts)
    assert (parts["response"], info["success"], ended) == (right, right, True)


def test_a_tool_that_comes_later_is_called_then():
    later = turn("You have it now.", [MOVE], new=["move_file"])
    env = started(turn("Move notes.", wanted="decline"), later, tools=("delete_file",))
    assert "no tool is called 'move_file'" in said(env, [MOVE])[0]
    told, schema = said(env, DECLINED)[0].split("\n")
    assert (told, json.loads(schema)["name"]) == ("You have it now.", "move_file")
    assert said(env, [MOVE])[0] == "moved"
    assert said(env, "Done.")[3]["success"]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("200", True),
        ("Her number is 200.", True),
        ("2001", False),
        ("200 or 201", False),
        ("201", False),
        ("", False),
        ("200 " * 1000, False),
    ],
)
def test_answers_are_values(text, right):
    assert fits(text, {"kind": "answer", "value": "200", "others": ["201"]}) is right


@pytest.mark.parametrize("thing", THINGS)
def test_the_players_questions_ask_for_one_thing(thing):
    asked = {one for one in THINGS if fits(QUESTIONS[thing], {"kind": "ask", "value": one})}
    assert thing in asked
    assert not any(fits(QUESTIONS[thing], {"kind": kind}) for kind in ("done", "decline"))


def test_impatient_users_leave():
    env = started(turn("Move notes", [MOVE]), turn("Delete menu", [DELETE]), patience=False)
    _, parts, ended, info = said(env, [MOVE], "")
    assert (parts, ended, info["success"]) == ({"response": 0, "state": 0}, True, False)


# ---- dialogues ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full():
    env = Office(turns=(1, 4), missing_argument=0.3, missing_tool=0.3)
    return env, env.tasks("train", 200, 0)


def kinds(tasks):
    """How often turns want what."""
    return Counter(turn["wanted"]["kind"] for task in tasks for turn in task.data["turns"])


def test_the_oracle_solves_every_kind(full):
    env, tasks = full
    assert min(kinds(tasks)[kind] for kind in ("done", "answer", "ask", "decline")) > 30
    for task in tasks:
        parts, info = rollout(env, env.oracle, task)
        assert info["success"], task.data["turns"]
        assert parts == pytest.approx({"response": 1.0, "state": 1.0, "solved": 1.0})


@pytest.mark.parametrize("text", ["", "Done.", DECLINED, "Which folder?", "<tool_call>{"])
def test_saying_one_thing_only_never_helps_where_something_is_to_do(full, text):
    env, tasks = full
    for task in tasks[:60]:
        _, info = rollout(env, lambda: text, task)
        wanted = {turn["wanted"]["kind"] for turn in task.data["turns"]}
        assert not info["success"] or (wanted, text) == ({"decline"}, DECLINED)


def test_the_expert_is_well_formed_and_ignorant(full):
    env, tasks = full
    rng, solved = np.random.default_rng(0), 0
    for task in tasks:
        env.reset(options={"task": task})
        ended = False
        while not ended:
            *_, terminated, truncated, info = env.step(env.expert(rng))
            assert info["parse"] in (Parse.OK, Parse.NO_CALL)
            ended = terminated or truncated
        solved += info["success"]
    assert 0 < solved < 0.3 * len(tasks)


@pytest.mark.parametrize("name", REQUESTS)
def test_every_kind_of_request_can_be_served(name):
    env = Office(requests=[name], turns=(1, 3), wording="plain", vocabulary=8)
    for task in env.tasks("train", 10, 0):
        assert rollout(env, env.oracle, task)[1]["success"]


def test_nothing_that_is_to_be_found_out_is_shown_before(full):
    env, tasks = full
    for task in tasks:
        shown, info = env.reset(options={"task": task})
        first = task.data["turns"][0]
        values = {str(value) for _, value in first["known"]}
        gold = [v for step in first["steps"] for _, given in step for v in given.values()]
        hidden = [str(v) for v in gold if isinstance(v, str) and v not in values and "@" in v]
        hidden += [first["wanted"].get("value", "")] * (first["wanted"]["kind"] == "answer")
        assert not [value for value in hidden if value in shown + info["system"]]


def test_distractors_are_offered_and_missing_tools_are_not(full):
    for task in full[1]:
        names = task.data["tools"]
        needed = {n for turn in task.data["turns"] for step in turn["steps"] for n, _ in step}
        later = {name for turn in task.data["turns"] for name in turn["new"]}
        assert needed <= {*names, *later}
        assert len(names) == len(set(names)) >= 12
        assert not later & set(names)


def test_episodes_share_no_state(full):
    env, other = full[0], make("agentrl/Office-v0", calls="llama_pythonic", turns=4)
    data = {"office": OFFICE, "tools": ["delete_file"], "turns": [turn("x", [DELETE])]}
    other.reset(options={"task": data})
    rollout(env, env.oracle, full[1][0])
    assert said(other, [DELETE])[0] == "deleted"
    assert "there is no file" in said(other, [DELETE])[0]
    other.reset(options={"task": data})
    assert said(other, [DELETE])[0] == "deleted"
    assert OFFICE["files"][1]["file"] == "menu"


def test_seeds_repeat_and_differ():
    one, same, other = (
        [task.id for task in Office().tasks("train", 20, seed)] for seed in (0, 0, 1)
    )
    assert one == same != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"requests": ["mov"]}, r"env\.requests holds 'mov': did you mean 'move'"),
        ({"requests": []}, r"env\.requests"),
        ({"turns": (2, 1)}, r"env\.turns is \[2, 1\]"),
        ({"turns": 9}, r"env\.turns is \[9, 9\]"),
        ({"vocabulary": 3}, r"env\.vocabulary is 3"),
        ({"missing_tool": 2.0}, r"env\.missing_tool is 2"),
        ({"missing_tool": 0.6, "missing_argument": 0.6}, "together"),
        ({"max_turns": 3}, r"env\.max_turns is 3: give at least 12"),
        ({"expert_skill": -1.0}, r"env\.expert_skill is -1"),
    ],
)
def test_arguments_that_cannot_run_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Office(**arguments)
