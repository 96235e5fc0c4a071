"""Pages go on where an answer ended: no item twice, no filter broken, whatever happens between them."""

import random

import msgspec
import pytest
from tests.unit.recommend.world import CATEGORIES, NAMES, build, item, publish

from kindred.app.page_tokens import LIFETIME, MOST_SHOWN, Page, PageTokens, read_secret
from kindred.core.errors import Gone, InvalidInput
from kindred.core.query import Boost, Context, Filters, Query
from kindred.recommend.ask import Ask
from kindred.recommend.config import RecommendConfig
from kindred.recommend.where.grammar import canonical_text
from kindred.recommend.where.passing import wants_categories

TOKENS = PageTokens(b"one secret")
ASK = Ask(user_id="u1", categories=("b", "a"), where="year > 1990")
PAGE = Page("b1", 2**63 + 5, (5, 0, 2**31 - 1))
NOW = 1_700_000_000_000


def described(number: int):
    """Return item `i<number>` with attributes."""
    attributes = {"year": 1980 + number % 40, "brand": {"country": ("DE", "NO")[number % 2]}}
    return msgspec.structs.replace(item(number), attributes=attributes)


@pytest.fixture
async def platform(tmp_path):
    made = await build(tmp_path, config=RecommendConfig(exploration=0.3, seed=None))
    await made.upsert(*(described(number) for number in range(120)))
    return made


def test_a_token_comes_back_as_it_was() -> None:
    text = TOKENS.write(ASK, "home", PAGE, NOW)
    same = Ask(user_id="u1", categories=("a", "b"), where="(year)>1990".replace("(year)", "year "))
    assert TOKENS.read(text, same, "home", NOW + LIFETIME) == PAGE
    assert PageTokens(b"one secret").read(text, ASK, "home", NOW) == PAGE


def test_a_token_of_the_deepest_page_is_short_enough() -> None:
    deep = Page("b" * 200, 2**64 - 1, tuple(range(2**31 - MOST_SHOWN, 2**31 - 1)))
    assert len(TOKENS.write(ASK, "home", deep, NOW)) <= 4096
    assert TOKENS.write(ASK, "home", Page("b1", 1, tuple(range(MOST_SHOWN))), NOW) is None


