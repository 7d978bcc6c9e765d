"""Typed functions as tools: schemas from signatures, arguments checked, results as text."""

import enum
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from agentrl.errors import ConfigError, ToolInputError
from agentrl.functions import shown, tool_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    city: str = "Bonn"


class Person(BaseModel):
    name: str
    home: Address | None = None


class Tree(BaseModel):
    label: str
    children: list["Tree"] = []


def book(
    room: Literal["red", "blue"],
    who: Person,
    copy: int = 1,
    colour: Colour = Colour.RED,
    note: str | None = None,
) -> str:
    """Book a room.

    Args:
        room: Which one,
            by colour.
        copy: How often.
    """
    return f"{room} {who.name} {who.home.city if who.home else ''} {copy} {colour.name} {note}"


BOOK = tool_of(book)
WHO = {"name": "ann", "home": {"street": "x"}}


def parameters(function):
    return tool_of(function).schema["function"]["parameters"]


def test_the_signature_is_the_schema():
    told = BOOK.schema["function"]
    assert (told["name"], told["description"]) == ("book", "Book a room.")
    properties = told["parameters"]["properties"]
    assert properties["room"]["enum"] == ["red", "blue"]
    assert properties["room"]["description"] == "Which one, by colour."
    assert properties["copy"] == {"type": "integer", "description": "How often.", "default": 1}
    assert properties["colour"]["enum"] == ["red", "blue"]
    assert told["parameters"]["required"] == ["room", "who"]
    assert told["parameters"]["additionalProperties"] is False


def test_nested_records_stand_where_they_are_used():
    home = BOOK.schema["function"]["parameters"]["properties"]["who"]["properties"]["home"]
    assert home["anyOf"][0]["properties"]["city"] == {"type": "string", "default": "Bonn"}
    assert "$ref" not in str(BOOK.schema)


def test_a_record_that_holds_itself_stays_a_definition():
    def plant(tree: Tree) -> None: ...

    schema = parameters(plant)
    assert "$ref" in str(schema)
    assert list(schema["$defs"]) == ["Tree"]


def test_arguments_arrive_as_the_types_that_were_written():
    called = {"room": "red", "who": WHO, "colour": "blue"}
    assert BOOK.call(called) == "red ann Bonn 1 BLUE None"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"who": WHO}, "room: Field required"),
        ({"room": "green", "who": WHO}, "room: Input should be 'red' or 'blue'"),
        ({"room": "red", "who": {}}, "who.name: Field required"),
        ({"room": "red", "who": WHO, "door": 1}, "door: Extra inputs are not permitted"),
        ({"room": "red", "who": WHO, "copy": "many"}, "copy: Input should be a valid integer"),
    ],
)
def test_wrong_arguments_are_one_line_that_names_them(arguments, why):
    with pytest.raises(ToolInputError, match="book: ") as caught:
        BOOK.call(arguments)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_wrong_arguments_are_counted():
    with pytest.raises(ToolInputError, match="6 more"):
        BOOK.call({"room": "red", "who": WHO} | {f"x{i}": i for i in range(10)})


def test_a_constraint_of_the_type_is_in_the_schema_and_holds():
    def sleep(hours: Annotated[int, Field(ge=1, le=9)]) -> None: ...

    assert parameters(sleep)["properties"]["hours"]["maximum"] == 9
    with pytest.raises(ToolInputError, match="less than or equal to 9"):
        tool_of(sleep).call({"hours": 10})


def untyped(room): ...


def rest(*rooms: str): ...


def positional(room: str, /): ...


def nowhere(room: "Nowhere"): ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (untyped, "no type for 'room'"),
        (rest, r"\*rooms"),
        (positional, "by name only"),
        (nowhere, "its module does not define: NameError: name 'Nowhere'"),
        (lambda: 1, "not '<lambda>': use def"),
        (3, "the tool int has no signature"),
    ],
)
def test_what_cannot_be_a_tool_says_why(function, why):
    with pytest.raises(ConfigError, match=why):
        tool_of(function)


class Scale:
    """Weighs."""

    unit = "g"

    @classmethod
    def name(cls, plural: bool) -> str:
        return cls.unit + "s" * plural

    def __call__(self, times: int) -> str:
        """Weigh.

        Args:
            times: How often.
        """
        return f"{times}{self.unit}"


def test_whatever_is_called_can_be_a_tool():
    assert tool_of(Scale.name).call({"plural": True}) == "gs"
    assert tool_of(Scale()).call({"times": 2}) == "2g"
    described = tool_of(Scale()).schema["function"]
    assert (described["name"], described["description"]) == ("Scale", "Weigh.")
    assert described["parameters"]["properties"]["times"]["description"] == "How often."


def test_what_a_partial_has_fixed_is_not_the_agents():
    fixed = tool_of(partial(book, room="red", note="secret"))
    assert fixed.schema["function"]["name"] == "book"
    assert list(fixed.schema["function"]["parameters"]["properties"]) == ["who", "copy", "colour"]
    assert fixed.call({"who": WHO}).endswith("RED secret")
    with pytest.raises(ToolInputError, match="note: Extra inputs"):
        fixed.call({"who": WHO, "note": "mine"})


def test_a_default_that_json_cannot_say_is_left_out():
    def wait(
        until: float = float("inf"), key: bytes = b"\xff", what: object = object()
    ) -> None: ...

    properties = parameters(wait)["properties"]
    assert properties["until"]["default"] == "Infinity"
    assert "default" not in properties["key"]
    assert "default" not in properties["what"]


def test_results_that_json_cannot_say_are_told_as_python_does():
    ring = []
    ring.append(ring)
    assert (shown(b"\xff"), shown(ring), shown(b"abc")) == (r"b'\xff'", "[[...]]", '"abc"')


def test_results_are_text_or_json():
    assert shown("as it is\n") == "as it is\n"
    assert shown(Person(name="é", home=Address("x"))) == (
        '{"name":"é","home":{"street":"x","city":"Bonn"}}'
    )
    assert shown({"a": {1}, "b": object}) == '{"a":[1],"b":"<class \'object\'>"}'
