"""`kindred precompute`: reserves of active users, made before they ask."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kindred.cli.output import note
from kindred.cli.session import read_settings, take_over
from kindred.core.clock import DAY
from kindred.core.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from kindred.jobs.precompute import Precomputed
    from kindred.recommend.reserves.reserve import Grade
    from kindred.settings.load import Settings


async def precompute(
    *,
    days: Annotated[int | None, Parameter(help="Users active within so many days. Default: precompute.days.")] = None,
    users: Annotated[int | None, Parameter(help="At most so many. Default: precompute.users.")] = None,
    placement: Annotated[str | None, Parameter(help="Named surface; default home.")] = None,
) -> None:
    """Rank ahead for active users, so that their next question finds a reserve in the shared cache."""
    for name, value in (("--days", days), ("--users", users)):
        if value is not None and value < 1:
            raise InvalidInput(f"{name} is at least 1, not {value}")
    note(said(await run(read_settings(), days, users, placement)))


async def run(
    settings: "Settings", days: int | None = None, users: int | None = None, placement: str | None = None
) -> "Precomputed":
    """Rank ahead, by the settings where nothing else is said; raise ConfigError where reserves are off."""
    from kindred.app.app import build_app
    from kindred.jobs.config import PrecomputeConfig
    from kindred.jobs.precompute import precompute as rank_ahead
    from kindred.recommend.ask import Ask
    from kindred.recommend.reserves.config import ReservesConfig

    if not settings.section(ReservesConfig).enabled:
        raise ConfigError("reserves.enabled is false: no server would look at what is ranked ahead")
    config = settings.section(PrecomputeConfig)
    # As a server would: what is kept is found under all that ranking depends on.
    app = await build_app(settings)
    try:
        await take_over(app)

        async def rank(user_id: str) -> "Grade":
            return await app.serving.precompute(Ask(user_id=user_id, placement=placement))

        since = app.clock.now() - (days or config.days) * DAY
        return await rank_ahead(app.stores.state, rank, since, users or config.users)
    finally:
        await app.close()


def said(done: "Precomputed") -> str:
    """Say what a run did."""
    more = "; more users were active: raise --users, or run again" if done.stopped else ""
    return f"ranked ahead for {done.ranked:,} users, {done.kept:,} had a reserve already{more}"
