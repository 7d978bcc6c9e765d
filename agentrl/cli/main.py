"""`agentrl VERB`: arguments, one-line errors and exit codes; what a verb does is in its own module.

Exit codes: 0 done, 1 the verb's own check failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agentrl.cli.evaluation import app as evaluation
from agentrl.errors import AgentRLError

app = typer.Typer(
    help="Train language-model agents by reinforcement learning in multi-turn text environments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
doctor = typer.Typer(rich_markup_mode=None)
app.add_typer(doctor, name="doctor")
verify = typer.Typer(
    help="Prove what every result rests on.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(verify, name="verify")
app.add_typer(evaluation, name="eval")
data = typer.Typer(
    help="Public question files; nothing is downloaded unless asked for here.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(data, name="data")
Config = Annotated[
    str, typer.Argument(help="YAML file, name of a shipped configuration, or run folder.")
]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, for example seed=1")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@app.command()
def train(
    config: Config,
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            help="Train this policy alone, below OUT/POLICY: the trainers of the others are "
            "processes of their own, which meet it in the journal.",
        ),
    ] = "",
) -> None:
    """Warm start, evaluate, train, evaluate; prints a table and writes everything below `out`."""
    from agentrl.cli.train import train as verb

    chosen = [f"only={only}"] if only else []
    verb(config, [*(overrides or []), *chosen], resume=resume)


@app.command()
def baselines(
    config: Config,
    overrides: Overrides = None,
    model: Annotated[
        str,
        typer.Option(
            help="Compare this model instead: a folder, or openai:URL#NAME; default: the run's "
            "weights before and after training."
        ),
    ] = "",
    served: Annotated[
        list[str] | None, typer.Option(help="key=value: how a served model is asked.")
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable with a served model's key.")
    ] = "OPENAI_API_KEY",
    tasks: Annotated[int, typer.Option(min=1, help="Number of held-out tasks.")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the draws and of the choice of tasks.")] = 0,
    json: Json = False,
) -> None:
    """A table of what a paper compares: each way to play, before and after training, the oracle."""
    from agentrl.cli.baselines import baselines as verb
    from agentrl.cli.measure import Question, Serving

    verb(
        config,
        overrides or [],
        Question(split="test", tasks=tasks, attempts=1, temperature=temperature, seed=seed),
        model=model,
        serving=Serving(endpoint=served or [], key_variable=api_key_env),
        json=json,
    )


@app.command()
def play(
    env: Annotated[str, typer.Argument(help="Environment id, for example agentrl/Sudoku-v0.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="key=value for the environment.")
    ] = None,
    player: Annotated[str, typer.Option(help="human, oracle or expert.")] = "human",
    seed: Annotated[int, typer.Option(help="Which task.")] = 0,
) -> None:
    """Play one episode in the terminal."""
    from agentrl.cli.play import play as verb

    verb(env, arguments or [], player=player, seed=seed)


@app.command("check-env")
def check_env(
    env: Annotated[
        str | None, typer.Argument(help="Environment id, for example agentrl/Sudoku-v0.")
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="key=value for the environment; default: each of its variants."),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every environment of ours.")] = False,
    tasks: Annotated[int, typer.Option(min=1, help="Played of each split.")] = 4,
    speed: Annotated[
        float, typer.Option(min=0.0, help="Seconds to measure speed in; 0 does not.")
    ] = 5.0,
    json: Json = False,
) -> None:
    """The conformance suite: what an environment promises, tried out; exit code 1 if it fails."""
    from agentrl.cli.check_env import check_env as verb

    verb(env, arguments or [], all=all, tasks=tasks, seconds=speed, json=json)


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="algorithms, agents, envs, configs or models.")],
    name: Annotated[str | None, typer.Argument(help="Show one of them in full.")] = None,
    json: Json = False,
) -> None:
    """What there is: signatures, defaults, sources."""
    from agentrl.cli.show import show as verb

    verb(what, name, json=json)


@app.command()
def check(config: Config, overrides: Overrides = None) -> None:
    """Resolve a configuration, play one scripted episode, print the loss that will be optimised."""
    from agentrl.cli.check import check as verb

    verb(config, overrides or [])


@verify.command()
def tokens(
    model: Annotated[str, typer.Option(help="Model or tokenizer folder, or hub id.")],
    conversations: Annotated[int, typer.Option(min=0, help="How many to generate.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the conversations.")] = 0,
    calls: Annotated[
        str, typer.Option(help="Format of tool calls; auto reads it off the template.")
    ] = "auto",
    thinking: Annotated[
        bool | None, typer.Option(help="Tell the template to think, or not to.")
    ] = None,
    json: Json = False,
) -> None:
    """Certify a tokenizer and its chat template: what is trained is exactly what was sampled."""
    from agentrl.cli.verify import tokens as verb

    verb(model, conversations=conversations, seed=seed, calls=calls, thinking=thinking, json=json)


@app.command()
def lab(
    episodes: Annotated[str, typer.Argument(help="A run's folder, or an episodes.jsonl.")],
    algorithms: Annotated[
        str, typer.Option(help="Names with commas, for example grpo,gigpo,flow_grpo.")
    ] = "grpo,dr_grpo,rloo,flow_grpo",
    step: Annotated[int | None, typer.Option(help="Which step; default: the last.")] = None,
    model: Annotated[
        str, typer.Option(help="Model folder: gradients of its parameters, not of log-probs.")
    ] = "",
    shown: Annotated[int, typer.Option(min=0, help="Attempts whose turns are listed.")] = 8,
    json: Json = False,
) -> None:
    """Recompute credit of one recorded step under several algorithms and compare them."""
    from agentrl.cli.lab import lab as verb

    names = [name.strip() for name in algorithms.split(",") if name.strip()]
    verb(episodes, names, step=step, model=model, shown=shown, json=json)


@app.command()
def journal(
    source: Annotated[str, typer.Argument(help="A run's folder, a journal's file, or its URL.")],
    run: Annotated[str, typer.Option(help="Which run: how its id begins.")] = "",
    export: Annotated[
        str, typer.Option(help="Write the run's surviving episodes into this file as JSON lines.")
    ] = "",
    json: Json = False,
) -> None:
    """What the journal holds: runs, lives, what survives, every agent's credit, exchanges."""
    from agentrl.cli.journal import journal as verb

    verb(source, run=run, export=export, json=json)


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="Run folder or checkpoint.")],
    folder: Annotated[str, typer.Argument(help="Where to; new or empty.")],
    adapter: Annotated[
        bool, typer.Option("--adapter/--merged", help="LoRA adapters alone, or a whole model.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="same, float32, bfloat16 or float16.")] = "same",
) -> None:
    """A checkpoint as a folder that transformers and `vllm serve` load unchanged."""
    from agentrl.cli.export import export as verb

    verb(source, folder, form="adapter" if adapter else "merged", dtype=dtype)


@doctor.callback(invoke_without_command=True)
def installed(context: typer.Context, json: Json = False) -> None:
    """What is installed, what works, what does not fit together, and what to type."""
    if context.invoked_subcommand is None:
        from agentrl.cli.doctor import doctor as verb

        verb(json=json)


@doctor.command()
def mismatch(
    config: Config,
    overrides: Overrides = None,
    model: Annotated[
        str, typer.Option(help="Checkpoint or model folder; default: the run's last checkpoint.")
    ] = "",
    episodes: Annotated[int, typer.Option(min=1, help="How many to play.")] = 32,
    json: Json = False,
) -> None:
    """Play a little and name what makes engine and learner differ: exit code 1 if anything does."""
    from agentrl.cli.mismatch import mismatch as verb

    verb(config, overrides or [], model=model, episodes=episodes, json=json)


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(help="lcquad2, qald9plus or qald10.")],
    out: Annotated[str, typer.Option(help="Folder to write into; new or empty.")],
    source: Annotated[
        str, typer.Option(help="Another address or a clone; default: the benchmark's own.")
    ] = "",
    via: Annotated[str, typer.Option(help="git, or datasets where it is on the hub.")] = "git",
) -> None:
    """Download a benchmark's question files; prints their source and licence."""
    from agentrl.cli.data import fetch as verb

    verb(name, out=out, source=source, via=via)


@app.command()
def serve(
    model: Annotated[str, typer.Argument(help="Model folder or hub id.")],
    options: Annotated[
        list[str] | None, typer.Argument(help="key=value for vLLM's server, as it names them.")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the first server.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Whoever reaches it can replace the weights: keep it private.")
    ] = "127.0.0.1",
    servers: Annotated[int, typer.Option(min=1, help="How many, on consecutive ports.")] = 1,
) -> None:
    """Start vLLM servers that `engine.name=server` samples from and publishes weights to."""
    from agentrl.cli.serve import serve as verb

    verb(model, port=port, host=host, servers=servers, options=options or [])


def main() -> None:
    """The console entry point."""
    try:
        app(standalone_mode=True)
    except AgentRLError as error:
        message = " ".join(str(error).split("\n"))  # some that we pass on have many lines
        sys.stderr.write(f"error: {message}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
