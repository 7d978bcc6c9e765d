"""The command line: one module per verb, imported when it is used, so that help is quick."""

from agentrl.cli.main import main

__all__ = ["main"]
