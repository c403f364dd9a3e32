"""Callbacks of training frameworks over a Monitor: a verdict while the run goes on. Each imports its framework itself."""
