"""The application that the tests of the HTTP interface call."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn, stand_in


@pytest.fixture
async def app() -> StandIn:
    """Return an application with three items and a token per scope."""
    return await stand_in()


@pytest.fixture
async def client(app: StandIn) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that may do everything."""
    async with app.client("admin") as found:
        yield found
