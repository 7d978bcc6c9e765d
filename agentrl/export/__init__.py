"""Our environments in other people's trainers: one module for each library, imported on its own.

    from agentrl.export import trl
    GRPOTrainer(..., environment_factory=trl.environment_factory("agentrl/Sudoku-v0", size=4))

    from agentrl.export import verifiers
    env = verifiers.environment("agentrl/Sudoku-v0", size=4)             # a verifiers Env

    python -m agentrl.export.openenv agentrl/Sudoku-v0 --port 8000 size=4     # an OpenEnv server

Every export plays the environment itself: the same texts bring the same observations and rewards.
"""
