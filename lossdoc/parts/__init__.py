"""The words of model.yaml, a table a file."""
