"""What random attempts write and random tasks hold: texts that every reader of texts must judge."""

STORY = "it's a well-made word "
CODE = '"code": "draw()\\nplt.show() "'
TEXTS = (
    *("", "  ", " red ", "Red", "green", "GREEN", "B", "blue, red", ":green red", "event", "calm"),
    *("<answer>red</answer>", "<answer> Green </answer> so", "<answer>open", "</answer><answer>"),
    *("<answer>red</answer><answer>blue</answer>", "<answer>:red, green</answer>"),
    "<think>so</think><answer>red</answer>",
    "<think></think>\n <answer> Green </answer>",
    "<think>a b</think> or <answer>red</answer>",
    " <think>a</think><answer>B</answer>",
    "<think>a</think><answer>\\boxed{A}</answer>",
    "<think>a</think> <answer>It is \\boxed{B}.</answer>",
    "<think>a<\\think><answer>\\boxed{A}, \\boxed{B}</answer>",
    *(
        "\\boxed{A}",
        "\\boxed{red}",
        "caf\u00e9 \\boxed{ B }",
        "\\boxed{a{b}c}",
        "\\boxed{",
        "\\boxed{}",
    ),
    *("\\boxed{42} or \\boxed{7}", "\\boxed{1} \\boxed{2} \\boxed{3", "\\boxed{\\{A}"),
    *("<answer>(3+4)*6</answer>", "<answer> 6 * (4 + 3) </answer>", "<answer>6*7</answer>"),
    *("<answer>-3+4*6</answer>", "<answer>6/(3-3)+4</answer>", "<answer>3+4+6</answer>"),
    *("<answer>(3+4)*6.0</answer>", "<answer>(3+4)*6=42</answer>", "<answer>6**4</answer>"),
    *("<answer>(3+4)*6+0.00001</answer>", "<answer>(3+4)*(6</answer>", "<answer>6/4*3</answer>"),
    "<think>two words</think> [l1] [l2] <rethink>so</rethink><answer>red</answer>",
    "<think>[l1]</think> <rethink>so [l9]</rethink><answer>green blue red</answer>",
    "<rethink>a b</rethink> [l1] <think>two words</think> [l2]<answer></answer><answer>",
    "[l1] [l9] <rethink>",
    "a b c d e f g h " * 3,
    "a b c d e f g h",
    '{"answer": "42", ' + CODE + "}",
    '{"answer": "40.5", "code": "draw()"}',
    '{"answer": 42, ' + CODE + "}",
    '{"answer": "0.4", ' + CODE + "}",
    '{"answer": "many", ' + CODE + "}",
    *('["answer"]', '{"answer": "42"', "{}"),
    *("the end", "THE END", STORY + "THE END \n", "the rest \n ", "no\t"),
    *(STORY * times + ending for times in (124, 125, 300, 350, 900) for ending in ("THE END", ".")),
)
"""Drawn for every turn; they have nothing to do with the turn's tokens."""
PARTS = {
    **dict.fromkeys(("hit_1", "hit_2", "rank_1", "rank_2", "executes", "intent"), (0.0, 1.0)),
    **dict.fromkeys(("executed", "cooperates", "judge", "format"), (0.0, 0.4, 1.0)),
    **dict.fromkeys(("readable", "correct"), (0.0, 2.0, 3.0, 4.0, 5.0)),
    "completeness": (0.3,),
}
"""Named parts beside `solved` and `order`, and their values; an attempt may lack any of them."""


def random_data(rng):
    """The task's own record: gold answers of all kinds."""
    words = (["red"], ["green", "red"], ["blue"])[rng.integers(3)]
    gold = (42, "0.5", 0, "red", ["A", "red"])[rng.integers(5)]
    more = {"kind": str(rng.choice(["x", "y"])), "label": str(rng.choice(["event", "calm"]))}
    sums = {"numbers": [3, 4, 6], "target": 42, "lines": ["l1", "l2"], "count": 2}
    return {"words": words, "answer": gold, **more, **sums}
