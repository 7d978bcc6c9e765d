"""A verifiers taskset for the tests: say a word back, in one turn, in several, or by a tool."""

import verifiers.v1 as vf

__all__ = ["Words", "WordsEnv"]
WORDS = ("red", "green", "blue", "pink", "gold", "grey", "teal", "lime")


class WordsConfig(vf.TasksetConfig):
    count: int = 16
    rounds: int = 1
    words: int = 8


class WordsData(vf.TaskData):
    answers: list[str]


class WordsTask(vf.Task[WordsData, vf.State, vf.TaskConfig]):
    @vf.reward(weight=1.0)
    async def said(self, task, trace) -> float:
        """The share of rounds that were right."""
        told = [node.content or "" for node in trace.messages if node.role == "assistant"]
        right = [a.strip() == b for a, b in zip(told, task.answers, strict=False)]
        return sum(right) / len(task.answers)

    @vf.metric
    async def length(self, trace) -> float:
        return float(trace.num_turns)


class Words(vf.Taskset[WordsTask, WordsConfig]):
    def load(self):
        for number in range(self.config.count):
            rounds = range(self.config.rounds)
            answers = [WORDS[(number + 3 * r) % self.config.words] for r in rounds]
            data = {"name": f"{number}", "prompt": f"say {answers[0]}", "answers": answers}
            yield WordsTask(WordsData(system_prompt="Repeat.", **data), self.config.task)


class WordsEnvConfig(vf.EnvConfig):
    speaker: vf.AgentConfig = vf.AgentConfig()


class WordsEnv(vf.Env[WordsEnvConfig]):
    async def run(self, task, agents):
        async with agents.speaker.interaction(task) as interaction:
            segment = await interaction.turn()
            for word in task.data.answers[1:]:
                if segment.terminated:
                    break
                segment = await interaction.turn(f"say {word}")
