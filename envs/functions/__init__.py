"""Function calling: a simulated office, and single steps of calling with a reference."""

from agentrl.envs.functions.call_step import CallStep
from agentrl.envs.functions.office import Office

__all__ = ["CallStep", "Office"]
