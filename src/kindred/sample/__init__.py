"""The packaged sample data: the GroupLens part of MovieLens latest-small (2018), under its own licence."""

from importlib.resources import files
from pathlib import Path

_DATASET = "ml-latest-small"


def sample_folder() -> Path:
    """Return the folder that holds the sample's data files, mapping, licence and notice."""
    return Path(str(files(__name__).joinpath(_DATASET)))


def notice() -> str:
    """Return the data's notice: its source, its conditions (no commercial use) and its citation."""
    return (sample_folder() / "NOTICE.txt").read_text(encoding="utf-8").strip()
