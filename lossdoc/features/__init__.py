"""Pure measurements of float64 arrays of shape (n,)."""
