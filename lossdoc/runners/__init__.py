"""The ways of training the points of a sweep, one a file."""
