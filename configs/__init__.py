"""The configurations that come with agentrl, as data files: `agentrl show configs` lists them."""

if __name__ == "configs":
    raise ImportError(
        "import agentrl.configs, not configs: this folder is the package agentrl.configs"
    )
