"""Sources, scores, reasons, similar items and lists over a small world of fitted models."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import CATEGORIES, NOW, build, item

from kindred.app.asking import build_query
from kindred.app.placements import Placements
from kindred.core.candidates import Candidates
from kindred.core.clock import DAY, HOUR
from kindred.core.errors import InvalidInput, NotFound
from kindred.core.slate import ReasonCode
from kindred.features.country_trends import window_trends_key
from kindred.features.trending_list import TrendingList, encode_trending
from kindred.models.blend import BlendConfig, BlendModel
from kindred.models.content_lists import ContentLists
from kindred.models.retrieval import RETRIEVERS
from kindred.ports.state import StateRecord, StateWrite
from kindred.recommend.ask import Ask, ListAsk, SimilarAsk
from kindred.recommend.config import STAGES, PlacementConfig, RecommendConfig
from kindred.recommend.explainers.reasons import Reasons, listed_words
from kindred.recommend.filters.rules import RULES, allowed, applies, emptied_by, keeps
from kindred.recommend.funnels import build_funnel
from kindred.recommend.hydrators.user import UserState
from kindred.recommend.scorers.blend import Blend
from kindred.recommend.scorers.models import ModelScores
from kindred.recommend.similar import METRICS, neighbours
from kindred.recommend.taste import latest_history, represented, trend
from kindred.training.fit.content_lists import fit_content_lists

CONFIG = RecommendConfig(exploration=0.0, seed=7, user_evidence=2.0)


@pytest.fixture
async def platform(tmp_path):
    return await build(tmp_path, config=CONFIG)


async def asked(platform, user_id="u1", **fields):
    """Return a query with the user's facts read."""
    ask = Ask(user_id=user_id, **fields)
    query = await build_query(ask, "rec_x", NOW, Placements({"home": PlacementConfig()}), platform.world)
    found = dict(await UserState(platform.world).hydrate(query))
    query.facts = found.pop("facts")
    query.scratch.update(found)
    return query


async def set_trend(platform, window, items, as_of=NOW):
    stored = await platform.stores.state.watermark()
    position = stored._replace(offset=stored.offset + 1)
    scores = np.linspace(9, 1, len(items), dtype=np.float32)
    value = encode_trending(TrendingList.of(as_of, np.array(items, np.int32), scores))
    await platform.stores.state.write([StateWrite(window_trends_key(window), StateRecord(position, value))], position)
    await platform.follower.step()


async def proposals(platform, query):
    funnel = build_funnel(platform.world)
    return {s.name: await s.propose(query) for s in (*funnel.sources, *funnel.fallbacks) if s.enabled(query)}


# --- rules and sources


async def test_every_source_obeys_every_rule(platform):
    await set_trend(platform, "24h", list(range(0, 120, 3)))
    await platform.upsert(
        *(msgspec.structs.replace(item(n), item_id=f"new{n}", created=NOW - DAY) for n in range(10)),
        msgspec.structs.replace(item(50), regions=["FR"]),
        msgspec.structs.replace(item(51), stock=0),
        msgspec.structs.replace(item(52), available_until=NOW),
        msgspec.structs.replace(item(53), active=False),
    )
    await platform.stores.catalog.delete(["i54"], NOW)
    await platform.follower.step()
    for fields in (
        {},
        {"categories": ("DRAMA",)},
        {"tags": ("tag3", "mood1")},
        {"min_rating": 3.9},
        {"exclude_items": ("i1", "i6", "nothing"), "item_id": "i11"},
        {"location": "FR"},
        {"exclude_seen": False},
    ):
        query = await asked(platform, "u1", **fields)
        mask = allowed(platform.world, query).mask()
        everyone = np.arange(platform.world.table.size, dtype=np.int32)
        together = np.logical_and.reduce([keeps(platform.world, query, name, everyone) for name in RULES])
        np.testing.assert_array_equal(mask, together)
        assert mask[[51, 52, 53, 54]].tolist() == [False] * 4
        assert not mask[50] or fields == {"location": "FR"}
        found = await proposals(platform, query)
        expected = {"als", "item_item", "content", "trending", "popular", "new", "catalogue"}
        expected |= {"on_screen"} if "item_id" in fields else set()
        assert set(found) == expected
        assert sum(len(part) for part in found.values()) > 0
        for name, part in found.items():
            assert mask[part.items].all(), (name, fields)
            raw = part.columns[f"raw.{name}"]
            assert (np.diff(raw) <= 0).all()
            assert (raw > 0).all() or name == "catalogue"


