"""The checks on a model, its data, its loss and its training step, one rule a file."""
