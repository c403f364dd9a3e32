"""The remedies, one a file."""
