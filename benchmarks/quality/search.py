"""Personalised search against plain text ranking, on what users went on to rate well in the packaged data.

python -m benchmarks.quality.search

No data here has real queries, so they are made: of each item that a user rated well in the last fifth of their time, a
word of its title, one of its categories, and a tag. What such a query should find are all items of that fifth which the
user rated well and which bear the word, category or tag. Models know the first four fifths; what a user had rated there
is left out of every list, since nothing is rated twice in this data. The weights of the mix are chosen in the same way
within the first four fifths. One row of figures weighs every user alike; intervals are paired, over users.
"""

import asyncio
import itertools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.quality.funnel import imported
from kindred.adapters.tantivy.text import open_text
from kindred.app.asking import as_search
from kindred.app.text_feed import TextFeed
from kindred.core.candidates import Candidates, Ordinals
from kindred.core.item import Item
from kindred.core.query import Context, Query
from kindred.evaluation.intervals import Interval, mean_interval, paired_difference
from kindred.evaluation.item_sets import ItemSets, from_pairs
from kindred.evaluation.metrics import judge, ndcg, recall, reciprocal_rank
from kindred.evaluation.splits import per_user_temporal
from kindred.ingest.importing import load_mapping
from kindred.models.blend import BlendConfig, BlendModel, blended
from kindred.models.text import fold, words
from kindred.pipeline.runner import Runner
from kindred.ports.telemetry import NoMeter
from kindred.ports.text import TextIndex
from kindred.recommend.ask import Ask, SearchAsk
from kindred.recommend.search.config import SearchConfig
from kindred.recommend.search.funnel import build_search_funnel
from kindred.recommend.search.relevance import Relevance
from kindred.sample import sample_folder
from kindred.training.bundle import trial_models
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.models import fit_models
from kindred.training.holdout import last_times
from kindred.training.relevance import unseen_relevant
from kindred.training.replay import Kept, Replay, ReplayPorts, padded, replay_params

KINDS = ("title word", "category", "tag")
METRICS = {"ndcg@10": (ndcg, 10), "recall@20": (recall, 20), "mrr@10": (reciprocal_rank, 10)}
COUNT = 20
PER_USER = 3
"""Queries of each kind that a user makes at most."""
PLAIN = SearchConfig(personalisation=0.0, content=0.0, popularity=0.0)
GRID = [
    SearchConfig(personalisation=personalisation, content=content, popularity=popularity)
    for personalisation, content, popularity in itertools.product(
        (0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.1, 0.3, 0.6, 1.0), (0.0, 0.1, 0.2, 0.5)
    )
]


@dataclass(frozen=True)
class Question:
    """A made query: `wanted` are the ordinals that it should find."""

    user: int
    kind: str
    text: str
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Asked:
    """A question with everything that the sources found for it, up to the blend's score."""

    question: Question
    query: Query
    found: Candidates


def borne(item: Item) -> dict[str, set[str]]:
    """Return by kind of query what an item can be found by; numbers and short words of a title are no query."""
    return {
        "title word": {word for word in words(item.title) if len(word) > 3 and word.isalpha()},
        "category": {fold(name) for name in item.categories},
        "tag": {fold(name) for name in item.tags},
    }


def questions(wanted: ItemSets, dataset: Dataset, seed: int = 42) -> list[Question]:
    """Return up to `PER_USER` made queries of each kind for every user with something to find."""
    rng = np.random.default_rng(seed)
    made = []
    for user in np.flatnonzero(wanted.sizes > 0).tolist():
        items = wanted.indices[wanted.indptr[user] : wanted.indptr[user + 1]].tolist()
        bears = {ordinal: borne(dataset.items[ordinal].item) for ordinal in items if dataset.items[ordinal] is not None}
        for kind in KINDS:
            texts = sorted({text for each in bears.values() for text in each[kind]})
            for place in rng.permutation(len(texts))[:PER_USER].tolist():
                found = tuple(ordinal for ordinal, each in bears.items() if texts[place] in each[kind])
                made.append(Question(user, kind, texts[place], found))
    return made


async def asked(
    train: Dataset, future: Dataset, ports: ReplayPorts, text: TextIndex, configs: TrainConfigs
) -> tuple[list[Asked], Relevance]:
    """Fit on `train`, make the queries of `future`, and find what there is for each; also give what can score it."""
    wanted = unseen_relevant(future.interactions, train.interactions, train.n_users, configs.relevance)
    now = last_times(train)
    made = [one for one in questions(wanted, train) if now[one.user] >= 0]
    fitted = fit_models(train, configs, int(now.max()) + 1)
    blend = BlendModel.from_config(BlendConfig(), blended(fitted.retrievers))
    users = np.unique([one.user for one in made])
    with tempfile.TemporaryDirectory(prefix="kindred-search-") as folder:
        models = trial_models(fitted, blend, Path(folder), ports.indexes)
        replay = await Replay.open(train, models, users, ports, configs)
        whole = build_search_funnel(replay.world, text, SearchConfig(content=1.0))
        found = []
        for one in made:
            kept = Kept()
            query = _query(one, train, int(now[one.user]), configs)
            funnel = replace(whole, fine=[whole.fine[0], kept], rerankers=(), explainer=None)
            await Runner().run(funnel, query)
            found.append(Asked(one, query, kept.candidates))
    return found, Relevance(replay.world, SearchConfig())