async def test_what_was_seen_or_named_is_left_out(platform):
    query = await asked(platform, exclude_items=("i1",))
    assert len(query.facts.seen) == 12
    assert not allowed(platform.world, query).has(query.facts.seen).any()
    assert not allowed(platform.world, query).has(np.array([1])).any()
    query = await asked(platform, exclude_seen=False)
    rejected = query.facts.hidden
    assert len(rejected)
    assert not allowed(platform.world, query).has(rejected).any()
    assert allowed(platform.world, query).has(np.setdiff1d(query.facts.seen, rejected)).all()


async def test_the_rule_that_costs_most_is_named_first(platform):
    query = await asked(platform, "u1", categories=("music",), tags=("tag5",))
    names = emptied_by(platform.world, query)
    everyone, left = np.arange(platform.world.table.size, dtype=np.int32), {}
    for name in names:
        others = [keeps(platform.world, query, other, everyone) for other in RULES if other != name]
        left[name] = np.logical_and.reduce(others).sum()
    assert names == sorted(names, key=lambda n: (-left[n], n))
    assert {"category", "tags"} <= set(names)
    assert "region" not in names


async def test_settings_know_every_stage(platform):
    funnels = platform.serving._present()[1:]
    absent = RETRIEVERS.keys() - platform.world.models.retrievers.keys()
    names = [stage.name for stage in funnels[0].stages()]
    assert [name for name in STAGES if name in names] == names
    assert {name for name in STAGES if name not in absent} == {s.name for funnel in funnels for s in funnel.stages()}


async def test_a_disabled_rule_does_not_bind(platform):
    query = await asked(platform)
    query.params = msgspec.structs.replace(query.params, disabled=("seen",))
    assert not applies(platform.world, query, "seen")


async def test_without_a_history_the_personal_sources_are_off(platform):
    assert set(await proposals(platform, await asked(platform, "nobody"))) == {"popular", "new", "catalogue"}
    assert "country" in await proposals(platform, await asked(platform, "nobody", location="de-be-berlin"))
    assert "country" in await proposals(platform, await asked(platform, "u3"))


async def test_popular_is_the_scores_order_even_for_a_narrow_filter(platform):
    for fields in ({}, {"categories": ("music",)}):
        query = await asked(platform, "nobody", **fields)
        mask, scores = allowed(platform.world, query).mask(), platform.world.models.popularity.scores
        found = (await proposals(platform, query))["popular"].items.tolist()
        best = sorted((o for o in range(120) if mask[o] and scores[o] > 0), key=lambda o: (-scores[o], o))
        assert found == best[: CONFIG.source_depth]


# --- blend


def weights(platform, query, items):
    found = Blend(platform.world).weights(query, Candidates(np.array(items, np.int32)))
    return dict(zip(platform.world.models.scored, found, strict=True))


async def test_weights_sum_to_one_and_move_with_evidence(platform):
    blend = BlendModel.from_config(BlendConfig(cold_item_scale=1.0), platform.world.models.scored)
    platform.follower._world = replace(platform.world, models=replace(platform.world.models, blend=blend))
    users = platform.world.models.popularity.user_counts
    items = np.argsort(users, kind="stable").astype(np.int32)
    query, k, half = await asked(platform), CONFIG.evidence, CONFIG.user_evidence
    for n in (0, 1, 4, 5, 50, 10**9):
        query.facts = replace(query.facts, interactions=n)
        found = weights(platform, query, items)
        assert sum(found.values()) == pytest.approx(np.ones(len(items)), abs=1e-5)
        # Straight from the definition: cold user, cold item and standard, mixed by n / (n + k).
        u, i = n / (n + half), users[items] / (users[items] + k)
        collaborative = u * (i * 0.7 + (1 - i) * 0.1) + (1 - u) * 0.1
        popularity = u * (i * 0.1 + (1 - i) * 0.2) + (1 - u) * 0.6
        standard, b = platform.world.models.blend.config.standard, platform.world.models.blend.config
        collaborative += u * i * (standard["collaborative"] - 0.7)
        popularity += u * i * (standard["popularity"] - 0.1)
        assert b.cold_user["popular"] == 0.6
        np.testing.assert_allclose(found["als"] + found["item_item"], collaborative, atol=1e-5)
        np.testing.assert_allclose(found["popular"] + found["trending"], popularity, atol=1e-5)
        np.testing.assert_allclose(found["country"], (1 - u) * 0.3, atol=1e-5)


