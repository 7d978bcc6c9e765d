"""Layouts: how samples become tensors. Gradients are equal whichever is taken."""

from agentrl.layouts.packed import Packed
from agentrl.layouts.padded import Padded
from agentrl.layouts.tree import Tree

LAYOUTS: dict[str, type[Packed] | type[Padded] | type[Tree]] = {
    "packed": Packed,
    "padded": Padded,
    "tree": Tree,
}
