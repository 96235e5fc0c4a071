"""The routes, one module per part of the interface."""

from litestar.types import ControllerRouterHandler

from kindred.api.routes import (
    answers,
    catalog,
    documents,
    items,
    onboarding,
    operations,
    people,
    placements,
    search,
    slates,
    tracking,
    users,
)

HANDLERS: list[ControllerRouterHandler] = [
    *answers.HANDLERS,
    *slates.HANDLERS,
    *search.HANDLERS,
    *tracking.HANDLERS,
    *items.HANDLERS,
    *catalog.HANDLERS,
    *users.HANDLERS,
    *people.HANDLERS,
    *onboarding.HANDLERS,
    *placements.HANDLERS,
    *operations.HANDLERS,
    *documents.HANDLERS,
]
"""Every route handler that the server has."""