def _query(one: Question, train: Dataset, now: int, configs: TrainConfigs) -> Query:
    query = Query(
        user_id=train.user_ids[one.user],
        request_id="replay",
        context=Context(time=now),
        placement="search",
        count=COUNT,
        params=replay_params(configs.recommend, 0.0),
    )
    return as_search(query, SearchAsk(Ask(query.user_id), one.text), SearchConfig(personalisation=1.0))


def listed(each: Asked, relevance: Relevance, config: SearchConfig) -> Ordinals:
    """Return the first results (≤ 20,) under a configuration."""
    found = each.found
    if config.content == 0:
        found = found.take(~np.isnan(found.column("raw.text")))
    search = msgspec.structs.replace(each.query.search, personalisation=config.personalisation)
    scores = Relevance(relevance.world, config).score(replace(each.query, search=search), found)["score"]
    return found.items[np.lexsort((found.items, -scores))][:COUNT]


def judged(found: list[Asked], relevance: Relevance, config: SearchConfig) -> dict[str, NDArray[np.float64]]:
    """Return each metric of each query under a configuration."""
    lists = padded([listed(each, relevance, config) for each in found], COUNT)
    pairs = [(row, item) for row, each in enumerate(found) for item in each.question.wanted]
    rows, items = np.array(pairs).T
    marks = judge(lists, from_pairs(rows, items, len(found)))
    return {name: metric(marks, k) for name, (metric, k) in METRICS.items()}


def by_user(values: NDArray[np.float64], found: list[Asked], kind: str | None) -> NDArray[np.float64]:
    """Return the mean of each user with queries of a kind (None: of all kinds), in their order."""
    rows = [row for row, each in enumerate(found) if kind in (None, each.question.kind)]
    users, places = np.unique([found[row].question.user for row in rows], return_inverse=True)
    return np.bincount(places, values[rows], len(users)) / np.bincount(places, minlength=len(users))


def chosen(found: list[Asked], relevance: Relevance) -> tuple[SearchConfig, SearchConfig]:
    """Return the best configuration of the grid on NDCG@10, and the best without personalisation."""
    scored = [(float(by_user(judged(found, relevance, one)["ndcg@10"], found, None).mean()), one) for one in GRID]
    best = max(scored, key=lambda pair: pair[0])[1]
    return best, max((pair for pair in scored if pair[1].personalisation == 0), key=lambda pair: pair[0])[1]


def rows(found: list[Asked], relevance: Relevance, systems: dict[str, SearchConfig]) -> Iterator[list[str]]:
    """Give a line per kind of query and system; the last of the systems is what the others are compared with."""
    measured = {name: judged(found, relevance, config) for name, config in systems.items()}
    for kind in (*KINDS, None):
        for name, metrics in measured.items():
            figures = [_said(mean_interval(by_user(values, found, kind))) for values in metrics.values()]
            ours, theirs = (by_user(measured[each]["ndcg@10"], found, kind) for each in (list(systems)[-1], name))
            gap = "" if name == list(systems)[-1] else _said(paired_difference(ours, theirs), "+")
            yield [kind or "all", name, str(len(ours)), *figures, gap]


def _said(interval: Interval, sign: str = "") -> str:
    return f"{interval.mean:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def _parts(dataset: Dataset) -> tuple[Dataset, Dataset]:
    rows = dataset.interactions
    split = per_user_temporal(rows.users, rows.items, rows.timestamps)
    return dataset.with_rows(split.train), dataset.with_rows(split.test)


async def measure(home: Path) -> tuple[list[list[str]], SearchConfig, int]:
    """Choose on the first four fifths, judge on the last; return the table's lines, the choice, and the queries."""
    configs = TrainConfigs()
    configs = replace(configs, recommend=msgspec.structs.replace(configs.recommend, exploration=0.0))
    async with imported(load_mapping(sample_folder() / "mapping.toml"), home) as (dataset, ports):
        text = await open_text("", home)
        try:
            await TextFeed(ports.catalog, text, NoMeter()).step()
            train, test = _parts(dataset)
            best, unpersonal = chosen(*await asked(*_parts(train), ports, text, configs))
            found, relevance = await asked(train, test, ports, text, configs)
        finally:
            await text.close()
    systems = {"text alone": PLAIN, "with popularity and content": unpersonal, "personalised": best}
    return list(rows(found, relevance, systems)), best, len(found)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="kindred-quality-") as home:
        lines, best, count = asyncio.run(measure(Path(home)))
    table = Table(title=f"search, packaged data, {count} made queries, a user's mean each")
    for column in ("query", "order", "users", *METRICS, "personalised minus it, NDCG@10"):
        table.add_column(column, justify="left" if column in ("query", "order") else "right")
    for line in lines:
        table.add_row(*line)
    console = Console(width=170)
    console.print(table)
    said = f"personalisation {best.personalisation:g}, content {best.content:g}, popularity {best.popularity:g}"
    console.print(f"chosen on the first four fifths: {said}")


if __name__ == "__main__":
    main(sys.argv[1:])
