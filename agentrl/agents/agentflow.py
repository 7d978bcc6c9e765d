"""AgentFlow: a planner, an executor, a verifier and a generator around an evolving memory.

    analyst    task -> what the task asks                          once, if there is one
    planner    task, tools, memory -> sub-goal, context, tool      every turn, a sample of its own
    executor   sub-goal, context, tool -> a command                every turn
    tool       command -> result                                   the environment, or a plug-in
    verifier   task, memory -> STOP or CONTINUE                    every turn
    generator  task, memory -> the final answer                    once, for the environment

Source: arXiv 2510.05592 (github lupantech/AgentFlow).
Differs: the memory belongs to the episode (the release makes one per solver, which leaks into the
next task); prompts hold the instructions before the memory, so a turn's prompt begins like the
next one's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from agentrl.agents.chat import Limits
from agentrl.agents.plans import FIELDS, PROMPTS, FlowMemory, Module, Plan, Step, plain, read_plan
from agentrl.agents.plugins import ENVIRONMENT, ToolPlugin, load_tool, not_found
from agentrl.agents.program import ProgramAgent
from agentrl.agents.scene import Line, Role, Scene, Script
from agentrl.agents.stepwise import check_names, spoken
from agentrl.errors import ConfigError


class AgentFlow(ProgramAgent):
    """Plays a task as a flow of modules, of which those in `trained` are trained.

    Args:
        limits: of tokens and seconds, for every module by itself.
        roles: the policy behind each module, by its name: `{executor: frozen, verifier: judge}`.
            A module that is not named is a rule: the executor passes the plan's context on, the
            verifier goes on until the environment ends, there is no analyst and no generator. The
            planner is always a policy, by default `main`.
        trained: modules whose tokens are rows.
        turns: of the planner.
        tools: `environment` (a step of it) or `module:function` plug-ins; one at least.
        plan: `structured` plans have labelled lines; a `bare` plan is a command for the one tool.
        finish: how a demonstration's last action begins, which is then the generator's.
        prompts: other prompts by module, format strings with the names in `FIELDS`.
        entry: one step of the memory, with `{number}`, `{tool}`, `{sub_goal}`, `{command}` and
            `{result}`.

    Raises:
        ConfigError: an unknown name, no tool, or a plan that does not say which of several tools.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        roles: Mapping[Module, str] | None = None,
        trained: Sequence[Module] = ("planner",),
        turns: int = 10,
        tools: Sequence[str] = (ENVIRONMENT,),
        plan: Literal["structured", "bare"] = "structured",
        finish: str = "<answer>",
        prompts: Mapping[Module, str] | None = None,
        entry: str = "{number}. {tool}: {sub_goal}\n{command}\n{result}",
    ) -> None:
        super().__init__(limits)
        self.roles: dict[Module, str] = dict(roles or {})
        self.roles.setdefault("planner", "main")
        self.trained = trained
        self.turns = turns
        self.tools = [load_tool(name) for name in tools]
        self.bare = plan == "bare"
        self.finish = finish
        self.prompts: dict[str, str] = dict(PROMPTS)
        self.prompts.update({str(module): text for module, text in (prompts or {}).items()})
        self.entry = entry
        self._check()

    async def program(self, scene: Scene) -> None:
        """Plan, execute and verify until it is enough, then answer."""
        await Flow(self, scene).play()

    def _check(self) -> None:
        for name, text in self.prompts.items():
            check_names(f"prompts.{name}", text, FIELDS[name])
        check_names("entry", self.entry, ("number", "tool", "sub_goal", "command", "result"))
        if self.turns < 1:
            raise ConfigError(f"turns is {self.turns}: give at least 1", "turns")
        if not self.tools or (self.bare and len(self.tools) > 1):
            names = ", ".join(tool.name for tool in self.tools) or "none"
            raise ConfigError(
                f"tools are {names}: a bare plan is a command for exactly one tool", "tools"
            )


