"""The patterns of loss curves, one rule a file."""
