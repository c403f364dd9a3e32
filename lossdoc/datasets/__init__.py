"""The data sets that come with lossdoc, and the adapters to others, one a file."""

from lossdoc.datasets.builtin import Digits, Iris, Wine
from lossdoc.datasets.csv_file import Csv
from lossdoc.datasets.files import ImageFolder, Npz, Parquet, TextFile
from lossdoc.datasets.hubs import HuggingFace, Torchvision
from lossdoc.datasets.source import OwnSource, Source
from lossdoc.datasets.synthetic import Synthetic
from lossdoc.word import table

SOURCES = table(Digits, Iris, Wine, Synthetic, Csv, Parquet, Npz, ImageFolder, TextFile, Torchvision, HuggingFace, OwnSource)
__all__ = ["SOURCES", "Source"]
