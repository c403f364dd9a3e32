"""The data sets that come with lossdoc, and the adapters to others, one a file."""

from lossdoc.datasets.builtin import Digits, Iris, Wine
from lossdoc.datasets.csv_file import Csv
from lossdoc.datasets.source import OwnSource, Source
from lossdoc.word import table

SOURCES = table(Digits, Iris, Wine, Csv, OwnSource)
__all__ = ["SOURCES", "Source"]