async def test_weights_of_a_placement_replace_the_rest(platform):
    query = await asked(platform)
    query.params = msgspec.structs.replace(query.params, weights={"content": 3.0, "popularity": 1.0})
    found = weights(platform, query, [0, 1])
    assert found["content"].tolist() == [0.75, 0.75]
    assert found["als"].tolist() == [0, 0]


async def test_strategies_follow_the_number_of_interactions(platform):
    assert (await platform.ask("nobody")).strategy == "cold_start_user"
    for step in range(5):
        await platform.track("fresh", f"i{5 * step}")
        expected = "cold_start_user" if step < 4 else "standard"
        assert (await platform.ask("fresh")).strategy == expected
    many = [msgspec.structs.replace(item(n), item_id=f"cold{n}", categories=["unheard"]) for n in range(30)]
    await platform.upsert(*many)
    assert (await platform.ask("u1", categories=("unheard",))).strategy == "cold_start_item"


async def test_shares_add_up_to_the_score(platform):
    query = await asked(platform)
    found = (await proposals(platform, query))["als"]
    found = found.with_columns(ModelScores(platform.world).score(query, found))
    columns = Blend(platform.world).score(query, found)
    total = sum(columns[f"share.{name}"] for name in platform.world.models.scored)
    np.testing.assert_allclose(columns["score"], np.clip(total, 0, 1), atol=1e-5)
    assert columns["score"].max() > 0.2


async def test_the_season_keeps_its_best_few_in_and_no_more(platform):
    """Two hundred may be due: they are not to take half of the places from what the user likes."""
    query, items = await asked(platform), np.arange(100, dtype=np.int32)
    due = np.where(items < 80, (items * 37 % 80) / 80, np.nan).astype(np.float32)
    scores = [
        ModelScores(platform.world).score(query, Candidates(items, columns))["coarse"]
        for columns in ({}, {"raw.season": due})
    ]
    kept = np.flatnonzero(scores[1] != scores[0])
    assert kept.tolist() == sorted(np.argsort(-due)[:30].tolist())
    np.testing.assert_allclose(scores[1][kept], scores[0][kept] + 1, rtol=1e-6)


# --- reasons


async def test_als_names_the_history_item_that_adds_most(platform):
    query = await asked(platform)
    model, facts = platform.world.models.als, query.facts
    Y = model.item_factors.astype(np.float64)
    regularization = model.ridge.at(int(model.ridge.steps((facts.confidence - 1).sum())))
    W = Y.T @ Y + regularization * np.eye(model.factors)
    for i, c in zip(facts.history, facts.confidence, strict=True):
        W += (float(c) - 1) * np.outer(Y[i], Y[i])
    served = await platform.ask("u1")
    checked = 0
    for one in served.items:
        if one.source == "als":
            parts = {
                int(j): float(Y[one.ordinal] @ np.linalg.solve(W, Y[j]) * c)
                for j, c, p in zip(facts.history, facts.confidence, facts.positive, strict=True)
                if p
            }
            best = max(parts.values())
            assert parts[one.reason.anchor] == pytest.approx(best, rel=1e-3)
            assert sum(parts.values()) == pytest.approx(
                float(Y[one.ordinal] @ represented(platform.world, query, "als")), rel=1e-2
            )
            assert one.anchor_item_id == f"i{one.reason.anchor}"
            checked += 1
    assert checked > 3


async def test_item_item_names_the_neighbour_that_adds_most(platform):
    served = await platform.ask("u1", diversity=0.0)
    query = await asked(platform)
    mine = latest_history(platform.world, query)
    history, signed = mine.items, mine.signed
    checked = 0
    for one in served.items:
        if one.source == "item_item":
            adds = {}
            for anchor, weight in zip(history.tolist(), signed.tolist(), strict=True):
                near, similar = platform.world.models.item_item.similar(anchor, 100)
                at = np.flatnonzero(near == one.ordinal)
                if len(at):
                    power = platform.world.models.item_item.config.amplification
                    adds[anchor] = float(similar[at[0]]) ** power * weight
            assert adds[one.reason.anchor] == pytest.approx(max(adds.values()), rel=1e-5)
            checked += 1
    assert checked


