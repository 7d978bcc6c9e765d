"""Engines: what samples completions from a model, and how a model is loaded."""
