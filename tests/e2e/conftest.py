"""Real data folders and servers."""

from tests.e2e.platform.fixtures import app, empty_home, home, start, start_bare, trained_home, trained_token

__all__ = ["app", "empty_home", "home", "start", "start_bare", "trained_home", "trained_token"]
