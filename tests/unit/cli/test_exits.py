"""Every kind of trouble ends in one sentence and one documented exit code."""

from pathlib import Path

import pytest

from kindred.cli.exits import Exit, exit_code, report
from kindred.core import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), Exit.USAGE),
        (errors.InvalidInput("x"), Exit.USAGE),
        (errors.NoBundle(), Exit.NOT_READY),
        (errors.BundleCorrupt("x"), Exit.NOT_READY),
        (errors.LeaseHeld("x"), Exit.CONFLICT),
        (errors.Conflict("x"), Exit.CONFLICT),
        (errors.StoreFull("x"), Exit.STORE),
        (errors.StoreUnavailable("x"), Exit.STORE),
        (errors.NotFound("x"), Exit.FAILURE),
    ],
)
def test_each_kind_has_its_code(error: errors.KindredError, code: Exit) -> None:
    assert exit_code(error) is code


def raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_a_known_error_is_one_sentence(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert report(errors.Conflict("port 80 is in use")) == Exit.CONFLICT
    assert capsys.readouterr().err == "kindred: port 80 is in use\n"
    assert not list(home.iterdir())


def test_no_bundle_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(errors.NoBundle("nothing is active")) == Exit.NOT_READY
    assert "run `kindred train`" in capsys.readouterr().err


def test_a_fault_is_said_without_its_pointer(capsys: pytest.CaptureFixture[str]) -> None:
    report(errors.InvalidInput.at("/scopes", "unknown scope 'x'"))
    assert capsys.readouterr().err == "kindred: scopes: unknown scope 'x'\n"


def test_an_unexpected_error_keeps_its_trace_in_a_file(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert report(raised(RuntimeError("boom\nwith more lines"))) == Exit.FAILURE
    said = capsys.readouterr().err
    assert "unexpected RuntimeError: boom" in said
    assert "Traceback" not in said
    assert str(home / "kindred-errors.txt") in said
    assert "Traceback" in (home / "kindred-errors.txt").read_text()


def test_debug_shows_the_trace(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_DEBUG", "1")
    report(raised(errors.NotFound("nobody")))
    assert "Traceback" in capsys.readouterr().err


def test_a_group_of_one_counts_as_that_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ExceptionGroup("tasks", [errors.StoreFull("no room")])) == Exit.STORE
    assert capsys.readouterr().err == "kindred: no room\n"


def test_an_interruption_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(KeyboardInterrupt()) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "stopped\n"


def test_a_damaged_bundle_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(errors.BundleCorrupt("als/gram.npy: has 3 bytes")) == Exit.NOT_READY
    assert capsys.readouterr().err.startswith("kindred: als/gram.npy: has 3 bytes: run `kindred models rollback`")
