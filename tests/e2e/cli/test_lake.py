"""`kindred lake` on a real data folder."""

import json

from tests.e2e.cli.conftest import Kindred


def test_the_lake_is_written_compacted_and_asked(kindred: Kindred) -> None:
    first = json.loads(kindred("lake", "write", "--json").stdout)
    assert first["rows"] > 0
    assert json.loads(kindred("lake", "write", "--json").stdout)["rows"] == 0
    assert kindred("lake", "compact").returncode == 0
    counted = kindred("lake", "query", "SELECT source, COUNT(*) AS n FROM interactions GROUP BY source", "--json")
    assert json.loads(counted.stdout) == [{"source": "ml-latest-small", "n": 100836}], counted.stderr
    said = kindred("lake", "query", "SELECT title, tags FROM items ORDER BY item_id", "--csv", "--limit", "2")
    assert said.stdout.startswith("title,tags\n")
    assert len(said.stdout.splitlines()) == 3
    assert "more than 2" in said.stderr
    assert "kind" in kindred("lake", "query", "SELECT kind, COUNT(*) AS n FROM events GROUP BY kind").stdout
    wrong = kindred("lake", "query", "SELECT nope FROM items")
    assert wrong.returncode == 2
    assert "nope" in wrong.stderr
