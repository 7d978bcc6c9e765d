"""Strategies: which attempts a group is made of."""

from __future__ import annotations

import asyncio

from agentrl.protocols import Play
from agentrl.types import Group, Task


async def independent(task: Task, attempts: int, play: Play) -> Group:
    """`attempts` independent episodes."""
    episodes = await asyncio.gather(*(play(task, attempt) for attempt in range(attempts)))
    return Group(task=task, episodes=tuple(episodes))
