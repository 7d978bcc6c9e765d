"""Served models that keep their tokens to themselves: evaluation over OpenAI's protocol."""
