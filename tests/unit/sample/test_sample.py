"""The packaged sample: what it holds, under which licence, and that the wheel carries it."""

import csv
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq

from kindred.sample import notice, sample_folder

REPOSITORY = Path(__file__).resolve().parents[3]


def _rows(name: str) -> list[dict[str, str]]:
    with (sample_folder() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_films_have_only_grouplens_columns() -> None:
    films = _rows("movies.csv")
    assert len(films) == 9742
    assert list(films[0]) == ["item_id", "title", "year", "genres", "imdb_id", "tmdb_id"]
    assert films[0]["genres"] == "Adventure|Animation|Children|Comedy|Fantasy"
    assert len({film["item_id"] for film in films}) == len(films)


def test_ratings_and_tags_refer_to_films() -> None:
    films = {film["item_id"] for film in _rows("movies.csv")}
    ratings = pq.read_table(sample_folder() / "ratings.parquet")
    assert ratings.column_names == ["user_id", "item_id", "rating", "timestamp"]
    assert ratings.num_rows == 100_836
    assert {str(item) for item in ratings["item_id"].unique().to_pylist()} <= films
    tags = _rows("tags.csv")
    assert len(tags) == 3683
    assert list(tags[0]) == ["user_id", "item_id", "tag", "timestamp"]
    assert {tag["item_id"] for tag in tags} <= films


def test_notice_and_licence_state_the_conditions() -> None:
    assert "commercial" in notice()
    assert "10.1145/2827872" in notice()
    licence = (sample_folder() / "LICENSE.txt").read_text(encoding="utf-8")
    assert "may not use this information for any commercial" in licence
    assert "same license conditions" in licence


def test_wheel_carries_the_sample_and_both_licences(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 2_000_000
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = "kindred/sample/ml-latest-small/"
    files = ("movies.csv", "ratings.parquet", "tags.csv", "mapping.toml", "LICENSE.txt", "NOTICE.txt")
    assert {folder + file for file in files} <= names
    assert sum(name.endswith("licenses/LICENSE") for name in names) == 1
    assert "kindred/py.typed" in names
