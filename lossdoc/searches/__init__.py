"""The ways of choosing the points of a sweep, one a file."""
