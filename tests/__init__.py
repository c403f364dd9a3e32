"""The tests of lossdoc."""
