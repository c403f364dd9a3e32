"""The log formats that can be read, one reader a file."""
