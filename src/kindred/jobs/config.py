"""Settings of the jobs, apart from their code: a server reads the settings without loading what the jobs need."""

from typing import Annotated

from msgspec import Meta

from kindred.core.config import Config, Count

_Seconds = Annotated[int, Meta(ge=0, le=10_000_000)]


class LakeConfig(Config, frozen=True, kw_only=True):
    """How the lake is written.

    `step_rows`: records taken over at once, what bounds memory. `file_rows`: rows of a compacted file, at most.
    `keep_replaced`: seconds for which files that compaction replaced stay for those who still read them.
    """

    step_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 50_000
    file_rows: Annotated[int, Meta(ge=1_000, le=10_000_000)] = 250_000
    keep_replaced: Annotated[int, Meta(ge=0)] = 3_600


class RetentionConfig(Config, frozen=True, kw_only=True):
    """How long the hot stores keep what the lake keeps for good.

    `history_days`: interactions older than this leave the history (0 = none do). `log_days`: events and dead letters
    older than this leave the log, once the lake holds them and every consumer has folded them.
    """

    history_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    log_days: Annotated[int, Meta(ge=1, le=30)] = 30


class ScheduleConfig(Config, frozen=True, kw_only=True):
    """How often `kindred run` does what comes back; seconds from one start to the next, 0 = never.

    `lake`: take over events into the lake and compact it. `increment`: learn what is new. `train`: train everything
    anew. `retention`: drop what is past its time. `precompute`: rank ahead for active users. `limit`: seconds after
    which a job that still runs is ended, so that one that hangs does not keep the others waiting; 0 = never. `nice`: by
    how much the jobs give way to serving (0 to 19). `threads`: of each job's numeric libraries, 0 = all cores.
    """

    lake: _Seconds = 3_600
    increment: _Seconds = 900
    train: _Seconds = 86_400
    retention: _Seconds = 86_400
    precompute: _Seconds = 0
    limit: _Seconds = 21_600
    nice: Annotated[int, Meta(ge=0, le=19)] = 10
    threads: Annotated[int, Meta(ge=0, le=1_024)] = 1

    def intervals(self) -> dict[str, int]:
        """Return the seconds between two starts by job, of those that come back."""
        names = ("lake", "increment", "train", "retention", "precompute")
        found: dict[str, int] = {name: getattr(self, name) for name in names}
        return {name: seconds for name, seconds in found.items() if seconds}


class PrecomputeConfig(Config, frozen=True, kw_only=True):
    """For whom `kindred precompute` ranks ahead.

    `days`: users who did something within so many days. `users`: at most so many of them in one run.
    """

    days: Count = 7
    users: Count = 100_000
