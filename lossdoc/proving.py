"""From findings to proven causes: every cause that a finding suggests is tried by the change that would cure it."""
