"""What is asked of two runs of which one is known to be good; every file is one question."""
