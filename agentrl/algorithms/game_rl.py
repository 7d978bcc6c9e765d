"""Game questions: graded questions with exact answers, the easy ones first.

Source: arXiv 2505.13886 and its code (github tongjingqi/Game-RL).
Tier: C, text analogue: questions from our own text engines, checked exactly instead of by a judge.
Certainty: code for the recipe (plain GRPO, 12 attempts, binary reward); the curriculum is ours.
Differs: tasks come by difficulty grade, a growing share of the easiest ones.
Assumes: every task carries its grade: a number, or something whose length or symbols are counted.
A Sudoku file of mixed puzzles does: `key: puzzle`, `symbol: "."` counts the blanks, and
`max_turns: 1` makes each puzzle one question.
Edges: equal grades keep the pool's order; a task without the key is refused at the start; a share
smaller than the step opens as many tasks as the step needs.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.curricula import DifficultyCurriculum

GAME_RL = GRPO.but(sampler=part(DifficultyCurriculum))
