"""From the text of a filter expression to its tree."""

import math
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec
from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from kindred.core.errors import InvalidInput
from kindred.recommend.items.values import Value, read_moment
from kindred.recommend.where.terms import (
    Contains,
    Every,
    Has,
    Literal,
    Name,
    Not,
    Ordered,
    Some,
    Term,
    Within,
    canonical,
    full_name,
)

MAX_LENGTH = 4_000
"""Characters that an expression may have."""
MAX_TERMS = 100
"""Comparisons that an expression may have."""
MAX_DEPTH = 16
"""How deep brackets and negations may be nested."""

_GRAMMAR = r"""
start: some
?some: every (_OR every)+ | every
?every: negated (_AND negated)+ | negated
?negated: _NOT negated -> negation
    | _LEFT some _RIGHT -> bracketed
    | comparison
?comparison: name EQUAL literal -> equal
    | name UNEQUAL literal -> unequal
    | name EQUAL NULL -> lacks
    | name UNEQUAL NULL -> has
    | name SIGN literal -> ordered
    | name _IN list -> within
    | name _NOT _IN list -> without
    | name _CONTAINS literal -> contains
    | _HAS name -> has
list: _OPEN [literal (_COMMA literal)*] _CLOSE
name: (PLAIN | QUOTED) (_DOT (PLAIN | QUOTED))*
literal: NUMBER | DATE | TEXT | OTHER_TEXT | TRUE | FALSE
_AND.2: /and\b/i
_OR.2: /or\b/i
_NOT.2: /not\b/i
_IN.2: /in\b/i
_CONTAINS.2: /contains\b/i
_HAS.2: /has\b/i
TRUE.2: /true\b/i
FALSE.2: /false\b/i
NULL.2: /null\b/i
PLAIN: /[a-z_][a-z0-9_]*/i
QUOTED: /`[^`]+`/
DATE.3: /\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d))?/i
NUMBER.2: /-?\d+(\.\d+)?(e[+-]?\d+)?/i
TEXT: /"([^"\\]|\\.)*"/s
OTHER_TEXT: /'([^'\\]|\\.)*'/s
SIGN.1: /[<>]=?/
EQUAL: /==?/
UNEQUAL: "!="
_LEFT: "("
_RIGHT: ")"
_OPEN: "["
_CLOSE: "]"
_COMMA: ","
_DOT: "."
%ignore /\s+/
"""

_TURN = {"\\'": "'", '"': '\\"'}
_TURNED = re.compile(r"\\.|\"", re.DOTALL)
_SAID = {
    "_AND": "`and`",
    "_OR": "`or`",
    "_NOT": "`not`",
    "_IN": "`in`",
    "_CONTAINS": "`contains`",
    "_HAS": "`has`",
    "NULL": "null",
    "PLAIN": "an attribute",
    "TEXT": 'a value (a number, a "text", a date, true or false)',
    "SIGN": "a comparison (= != < <= > >=)",
    "_LEFT": "`(`",
    "_RIGHT": "`)`",
    "_OPEN": "`[`",
    "_CLOSE": "`]`",
    "_COMMA": "`,`",
    "_DOT": "`.`",
    "$END": "the end",
}
"""What a reader is told was expected; kinds of token that are left out are covered by another."""


def parse(text: str, pointer: str) -> Term:
    """Read an expression; raise InvalidInput at `pointer`, naming the place and what was expected there."""
    try:
        return _parse(text)
    except _Wrong as wrong:
        raise InvalidInput.at(pointer, str(wrong)) from wrong


