"""Real data folders and servers."""

from tests.e2e.platform.fixtures import empty_home, home, start, start_bare, trained_home, trained_token

__all__ = ["empty_home", "home", "start", "start_bare", "trained_home", "trained_token"]
