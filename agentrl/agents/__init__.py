"""Agents: how policies meet an environment, one way of it per module."""
