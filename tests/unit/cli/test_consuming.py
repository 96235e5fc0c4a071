"""The line about a consumer."""

from kindred.cli.consuming import describe
from kindred.core.position import Position
from kindred.ingest.consumer import ConsumerStatus


def test_the_line_says_how_far_it_is_and_how_much_waits_in_its_own_partitions() -> None:
    ends = [Position(0, 0, 99), Position(0, 1, 1_500), Position(0, 2, 7)]
    mine = {1: Position(0, 1, 200), 0: Position(0, 0, 99)}
    status = ConsumerStatus("owner", Position(0, 0, 99), positions=mine)
    assert describe(status, ends) == "owner; folded to 0.0.99, 0.1.200, 1,300 behind"


def test_a_fold_in_an_older_epoch_has_all_of_the_newer_one_before_it() -> None:
    status = ConsumerStatus("owner", None, positions={0: Position(0, 0, 99)})
    assert describe(status, [Position(1, 0, 4)]).endswith("5 behind")


def test_a_stall_has_its_cause_and_a_standby_no_position() -> None:
    assert (
        describe(ConsumerStatus("stalled", None, "the state store is full"), []) == "stalled; the state store is full"
    )
    assert describe(ConsumerStatus("standby", None), [Position(0, 0, 4)]) == "standby"