async def test_content_names_what_both_items_bear(platform):
    served = await platform.ask("u1", count=60)
    shown = [one for one in served.items if one.source == "content"]
    for one in shown:
        assert one.reason.code is ReasonCode.SHARED_ATTRIBUTES
        (anchor,) = await platform.stores.catalog.get([one.anchor_item_id])
        words = one.reason.text.removeprefix("Shares ").rpartition(" with ")[0].replace(" and ", ", ").split(", ")
        for owner in (one.catalog_item.item, anchor.item):
            bears = {*owner.categories, *owner.tags, *owner.title.split()}
            assert set(words) <= bears
    assert shown


async def test_every_item_is_explained_by_a_source_that_proposed_it(platform):
    await set_trend(platform, "24h", [1, 6, 11, 16])
    for fields in ({}, {"location": "DE"}, {"item_id": "i7"}, {"categories": ("comedy",)}):
        for user in ("u1", "u2", "nobody"):
            served = await platform.ask(user, **fields)
            assert served.items
            for one in served.items:
                assert one.source in one.sources
                assert one.reason.text
            assert len({one.ordinal for one in served.items}) == len(served.items)


@pytest.mark.parametrize(
    ("event_type", "code", "verb"),
    [
        ("purchase", ReasonCode.BECAUSE_YOU_BOUGHT, "bought"),
        ("like", ReasonCode.BECAUSE_YOU_LIKED, "liked"),
        ("view", ReasonCode.BECAUSE_YOU_WATCHED, "watched"),
        ("add_to_cart", ReasonCode.BECAUSE_YOU_ADDED, "added to your cart"),
        ("lend", ReasonCode.BECAUSE_YOU_INTERACTED, "chose"),
    ],
)
async def test_verbs_are_those_of_the_strongest_event(platform, event_type, code, verb):
    await platform.track("fresh", "i0", "impression")
    await platform.track("fresh", "i0", event_type)
    await platform.track("fresh", "i0", "impression")
    query = await asked(platform, "fresh")
    reason = Reasons(platform.world)._because(query, 5, 0, {})
    assert (reason.code, reason.text) == (code, f"Because you {verb} an item of yours")


async def test_a_stronger_event_gives_the_verb(platform):
    await platform.track("fresh", "i0", "purchase")
    await platform.track("fresh", "i0", "view")
    reason = Reasons(platform.world)._because(await asked(platform, "fresh"), 5, 0, {})
    assert reason.code is ReasonCode.BECAUSE_YOU_BOUGHT


async def test_trending_says_its_window_and_category(platform):
    await set_trend(platform, "7d", [1, 6, 8])
    query = await asked(platform, "nobody")
    reasons = Reasons(platform.world)
    assert reasons._trending(query, 1, -1, {}).text == "Trending in the last 7 days"
    # The request keeps its list; a newer one is for the next.
    await set_trend(platform, "24h", [3])
    assert trend(platform.world, query).window == "7d"
    query = await asked(platform, "nobody", categories=("COMEDY", "drama"))
    reason = reasons._trending(query, 8, -1, {})
    assert CATEGORIES[8 % 5] == "horror"
    assert (reason.code, reason.text) == (ReasonCode.TRENDING, "Trending in the last 24 hours")
    reason = reasons._trending(query, 1, -1, {})
    assert (reason.code, reason.text) == (ReasonCode.TRENDING_IN_CATEGORY, "Trending among drama in the last 24 hours")


async def test_an_old_trend_is_dropped(platform):
    await set_trend(platform, "24h", [1, 2], as_of=NOW - 25 * HOUR)
    assert trend(platform.world, await asked(platform)).items.tolist() == []


