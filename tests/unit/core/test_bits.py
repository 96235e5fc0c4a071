"""Packed masks say the same as plain ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.bits import Bits

masks = st.lists(st.booleans(), max_size=70).map(lambda values: np.array(values, np.bool_))


@given(masks)
def test_a_mask_comes_back(mask):
    bits = Bits.of(mask)
    assert bits.mask().tolist() == mask.tolist()
    assert bits.count == mask.sum()
    assert bits.ordinals().tolist() == np.flatnonzero(mask).tolist()
    assert Bits.listed(bits.ordinals(), len(mask)).mask().tolist() == mask.tolist()


@given(masks, masks)
def test_both_is_what_is_in_both_of_the_shorter(a, b):
    size = min(len(a), len(b))
    both = Bits.of(a) & Bits.of(b)
    assert both.mask().tolist() == (a[:size] & b[:size]).tolist()
    assert both.count == (a[:size] & b[:size]).sum()


@given(masks, st.lists(st.integers(0, 90), max_size=30))
def test_single_ordinals_are_asked_for_and_taken_out(mask, ordinals):
    bits, wanted = Bits.of(mask), np.array(ordinals, np.int32)
    inside = set(np.flatnonzero(mask).tolist())
    assert bits.has(wanted).tolist() == [each in inside for each in ordinals]
    assert bits.without(wanted).ordinals().tolist() == sorted(inside - set(ordinals))
    assert bits.without(wanted).count == len(inside - set(ordinals))
    assert bits.mask().tolist() == mask.tolist()


@given(masks, st.integers(0, 90))
def test_another_size_keeps_what_it_holds(mask, size):
    resized = Bits.of(mask).resized(size)
    assert len(resized) == size
    assert resized.ordinals().tolist() == [each for each in np.flatnonzero(mask).tolist() if each < size]
    assert resized.count == len(resized.ordinals())


@given(masks, st.dictionaries(st.integers(0, 69), st.booleans(), max_size=20))
def test_single_ordinals_are_put_in_and_left_out(mask, moved):
    moved = {each: inside for each, inside in moved.items() if each < len(mask)}
    bits = Bits.of(mask)
    assert bits.count == mask.sum()
    patched = bits.patched(np.array(list(moved), np.int32), np.array(list(moved.values()), np.bool_))
    wanted = mask.copy()
    wanted[list(moved)] = list(moved.values())
    assert patched.mask().tolist() == wanted.tolist()
    assert patched.count == wanted.sum()


@given(masks, st.integers(0, 80))
def test_the_highest_come_last_first(mask, k):
    assert Bits.of(mask).last(k).tolist() == np.flatnonzero(mask)[::-1][:k].tolist()


def test_the_highest_of_a_large_thin_set_are_found():
    inside = np.array([3, 70_000, 799_999], np.int32)
    bits = Bits.listed(inside, 800_000)
    assert bits.last(2).tolist() == [799_999, 70_000]
    assert bits.last(9).tolist() == [799_999, 70_000, 3]
