"""The room of real servers starts, pauses, kills and restarts what it is asked to."""

import sys
from pathlib import Path

import pytest
from tests.engines import running as room
from tests.engines.running import Engine, free_port, listens, running


class Listener(Engine):
    """A process that listens, with a child that must not outlive it."""

    name = "listener"

    @classmethod
    def available(cls) -> str | None:
        return None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(self.port)]


class Missing(Listener):
    name = "missing"

    @classmethod
    def available(cls) -> str | None:
        return "it was never made"


class Broken(Listener):
    name = "broken"

    def command(self) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('no such luck')"]


def test_a_server_runs_for_the_block_on_one_port_over_a_kill_and_a_pause(tmp_path: Path) -> None:
    with running(Listener, tmp_path) as server:
        assert listens(server.port)
        server.kill()
        assert not server.running
        assert not listens(server.port)
        server.restart()
        assert listens(server.port)
        server.pause()
        server.resume()
        assert server.running
        server.stop()
        assert not listens(server.port)
    assert not server.running


def test_a_server_that_cannot_be_had_is_skipped_by_name_or_fails_where_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "REQUIRED", False)
    with pytest.raises(pytest.skip.Exception, match="missing cannot be had: it was never made"), \
            running(Missing, tmp_path):  # fmt: skip
        pass
    monkeypatch.setattr(room, "REQUIRED", True)
    with pytest.raises(pytest.fail.Exception, match="missing cannot be had"), running(Missing, tmp_path):
        pass


def test_a_server_that_ends_at_once_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such luck"), running(Broken, tmp_path):
        pass


def test_ports_lie_below_those_of_clients() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < low for _ in range(20))