@pytest.mark.parametrize(
    ("ask", "placement", "said"),
    [
        (Ask(user_id="u2", categories=("a", "b"), where="year > 1990"), "home", "another user"),
        (Ask(user_id="u1", categories=("a",), where="year > 1990"), "home", "other filters"),
        (Ask(user_id="u1", categories=("a", "b"), where="year > 1991"), "home", "other filters"),
        (Ask(user_id="u1", categories=("a", "b"), where="year > 1990", exclude_seen=False), "home", "other filters"),
        (ASK, "search", "another placement"),
    ],
)
def test_a_token_of_another_question_is_refused(ask: Ask, placement: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        TOKENS.read(TOKENS.write(ASK, "home", PAGE, NOW), ask, placement, NOW)
    (fault,) = caught.value.faults
    assert fault.pointer == "/page_token"
    assert said in fault.detail


def test_a_token_that_was_changed_or_made_elsewhere_is_refused() -> None:
    text = TOKENS.write(ASK, "home", PAGE, NOW)
    changed = [
        text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in (0, len(text) // 2, len(text) - 2)
    ]
    other = PageTokens(b"another secret").write(ASK, "home", PAGE, NOW)
    for wrong in ["", "t", "ü", "=" * 7, text[:-4], *changed, other]:
        with pytest.raises(InvalidInput, match="not a token of this server"):
            TOKENS.read(wrong, ASK, "home", NOW)


def test_a_token_past_its_time_is_gone() -> None:
    with pytest.raises(Gone, match="30 minutes"):
        TOKENS.read(TOKENS.write(ASK, "home", PAGE, NOW), ASK, "home", NOW + LIFETIME + 1)


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path) -> None:
    first = read_secret(tmp_path / "home")
    assert len(first) == 32
    assert read_secret(tmp_path / "home") == first
    assert read_secret(tmp_path / "other") != first
    (file,) = (tmp_path / "home").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


async def walk(platform, dice: random.Random, pages: int = 10) -> int:
    """Walk through pages with events and new bundles between them; return how many items they had."""
    fields = {
        "categories": ("drama", "comedy"),
        "where": "metadata.year >= 1985 and not brand.country = 'NO'",
        "exclude_seen": dice.random() < 0.5,
        "exploration": dice.choice([0.0, 0.3, 1.0]),
        "count": dice.randint(1, 3),
    }
    user = dice.choice(platform.user_ids)
    shown: list[str] = []
    degraded: list[str] = []
    token, bundle = None, None
    for _ in range(pages):
        served = await platform.ask(user, page_token=token, **fields)
        for each in served.items:
            found = each.catalog_item.item
            assert set(found.categories) & {"drama", "comedy"}
            assert found.attributes["year"] >= 1985
            assert found.attributes["brand"]["country"] == "DE"
        if token is not None:
            assert ("bundle_changed" in served.degraded) == (served.model_version != bundle)
        degraded += served.degraded
        shown += await platform.shown_items(served)
        token, bundle = served.next_page_token, served.model_version
        if token is None:
            assert len(served.items) < fields["count"]
            break
        await something_happens(platform, dice, user, shown)
    assert len(set(shown)) == len(shown)
    return len(shown)


async def something_happens(platform, dice: random.Random, user: str, shown: list[str]) -> None:
    """Let the user act on what was shown, or on something else, and swap the bundle now and then."""
    await platform.track(user, dice.choice([*shown[-2:], f"i{dice.randint(0, 119)}"]), dice.choice(NAMES[:3]))
    if dice.random() < 0.15:
        versions = ["b1", "b2"]
        await platform.stores.models.activate(versions[platform.world.models.version == "b1"])
        await platform.follower.step()


@pytest.mark.timeout(120)
async def test_walks_repeat_nothing_and_break_no_filter(platform) -> None:
    dice = random.Random(3)
    await publish(platform.stores, platform.columns, platform.user_ids, "b2")
    lengths = [await walk(platform, dice) for _ in range(20)]
    assert max(lengths) > 10
    # What the filters let through is shown to the last item before a page says that nothing is left.
    assert min(lengths) >= 1


async def test_an_exhausted_walk_says_which_filter_emptied_it(platform) -> None:
    where = "year = 1980 or year = 1981"
    first = await platform.ask("stranger", where=where, count=5, exploration=0.0)
    assert len(first.items) == 5
    second = await platform.ask("stranger", where=where, count=5, exploration=0.0, page_token=first.next_page_token)
    assert len(second.items) == 1
    assert second.next_page_token is None
    assert second.degraded == ["under_filled:where"]
    everything = await platform.ask("stranger", where="year > 3000", count=5)
    assert (everything.items, everything.degraded) == ([], ["under_filled:where"])


async def test_a_page_that_a_cap_leaves_short_is_not_the_last(tmp_path) -> None:
    platform = await build(tmp_path, config=RecommendConfig(exploration=0.0, category_cap=0.1))
    everything = await platform.ask("stranger", count=100, categories=CATEGORIES)
    shown, token = [], None
    while True:
        served = await platform.ask("stranger", count=30, page_token=token)
        assert len(served.items) <= 15
        shown += await platform.shown_items(served)
        token = served.next_page_token
        if token is None:
            break
        assert served.degraded == ["under_filled:category_cap"]
    assert len(set(shown)) == len(shown) >= len(everything.items)


async def test_a_page_can_be_traced_again(platform) -> None:
    first = await platform.ask("u1", where="brand.country = 'DE'", boosts=(Boost(where="year > 2000", factor=4),))
    second = await platform.ask(
        "u1",
        where="brand.country = 'DE'",
        boosts=(Boost(where="year > 2000", factor=4),),
        page_token=first.next_page_token,
    )
    trace = await platform.serving.trace(second.request_id)
    assert trace.exact, trace.cause


async def test_boosts_raise_and_lower(platform) -> None:
    plain = {"user_id": "u4", "count": 40, "exploration": 0.0, "diversity": 0.0}

    async def years(*boosts: Boost) -> list[int]:
        served = await platform.ask(**plain, boosts=boosts)
        assert all(0 <= each.score <= 1 for each in served.items)
        return [each.catalog_item.item.attributes["year"] for each in served.items]

    usual = await years()
    raised = await years(Boost(where="year >= 2000", factor=10))
    lowered = await years(Boost(where="year >= 2000", factor=0.1))
    share = [sum(year >= 2000 for year in found[:10]) for found in (lowered, usual, raised)]
    assert share[0] < share[1] < share[2]
    both = await years(Boost(where="year >= 2000", factor=10), Boost(where="has year and year >= 2000", factor=0.1))
    assert both == usual


@pytest.mark.parametrize(
    ("where", "capped"),
    [
        ("category = 'drama'", False),
        ("price > 1 or (category = 'drama' and year > 0)", True),
        ("categories contains 'drama' and year > 0", False),
        ("category = 'drama' or categories contains 'drama'", False),
        ("not category != 'drama'", False),
        ("not (categories contains 'action')", True),
        ("year > 0", True),
    ],
)
async def test_who_asks_for_a_category_is_not_capped(platform, where: str, capped: bool) -> None:
    served = await platform.ask("stranger", where=where, count=10, exploration=0.0)
    query = Query(
        user_id="u", request_id="r", context=Context(time=NOW), filters=Filters(where=canonical_text(where, ""))
    )
    assert wants_categories(query) != capped
    if not capped:
        assert [each.catalog_item.item.categories.count("drama") for each in served.items] == [1] * 10
