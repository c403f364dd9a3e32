"""The data sets that come with lossdoc, and the adapters to others, one a file."""
