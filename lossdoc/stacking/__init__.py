"""The ways to train many points of one architecture as one."""
