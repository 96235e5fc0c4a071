"""Tiny stages that do what a test tells them to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Context, Params, Query
from kindred.core.slate import Reason, ReasonCode
from kindred.pipeline.stages import FailPolicy, Order


def candidates(*items: int, **columns) -> Candidates:
    return Candidates(np.array(items, np.int32), {k: np.array(v, np.float32) for k, v in columns.items()})


def query(count: int = 3, **params) -> Query:
    return Query(user_id="u", request_id="rec_1", context=Context(time=0), count=count, params=Params(**params))


@dataclass
class Fake:
    """Answers every protocol with `result`: a value, a function of its arguments, or an exception to raise."""

    name: str
    result: object = None
    policy: FailPolicy = FailPolicy.OPEN
    delay: float = 0.0
    on: object = True
    outlasts: bool = False
    log: list = field(default_factory=list)

    def enabled(self, query):
        return self._answer(self.on, query)

    async def hydrate(self, query):
        return await self._later(query)

    async def propose(self, query):
        return await self._later(query)

    async def columns(self, query, candidates):
        return await self._later(query, candidates)

    async def explain(self, query, slate):
        return await self._later(query, slate)

    def note(self, query, slate):
        return query, slate

    async def run(self, notes):
        for query, slate in notes:
            await self._later(query, slate)

    def score(self, query, candidates):
        return self._said(query, candidates)

    keep = order = score

    async def _later(self, *arguments):
        self.log.append(f"{self.name}+")
        if self.delay:
            await asyncio.sleep(self.delay)
        return self._said(*arguments)

    def _said(self, *arguments):
        self.log.append(self.name)
        return self._answer(self.result, *arguments)

    @staticmethod
    def _answer(result, *arguments):
        if isinstance(result, BaseException):
            raise result
        return result(*arguments) if isinstance(result, Callable) and not isinstance(result, type) else result


def closed(name: str, result: object, **fields) -> Fake:
    return Fake(name, result, FailPolicy.CLOSED, **fields)


def score_by(values: dict[int, float], column: str = "score"):
    return lambda query, c: {column: np.array([values.get(i, 0.0) for i in c.items.tolist()], np.float32)}


def in_order(query, c) -> Order:
    return Order(np.arange(len(c)), np.ones(len(c), np.float32), {})


def reason(text: str = "x") -> Reason:
    return Reason(code=ReasonCode.POPULAR, text=text)
