"""Layouts: how samples become tensors. Gradients are equal whichever is taken."""

from agentrl.layouts.padded import Padded

LAYOUTS = {"padded": Padded}
