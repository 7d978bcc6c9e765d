"""Agents: how policies meet an environment, one way of it per module.

    chat        the whole conversation, appended to
    window      the task and the last turns
    summary     the task, a summary that the policy writes itself, and the turns since
    stepwise    a prompt made anew for every turn, as verl-agent does
    selfplay    one policy on both sides of a game
    agentflow   a planner, an executor, a verifier and a generator around a memory
    delegate    a main agent whose orders sub-agents carry out in episodes of their own
    program     several roles, written by you as one async function

Whatever an agent lets the policy read, `Turn.spans` are the exact ids that it read.
"""

from types import MappingProxyType

AGENTS = MappingProxyType(
    {
        "chat": "agentrl.agents.chat:ChatAgent",
        "window": "agentrl.agents.memory:WindowAgent",
        "summary": "agentrl.agents.memory:SummaryAgent",
        "stepwise": "agentrl.agents.stepwise:StepwiseAgent",
        "selfplay": "agentrl.agents.selfplay:SelfPlayAgent",
        "agentflow": "agentrl.agents.agentflow:AgentFlow",
        "delegate": "agentrl.agents.delegate:DelegateAgent",
        "program": "agentrl.agents.program:FunctionAgent",
    }
)
"""Agents by the name that a run's `agent` section gives them. Built from `Limits`; further
keyword-only arguments of the class are its configuration."""
