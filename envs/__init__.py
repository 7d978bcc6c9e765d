"""The environments that come with agentrl; importing this registers their ids and nothing else."""

from __future__ import annotations

from gymnasium.envs.registration import register, registry

if __name__ == "envs":
    raise ImportError("import agentrl.envs, not envs: this folder is the package agentrl.envs")

ENVIRONMENTS = {
    "agentrl/AlfWorld-v0": "agentrl.envs.alfworld:AlfWorld",
    "agentrl/Bfcl-v0": "agentrl.envs.bfcl:Bfcl",
    "agentrl/CallStep-v0": "agentrl.envs.functions:CallStep",
    "agentrl/Echo-v0": "agentrl.envs.echo:Echo",
    "agentrl/Gem-v0": "agentrl.envs.adapters.gem_env:Gem",
    "agentrl/Gymnasium-v0": "agentrl.envs.adapters.gymnasium_env:Gymnasium",
    "agentrl/Lcquad-v0": "agentrl.envs.sparql.benchmark:Lcquad",
    "agentrl/Mcp-v0": "agentrl.envs.adapters.mcp_env:Mcp",
    "agentrl/Mixture-v0": "agentrl.envs.mixture:Mixture",
    "agentrl/Office-v0": "agentrl.envs.functions:Office",
    "agentrl/OpenEnv-v0": "agentrl.envs.adapters.openenv_env:OpenEnv",
    "agentrl/Qald-v0": "agentrl.envs.sparql.benchmark:Qald",
    "agentrl/ReasoningGym-v0": "agentrl.envs.adapters.reasoning_env:ReasoningGym",
    "agentrl/Research-v0": "agentrl.envs.research:Research",
    "agentrl/Sparql-v0": "agentrl.envs.sparql:Sparql",
    "agentrl/Sudoku-v0": "agentrl.envs.sudoku:Sudoku",
    "agentrl/TextArena-v0": "agentrl.envs.adapters.textarena_env:TextArena",
    "agentrl/TextWorld-v0": "agentrl.envs.textworld:TextWorld",
    "agentrl/Verifiers-v0": "agentrl.envs.adapters.verifiers_env:Verifiers",
}


def register_all() -> None:
    """Register every id of ENVIRONMENTS; calling it again changes nothing."""
    for name, entry_point in ENVIRONMENTS.items():
        if name not in registry:
            register(name, entry_point=entry_point, disable_env_checker=True, order_enforce=False)


register_all()
