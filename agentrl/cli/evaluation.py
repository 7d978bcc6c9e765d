"""`agentrl eval`: of a configuration or of a public benchmark; arguments only.

What the commands do is in `evaluate.py` and `benchmark.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup


class ConfigByDefault(TyperGroup):
    """Commands by name; any other first argument is a configuration's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command for configurations before what names none."""
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if not args or args[0] in known else ["config", *args])


app = typer.Typer(
    cls=ConfigByDefault,
    help="Success with a 95% interval: of a configuration (`eval CONFIG ...`, `eval config --help`)"
    " or on a public benchmark.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Config = Annotated[
    str, typer.Argument(help="YAML file, name of a shipped configuration, or run folder.")
]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, for example seed=1")]
Model = Annotated[
    str,
    typer.Option(
        help="Checkpoint or model folder, openai:URL#NAME for a served model, or oracle, expert, "
        "null."
    ),
]
Key = Annotated[str, typer.Option(help="Environment variable with a served model's key.")]
Served = Annotated[
    list[str] | None,
    typer.Option(help="key=value: how a served model is asked, for example mode=completions."),
]
Tasks = Annotated[int, typer.Option(min=0, help="At most so many tasks; 0 for all.")]
Attempts = Annotated[int, typer.Option(min=1, help="Attempts per task; more than one adds pass@k.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 is greedy.")]
Seed = Annotated[int, typer.Option(help="Of the draws and of the choice of tasks.")]
Out = Annotated[str, typer.Option(help="Folder for episodes, scores and result files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
File = Annotated[str, typer.Option(help="The benchmark's questions.")]
Endpoint = Annotated[
    str, typer.Option(help="Address of a SPARQL endpoint, or RDF files separated by commas.")
]
Language = Annotated[str, typer.Option(help="Of the questions.")]
Split = Annotated[str, typer.Option(help="all, train or test.")]


@app.command("config")
def of_config(
    config: Config,
    overrides: Overrides = None,
    model: Model = "",
    served: Annotated[
        list[str] | None,
        typer.Option(
            "--served",
            "--endpoint",
            help="key=value: how a served model is asked, for example mode=completions.",
        ),
    ] = None,
    api_key_env: Key = "OPENAI_API_KEY",
    player: Annotated[str, typer.Option(help="policy, oracle, expert or null.")] = "policy",
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    tasks: Annotated[int, typer.Option(min=1, help="Number of tasks.")] = 256,
    attempts: Attempts = 1,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    records: Annotated[
        str, typer.Option(help="Write one JSON line per attempt to this file.")
    ] = "",
    json: Json = False,
) -> None:
    """Tasks of a configuration's environment; by default with the run's last checkpoint."""
    from agentrl.cli.evaluate import evaluate
    from agentrl.cli.measure import Question, Serving

    question = Question(
        split=split, tasks=tasks, attempts=attempts, temperature=temperature, seed=seed
    )
    evaluate(
        config,
        overrides or [],
        question,
        model=model,
        serving=Serving(endpoint=served or [], key_variable=api_key_env),
        player=player,
        output=records,
        json=json,
    )


@app.command()
def bfcl(
    context: typer.Context,
    overrides: Overrides = None,
    model: Model = "",
    categories: Annotated[
        str, typer.Option(help="Names or groups with commas; default: all that can run.")
    ] = "",
    split: Split = "all",
    tasks: Tasks = 0,
    attempts: Attempts = 1,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    served: Served = None,
    api_key_env: Key = "OPENAI_API_KEY",
    out: Out = "runs/bfcl",
    json: Json = False,
) -> None:
    """Berkeley Function Calling Leaderboard, judged by its own package."""
    named = [name.strip() for name in categories.split(",") if name.strip()]
    _benchmark({"id": "agentrl/Bfcl-v0"} | ({"categories": named} if named else {}), context.params)


def over_graph(name: str, env: str, about: str) -> None:
    """Add the command of a benchmark whose questions are a file's and whose graph is anywhere."""

    @app.command(name, help=about)
    def _(
        context: typer.Context,
        file: File,
        endpoint: Endpoint,
        overrides: Overrides = None,
        model: Model = "",
        language: Language = "en",
        split: Split = "all",
        tasks: Tasks = 0,
        attempts: Attempts = 1,
        temperature: Temperature = 0.0,
        seed: Seed = 0,
        served: Served = None,
        api_key_env: Key = "OPENAI_API_KEY",
        out: Out = f"runs/{name}",
        json: Json = False,
    ) -> None:
        graph = {"file": file, "endpoint": _source(endpoint), "language": language}
        _benchmark({"id": env, **graph}, context.params)


over_graph("qald", "agentrl/Qald-v0", "QALD-9-plus and QALD-10: questions over a knowledge graph.")
over_graph("lcquad", "agentrl/Lcquad-v0", "LC-QuAD 2.0: questions over Wikidata or DBpedia.")


def _source(endpoint: str) -> str | list[str]:
    """An address, or RDF files."""
    files = [source.strip() for source in endpoint.split(",")]
    return endpoint if len(files) == 1 or "://" in endpoint else files


def _benchmark(env: dict[str, Any], asked: dict[str, Any]) -> None:
    """Play the benchmark of this environment as the options say that all benchmarks have."""
    from agentrl.cli.benchmark import benchmark
    from agentrl.cli.measure import Question, Serving

    names = ("split", "tasks", "attempts", "temperature", "seed")
    benchmark(
        env,
        asked["overrides"] or [],
        Question(**{name: asked[name] for name in names}),
        model=asked["model"],
        serving=Serving(endpoint=asked["served"] or [], key_variable=asked["api_key_env"]),
        out=asked["out"],
        json=asked["json"],
    )