class Flow:
    """One episode of AgentFlow."""

    def __init__(self, agent: AgentFlow, scene: Scene) -> None:
        self.agent = agent
        self.scene = scene
        self.memory = FlowMemory(entry=agent.entry)
        self.task = scene.text
        self.analysis = ""
        self.opened: dict[str, Role] = {}
        self.next = ""
        """The expert's next action, in a demonstration."""

    async def play(self) -> None:
        """The loop of the modules."""
        planner = self._role("planner")
        if "analyst" in self.agent.roles:
            self.analysis = await self._module("analyst", line=nothing)
        for _ in range(self.agent.turns):
            plan = await self._plan()
            tool = self._tool(plan.tool)
            command = await self._command(plan, tool)
            result = await tool(self.scene, planner, command) if tool else not_found(plan.tool)
            self._remember(plan, tool, command, result)
            if self.scene.over or await self._enough():
                break
        if not self.scene.over and "generator" in self.agent.roles:
            answer = await self._module("generator", line=self._action)
            await self.scene.act(spoken(answer), planner)

    async def _plan(self) -> Plan:
        text = spoken(await self._module("planner", line=self._planned))
        return Plan(self.agent.tools[0].name, "", text) if self.agent.bare else read_plan(text)

    async def _command(self, plan: Plan, tool: ToolPlugin | None) -> str:
        if "executor" not in self.agent.roles or tool is None:
            return plan.context
        return spoken(
            await self._module(
                "executor",
                line=self._action,
                tool=tool.name,
                about=tool.about(self.scene),
                sub_goal=plan.sub_goal,
                context=plan.context,
            )
        )

    async def _enough(self) -> bool:
        """Whether the verifier stops the flow."""
        self.next = ""
        if "verifier" not in self.agent.roles:
            return False
        verdict = await self._module("verifier", line=self._verdict)
        words = re.findall(r"STOP|CONTINUE", verdict.upper())
        return bool(words) and words[-1] == "STOP"

    async def _module(self, module: Module, *, line: Line, **names: str) -> str:
        """What a module says to its prompt, which is made anew every time."""
        given = {
            "task": self.task,
            "analysis": self.analysis,
            "memory": str(self.memory),
            "tools": "\n".join(tool.about(self.scene) for tool in self.agent.tools),
            **names,
        }
        heard = self.agent.prompts[module].format(**given)
        return await self._role(module).says(heard, fresh=True, line=line, state=heard)

    def _role(self, module: Module) -> Role:
        if module not in self.opened:
            self.opened[module] = self.scene.role(
                module,
                policy=self.agent.roles[module],
                parent=self.opened.get("planner"),
                system=str(self.scene.info.get("system") or "") if module == "planner" else "",
                trained=module in self.agent.trained,
            )
        return self.opened[module]

    def _tool(self, name: str) -> ToolPlugin | None:
        """The tool of that name, however it is spelt."""
        return next((t for t in self.agent.tools if plain(t.name) == plain(name)), None)

    def _remember(self, plan: Plan, tool: ToolPlugin | None, command: str, result: str) -> None:
        name = plan.tool if tool is None else tool.name
        step = Step(tool=name, sub_goal=plan.sub_goal, command=command, result=result)
        self.memory.steps.append(step)

    # ---- what demonstrations say ----

    async def _action(self, script: Script) -> str:
        """The expert's next action, drawn once a turn."""
        self.next = self.next or await script()
        return self.next

    async def _planned(self, script: Script) -> str:
        action = await self._action(script)
        if self.agent.bare:
            return action
        return f"Context: {action}\nSub-Goal: go on\nTool Name: {self.agent.tools[0].name}"

    async def _verdict(self, script: Script) -> str:
        answers = (await self._action(script)).startswith(self.agent.finish)
        return "STOP" if answers and "generator" in self.agent.roles else "CONTINUE"


async def nothing(script: Script) -> str:
    """What a demonstration's analyst says."""
    return ""
