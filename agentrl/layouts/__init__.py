"""Layouts: how samples are laid out for the model. All answer with equal numbers and gradients."""