def test_words_are_listed_as_a_sentence_does():
    assert [listed_words(list("abc")[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


# --- similar


async def similar(platform, item_id, **fields):
    return await platform.serving.similar(SimilarAsk(item_id=item_id, **fields))


@pytest.mark.parametrize("metric", ["hybrid", "collaborative", "content"])
async def test_similar_items(platform, metric):
    answer = await similar(platform, "i1", metric=metric)
    scores = [score for _, score, _ in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    ids = [one.item.item_id for one, _, _ in answer.items]
    assert "i1" not in ids
    assert len(set(ids)) == len(ids) == 10
    behaviour = platform.world.models.item_item.similar(1, 10)[0].tolist()
    if metric == "collaborative":
        assert [one.ordinal for one, _, _ in answer.items] == behaviour
        assert {reason for *_, reason in answer.items} == {"Chosen by the same people"}
    if metric == "content":
        assert all(reason.startswith("Shares ") or reason == "Described alike" for *_, reason in answer.items)
    again = await similar(platform, "i1", metric=metric)
    assert again == answer


async def test_similar_mixes_by_evidence(platform):
    items, scores = neighbours(platform.world, 1, "hybrid")
    near, cosines = neighbours(platform.world, 1, "content")
    users = float(platform.world.models.popularity.user_counts[1])
    share = users / (users + CONFIG.cold_item)
    chosen, strengths = platform.world.models.item_item.similar(1, 200)
    expected = dict.fromkeys([*chosen.tolist(), *near.tolist()], 0.0)
    for o, s in zip(chosen.tolist(), (strengths / strengths.max()).tolist(), strict=True):
        expected[o] += share * s
    for o, s in zip(near.tolist(), cosines.tolist(), strict=True):
        expected[o] += (1 - share) * s
    assert dict(zip(items.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected, rel=1e-4)


async def test_a_new_item_answers_from_content(platform):
    await platform.upsert(msgspec.structs.replace(item(2), item_id="newcomer"))
    answer = await similar(platform, "newcomer")
    assert answer.items[0][0].item.item_id == "i2"
    assert (await similar(platform, "newcomer", metric="collaborative")).items == []
    assert (await similar(platform, "newcomer", metric="collaborative")).degraded == ["under_filled"]
    assert "newcomer" in [one.item.item_id for one, _, _ in (await similar(platform, "i2", metric="content")).items]


async def test_similar_obeys_filters_and_the_live_catalogue(platform):
    first = (await similar(platform, "i1")).items[0][0].item
    assert first.item_id not in str((await similar(platform, "i1", exclude_items=(first.item_id, "nothing"))).items)
    only = await similar(platform, "i1", category="Music")
    assert all("music" in one.item.categories for one, _, _ in only.items)
    seen = set((await asked(platform, "u1")).facts.seen.tolist())
    assert not seen & {one.ordinal for one, _, _ in (await similar(platform, "i1", user_id="u1", count=50)).items}
    await platform.upsert(msgspec.structs.replace(first, regions=["FR"]))
    assert first.item_id not in [one.item.item_id for one, _, _ in (await similar(platform, "i1", count=50)).items]


async def listed(platform, tmp_path):
    """Give the world's bundle lists of all items but the last ten by use."""
    models = platform.world.models
    config = msgspec.structs.replace(models.content.config, listed=models.n_items - 10, list_length=20)
    vectors, users = models.content.item_vectors, models.popularity.user_counts
    lists, measured = fit_content_lists(models.indexes["content"], vectors, users, config)
    assert (measured["items"], measured["recall"]) == (models.n_items - 10, 1.0)
    lists.save(tmp_path / "lists")
    object.__setattr__(models, "content", replace(models.content, config=config))
    searched = {metric: [neighbours(platform.world, i, metric) for i in range(models.n_items)] for metric in METRICS}
    object.__setattr__(models, "content_lists", ContentLists.load(tmp_path / "lists", np.array([7], np.int32)))
    return searched


async def test_what_was_found_at_the_training_is_what_a_search_finds(platform, tmp_path):
    searched = await listed(platform, tmp_path)
    world = platform.world
    fewest = np.argsort(-world.models.popularity.user_counts, kind="stable")[-10:]
    assert all(world.models.content_lists.of(i) is None for i in [*fewest.tolist(), 7])
    assert len(world.models.content_lists.of(int(np.argmax(world.models.popularity.user_counts)))) == 20
    for metric, each in searched.items():
        for number, (items, scores) in enumerate(each):
            again, values = neighbours(world, number, metric)
            # Among items of the same likeness, a search cuts by ordinal and a join anywhere.
            np.testing.assert_allclose(values, scores, atol=1e-5)
            surely = scores > scores[-1] + 1e-5
            assert set(items[surely].tolist()) <= set(again.tolist())


async def test_lists_follow_the_catalogue(platform, tmp_path):
    await listed(platform, tmp_path)
    twin = msgspec.structs.replace(item(2), item_id="newcomer")
    await platform.upsert(twin)
    first = (await similar(platform, "i2", metric="content")).items[0]
    assert (first[0].item.item_id, first[1]) == ("newcomer", pytest.approx(1, abs=1e-3))
    # An item with another text is like others now, and they are like it.
    await platform.upsert(msgspec.structs.replace(item(3), item_id="i2"))
    assert (await similar(platform, "i2", metric="content")).items[0][0].item.item_id == "i3"
    assert (await similar(platform, "i3", metric="content")).items[0][0].item.item_id == "i2"
    await platform.stores.catalog.delete(["i2"], NOW)
    await platform.follower.step()
    assert "i2" not in [one.item.item_id for one, *_ in (await similar(platform, "i3", metric="content")).items]


async def test_a_list_stays_true_while_its_item_keeps_its_text(platform, tmp_path, monkeypatch):
    """A price or the stock changes often: no item may need a search from then on, nor room beside the bundle."""
    await listed(platform, tmp_path)
    world = platform.world
    assert world.models.content_lists.of(2) is not None
    before = neighbours(world, 2, "content")
    searched, search = [], type(world.models.indexes["content"]).search

    def counted(self, vector, k, allowed=None):
        # What is searched for among newer items alone is under a mask here.
        if allowed is None:
            searched.append(k)
        return search(self, vector, k, allowed)

    monkeypatch.setattr(type(world.models.indexes["content"]), "search", counted)
    await platform.upsert(*(msgspec.structs.replace(item(n), price=9.5, stock=3) for n in range(120)))
    assert len(world.side) == 0
    assert [each.tolist() for each in neighbours(world, 2, "content")] == [each.tolist() for each in before]
    assert not searched
    await platform.upsert(msgspec.structs.replace(item(3), item_id="i2"))
    assert len(world.side) == 1
    await platform.upsert(item(2))
    np.testing.assert_allclose(neighbours(world, 2, "content")[1], before[1], atol=2e-3)
    assert searched


async def test_similar_items_are_kept_until_the_catalogue_changes(platform, monkeypatch):
    worked_out = []

    def counted(world, number, metric):
        worked_out.append((number, metric))
        return neighbours(world, number, metric)

    monkeypatch.setattr("kindred.recommend.similar.neighbours", counted)
    answers = [await similar(platform, "i1", count=count) for count in (10, 5, 10)]
    assert (answers[0], answers[0].items[:5]) == (answers[2], answers[1].items)
    assert worked_out == [(1, "hybrid")]
    shown = answers[0].items[0][0].item
    await platform.upsert(msgspec.structs.replace(shown, title="Another", categories=[], tags=[], description=""))
    changed = ("Another", "Chosen by the same people")
    later = {one.item.item_id: (one.item.title, reason) for one, _, reason in (await similar(platform, "i1")).items}
    assert worked_out == [(1, "hybrid")] * 2
    assert later.get(shown.item_id, changed) == changed


@pytest.mark.parametrize("metric", ["hybrid", "content"])
async def test_a_narrow_filter_is_filled_by_a_search_under_it(platform, tmp_path, metric):
    await listed(platform, tmp_path)
    wanted = [n for n in range(120) if "music" in item(n).categories]
    others = tuple(f"i{n}" for n in wanted[4:])
    found = await similar(platform, f"i{wanted[0]}", metric=metric, category="music", exclude_items=others, count=50)
    assert {one.ordinal for one, *_ in found.items} <= set(wanted[1:4])
    assert [score for _, score, _ in found.items] == sorted((score for _, score, _ in found.items), reverse=True)
    near = set(neighbours(platform.world, wanted[0], metric)[0].tolist())
    vectors = platform.world.models.content.item_vectors
    like = {n for n in wanted[1:4] if n in near or vectors[n] @ vectors[wanted[0]] > 1e-6}
    assert {one.ordinal for one, *_ in found.items} == like


@pytest.mark.parametrize("gone", [False, True])
async def test_similar_to_what_is_not_there(platform, gone):
    if gone:
        await platform.stores.catalog.delete(["i1"], NOW)
    with pytest.raises(NotFound):
        await similar(platform, "i1" if gone else "nothing")


async def test_wrong_words_are_bad_input(platform):
    with pytest.raises(InvalidInput, match="known are hybrid"):
        await similar(platform, "i1", metric="cosine")
    with pytest.raises(InvalidInput, match="known are 1h"):
        await platform.serving.listing(ListAsk(kind="trending", window="2h"))
    with pytest.raises(InvalidInput, match="known are trending"):
        await platform.serving.listing(ListAsk(kind="best"))


# --- lists


async def listing(platform, kind, **fields):
    return await platform.serving.listing(ListAsk(kind=kind, **fields))


async def test_popular_lists(platform):
    answer = await listing(platform, "popular", count=5)
    scores = platform.world.models.popularity.scores
    assert [one.ordinal for one, _, _ in answer.items] == np.lexsort((np.arange(len(scores)), -scores))[:5].tolist()
    drama = await listing(platform, "popular", category="DRAMA", count=5)
    assert all("drama" in one.item.categories for one, _, _ in drama.items)
    assert {reason for *_, reason in drama.items} == {"Popular among DRAMA"}
    there = await listing(platform, "popular", country="de", count=5)
    scores = platform.world.models.countries["DE"].scores
    assert [one.ordinal for one, _, _ in there.items] == np.lexsort((np.arange(len(scores)), -scores))[:5].tolist()
    assert {reason for *_, reason in there.items} == {"Popular in DE"}
    assert (await listing(platform, "popular", country="XX", count=5)).degraded == ["unknown_country"]


async def test_a_limited_item_is_listed_in_its_country_alone(platform):
    best = (await listing(platform, "popular", count=1)).items[0][0].item
    await platform.upsert(msgspec.structs.replace(best, regions=["DE"]))
    there = await listing(platform, "popular", country="de", count=100)
    assert best.item_id in [one.item.item_id for one, _, _ in there.items]
    for country in (None, "FR"):
        answer = await listing(platform, "popular", country=country, count=100)
        assert best.item_id not in [one.item.item_id for one, _, _ in answer.items]


async def test_trending_widens_its_window_and_says_so(platform):
    empty = await listing(platform, "trending", window="1h")
    assert (empty.items, empty.degraded, empty.window) == ([], ["under_filled"], "1h")
    await set_trend(platform, "7d", [4, 9, 1])
    answer = await listing(platform, "trending", window="1h", count=3)
    assert [one.ordinal for one, _, _ in answer.items] == [4, 9, 1]
    assert (answer.degraded, answer.window) == (["window_widened:7d"], "7d")
    assert answer.items[0][2] == "Trending in the last 7 days"
    only = await listing(platform, "trending", window="7d", category=CATEGORIES[1], count=1)
    assert [one.ordinal for one, _, _ in only.items] == [1]


async def test_trending_in_a_country_is_what_rises_there(platform):
    def columns(*items):
        return np.array(items, np.int32), np.linspace(9, 1, len(items)).astype(np.float32)

    board = platform.world.trends
    board.replace(
        {"24h": columns(1, 2, 3), "7d": columns(1, 2)}, {"24h": {"AQ": columns(5, 4)}, "7d": {"AQ": columns(7)}}
    )
    there = await listing(platform, "trending", window="24h", country="aq", count=2)
    assert [one.ordinal for one, _, _ in there.items] == [5, 4]
    assert (there.degraded, there.items[0][2]) == ([], "Trending in the last 24 hours in AQ")
    only = await listing(
        platform, "trending", window="24h", country="AQ", category=CATEGORIES[7 % len(CATEGORIES)], count=1
    )
    assert [one.ordinal for one, _, _ in only.items] == [7]
    assert only.degraded == ["window_widened:7d"]
    elsewhere = await listing(platform, "trending", window="24h", country="BV", count=3)
    assert [one.ordinal for one, _, _ in elsewhere.items] == [1, 2, 3]
    assert elsewhere.degraded == ["unknown_country"]
