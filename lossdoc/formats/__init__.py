"""The forms a report can be given in, one a file."""
