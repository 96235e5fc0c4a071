"""What a batch does to profiles: what the fold did, not what was asked."""

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.core.item import Item
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.features.changes import Erasure, ProfileChange
from kindred.features.groups import FoldConfig
from kindred.features.user_fold import Person, fold_users
from kindred.ingest.effects import write_catalogue, write_profiles
from kindred.ingest.plan import Plan

OLD, NEW = Profile(user_id="u", country="DE"), Profile(user_id="u", country="FR")


def at(offset):
    return Position(0, 0, offset)


async def written(profiles, *changes, folded=START, forgotten=0, end=None):
    """Fold changes of one user and write what becomes of the profile."""
    people = [Person("u", None, folded, list(changes), forgotten)]
    folds = list(zip(people, fold_users(people, FoldConfig()), strict=True))
    await write_profiles(folds, end or changes[-1].position, profiles)
    return (await profiles.get(["u"]))[0]


async def test_switching_an_item_off_leaves_what_was_written_of_it_meanwhile():
    """And nothing is done to those that were deleted, were never there, or whose words were heard before."""
    catalog = MemoryCatalog()
    await catalog.upsert([Item(item_id=name, price=5.0) for name in ("kept", "gone", "heard")], 1)
    await catalog.delete(["gone"], 2)
    off = {"kept": at(7), "gone": at(8), "heard": at(3), "never": at(9)}
    await write_catalogue(Plan(at(9), switched_off=off), catalog, at(4), 10)
    kept, gone, heard, never = await catalog.get(["kept", "gone", "heard", "never"])
    assert kept.item == Item(item_id="kept", price=5.0, active=False)
    assert (gone.listed, heard.item.active, never) == (False, True, None)


async def test_the_last_word_counts():
    """An update after an erasure stands, one before it does not."""
    assert await written(MemoryProfiles(), ProfileChange(at(1), OLD), ProfileChange(at(2), NEW)) == NEW
    assert await written(MemoryProfiles(), ProfileChange(at(1), OLD), Erasure(at(2), 1_000, False)) is None
    changes = ProfileChange(at(1), OLD), Erasure(at(2), 1_000, False), ProfileChange(at(3), NEW)
    assert await written(MemoryProfiles(), *changes) == NEW


async def test_an_erasure_told_twice_takes_no_newer_profile():
    """It follows from another's, so a crash may append it again: the user came back meanwhile."""
    profiles = MemoryProfiles()
    await profiles.upsert([NEW], at(5))
    again = Erasure(at(9), 1_000, True)
    assert await written(profiles, again, folded=at(5), forgotten=1_000) == NEW
    assert await written(profiles, again, folded=at(5), forgotten=999) is None


async def test_what_was_folded_before_is_not_written_again():
    """Nor is anything that stands before what a newer owner wrote."""
    profiles = MemoryProfiles()
    assert await written(profiles, ProfileChange(at(4), OLD), folded=at(4)) is None
    await profiles.upsert([NEW], at(9))
    assert await written(profiles, ProfileChange(at(4), OLD), end=at(8)) == NEW
