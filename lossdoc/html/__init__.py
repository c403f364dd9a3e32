"""The HTML report: one self-contained page with its figures, without a script and without a network."""