def canonical_text(text: str, pointer: str) -> str:
    """Return an expression's canonical text; raise InvalidInput as `parse` does, and for one that is too long."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput.at(pointer, f"must have at most {MAX_LENGTH} characters, has {len(text)}")
    return canonical(parse(text, pointer))


class _Wrong(Exception):
    """What is wrong with an expression, without the field that it stands in."""


def at_character(at: int) -> str:
    """Name a place in a text, given from 0."""
    return f"at character {at + 1}"


@lru_cache(maxsize=2_048)
def _parse(text: str) -> Term:
    try:
        term: Term = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise _Wrong(_told(error, text)) from error
    return term


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", transformer=_Builder(), maybe_placeholders=False)


def _told(error: UnexpectedInput, text: str) -> str:
    expected: set[str] = set()
    if isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected)
    elif isinstance(error, UnexpectedCharacters):
        expected = set(error.allowed or ())
    at = error.pos_in_stream
    ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    place = "at the end" if ended else f"{at_character(at or 0)}, {text[at or 0 : (at or 0) + 20]!r}"
    wanted = [said for kind, said in _SAID.items() if kind in expected]
    return f"{place}: expected {' or '.join(wanted)}"


class _Sized(NamedTuple):
    """A term, how deep it is nested, and how many comparisons it has."""

    term: Term
    depth: int = 0
    leaves: int = 1


@v_args(inline=True)
class _Builder(Transformer[Token, Term]):
    """Makes the tree while the text is read, and stops where it grows too large."""

    def start(self, found: _Sized) -> Term:
        return found.term

    def some(self, *parts: _Sized) -> _Sized:
        return self._joined(Some, parts)

    def every(self, *parts: _Sized) -> _Sized:
        return self._joined(Every, parts)

    def negation(self, inner: _Sized) -> _Sized:
        # Two negations are none; however many are written, the tree grows by one.
        term = inner.term.term if isinstance(inner.term, Not) else Not(inner.term)
        return _Sized(term, inner.depth, inner.leaves)

    def bracketed(self, inner: _Sized) -> _Sized:
        if inner.depth >= MAX_DEPTH:
            raise _Wrong(f"brackets may be nested {MAX_DEPTH} deep, are nested deeper")
        return inner._replace(depth=inner.depth + 1)

    def equal(self, name: Name, _: Token, literal: Literal) -> _Sized:
        return _Sized(Within(name, (literal,)))

    def unequal(self, name: Name, _: Token, literal: Literal) -> _Sized:
        return _Sized(Not(Within(name, (literal,))))

    def within(self, name: Name, values: tuple[Literal, ...]) -> _Sized:
        return _Sized(Within(name, values))

    def without(self, name: Name, values: tuple[Literal, ...]) -> _Sized:
        return _Sized(Not(Within(name, values)))

    def ordered(self, name: Name, sign: Token, bound: Literal) -> _Sized:
        return _Sized(Ordered(name, str(sign), bound))

    def contains(self, name: Name, part: Literal) -> _Sized:
        return _Sized(Contains(name, part))

    def has(self, name: Name, *_: Token) -> _Sized:
        return _Sized(Has(name))

    def lacks(self, name: Name, *_: Token) -> _Sized:
        return _Sized(Not(Has(name)))

    def list(self, *values: Literal) -> tuple[Literal, ...]:
        return values

    def name(self, *parts: Token) -> Name:
        return full_name([str(part).strip("`") for part in parts], parts[0].start_pos or 0)

    def literal(self, token: Token) -> Literal:
        return Literal(_value(token), token.start_pos or 0)

    def _joined(self, kind: type[Some | Every], parts: Sequence[_Sized]) -> _Sized:
        count = sum(part.leaves for part in parts)
        terms: list[Term] = []
        for part in parts:
            terms.extend(part.term.terms if isinstance(part.term, kind) else (part.term,))
        if count > MAX_TERMS:
            raise _Wrong(f"may have at most {MAX_TERMS} comparisons, has more")
        return _Sized(kind(tuple(terms)), max(part.depth for part in parts), count)


def _value(token: Token) -> Value:
    place, text = at_character(token.start_pos or 0), str(token)
    match token.type:
        case "TRUE" | "FALSE":
            return token.type == "TRUE"
        case "NUMBER":
            number = float(text)
            if not math.isfinite(number):
                raise _Wrong(f"{place}: the number is too large")
            return number
        case "DATE":
            moment = read_moment(text)
            if moment is None:
                raise _Wrong(f"{place}: there is no such date")
            return moment
        case _:
            return _unquoted(text, place)


def _unquoted(text: str, place: str) -> str:
    """Read a quoted text with the escapes of JSON, in double or in single quotes."""
    if text[0] == "'":
        text = f'"{_TURNED.sub(lambda found: _TURN.get(found[0], found[0]), text[1:-1])}"'
    try:
        return msgspec.json.decode(text, type=str)
    except msgspec.DecodeError as error:
        raise _Wrong(f"{place}: a backslash stands before what needs none; write \\\\ for one backslash") from error
