"""The demo's parts: ports, its HTTP client, and how a changed slate looks."""

import socket
from typing import Any

import httpx
import pytest

from kindred.cli.demo import _free_port, _slate
from kindred.cli.demo_client import Answer, DemoClient
from kindred.cli.output import show
from kindred.core.errors import Conflict, KindredError, StoreUnavailable
from kindred.core.position import Position


def client_of(handler: Any) -> DemoClient:
    client = DemoClient("http://demo", "kd_x_y")
    client._http = httpx.Client(base_url="http://demo", transport=httpx.MockTransport(handler))
    return client


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=str(port)):
            _free_port(port)
    assert _free_port(None) > 0


def test_what_changed_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"item_id": str(n), "title": f"Film {n}", "reason": "Popular", "source": "popular"} for n in (9, 3, 2, 4)]
    show(_slate(Answer(rows, "standard", Position(0, 0, 1)), ["1", "2", "3", "4"], "After"))
    marks = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "Film" in line]
    assert marks == ["new", "up", "down", "4"]
    show(_slate(Answer(rows, "standard", Position(0, 0, 1)), [], "First"))
    assert "new" not in capsys.readouterr().out


def test_it_waits_for_the_answer_that_has_learned() -> None:
    versions = iter(["0.0.4", "0.0.5", "0.0.6"])

    def answer(_: httpx.Request) -> httpx.Response:
        said = {"recommendations": [{"item_id": "1"}], "strategy": "standard", "state_version": next(versions)}
        return httpx.Response(200, json=said)

    found, milliseconds = client_of(answer).slate_after("u", 5, Position(0, 0, 6))
    assert found.state == Position(0, 0, 6)
    assert milliseconds > 0


def test_it_gives_up_in_words() -> None:
    said = {"recommendations": [], "strategy": "standard", "state_version": "0.0.4"}
    client = client_of(lambda _: httpx.Response(200, json=said))
    with pytest.raises(StoreUnavailable, match="no answer has learned"):
        client.slate_after("u", 5, Position(0, 0, 6), patience=0.01)


def test_a_refusal_is_said() -> None:
    client = client_of(lambda _: httpx.Response(503, json={"title": "Try again later"}))
    with pytest.raises(KindredError, match="answered 503"):
        client.slate("u", 5)
    assert not client.ready()


def test_a_dead_server_is_said() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = client_of(refuse)
    assert not client.ready()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        client.track({"user_id": "u"})
