"""The rate of a token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.api.limits import HttpConfig, RateLimit, RateLimited


def _allowed(limit: RateLimit, token_id: str) -> bool:
    try:
        limit.spend(token_id)
    except RateLimited:
        return False
    return True


def test_a_burst_then_the_steady_rate_and_tokens_apart() -> None:
    now = [1000.0]
    limit = RateLimit(HttpConfig(rate=2, burst=2), lambda: now[0])
    assert [_allowed(limit, "a") for _ in range(5)] == [True] * 4 + [False]
    assert _allowed(limit, "b")
    with pytest.raises(RateLimited) as caught:
        limit.spend("a")
    assert caught.value.retry_after == 1
    now[0] += 0.5
    assert [_allowed(limit, "a") for _ in range(2)] == [True, False]


def test_no_rate_is_no_limit() -> None:
    limit = RateLimit(HttpConfig(), lambda: 0.0)
    assert all(_allowed(limit, "a") for _ in range(1000))


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200), st.sampled_from([1.0, 3.0, 10.0]))
def test_no_window_holds_more_than_burst_plus_rate(gaps: list[float], rate: float) -> None:
    now, burst, passed = [0.0], 2.0, []
    limit = RateLimit(HttpConfig(rate=rate, burst=burst), lambda: now[0])
    for gap in gaps:
        now[0] += gap
        if _allowed(limit, "a"):
            passed.append(now[0])
    for start in range(len(passed)):
        for end in range(start, len(passed)):
            assert end - start + 1 <= rate * (passed[end] - passed[start] + burst) + 1e-6
