"""vLLM as the engine: in this process, or as servers that `agentrl serve` starts."""
