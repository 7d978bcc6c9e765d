"""A verifiers taskset for the tests whose answers a tool server of its own knows."""

import verifiers.v1 as vf

__all__ = ["Numbers"]
WORDS = ("red", "green", "blue", "pink")


class Lexicon(vf.Toolset[vf.SharedToolsetConfig, vf.State]):
    @vf.tool
    async def colour(self, number: int) -> str:
        """The colour of a number."""
        return WORDS[number]


class NumbersData(vf.TaskData):
    answer: str


class NumbersTask(vf.Task[NumbersData, vf.State, vf.TaskConfig]):
    @vf.reward
    async def named(self, task, trace) -> float:
        return float(task.answer in (trace.messages[-1].content or ""))


class Numbers(vf.Taskset[NumbersTask, vf.TasksetConfig]):
    @classmethod
    def toolsets(cls, config):
        return [Lexicon(vf.SharedToolsetConfig())]

    def load(self):
        for number, word in enumerate(WORDS):
            prompt = f"which colour is {number}"
            yield NumbersTask(NumbersData(prompt=prompt, answer=word), self.config.task)


if __name__ == "__main__":
    Lexicon.run()
