"""What a process asked of the kernel, read from strace, and the disk that would be left at any moment of it."""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SYSCALLS = "fdatasync,fsync,pwrite64,ftruncate,write,writev,sendto,sendmsg,send"
STRING_LIMIT = 70_000
STRACE = ("strace", "-D", "-f", "-y", "-xx", "-s", str(STRING_LIMIT), "-e", f"trace={SYSCALLS}", "-e", "signal=none")

_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>)?(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)$", re.DOTALL)
_TARGET = re.compile(r"^(\d+)<(.*?)>(?:, |$|\))")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_RESULT = re.compile(r"\)\s+= (-?\d+)")
_WRITES = {"pwrite64"}
_CHANGES = {*_WRITES, "ftruncate"}
_SYNCS = {"fdatasync", "fsync"}
_SENDS = {"write", "writev", "sendto", "sendmsg", "send"}


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: `entered` and `left` are places in the order of all entries and exits of the process."""

    name: str
    target: str
    data: bytes
    offset: int
    result: int
    entered: int
    left: int


def read_trace(path: Path) -> list[Call]:
    """Return the finished calls of a trace, in the order in which they were finished."""
    waiting: dict[str, tuple[int, str]] = {}
    found = []
    with path.open(encoding="ascii", errors="replace") as lines:
        for place, line in enumerate(lines):
            matched = _LINE.match(line.rstrip("\n"))
            if not matched:
                continue
            thread, resumed, rest = matched.groups()
            if rest.endswith("<unfinished ...>"):
                waiting[thread] = (place, rest.removesuffix("<unfinished ...>").rstrip())
                continue
            entered, before = waiting.pop(thread) if resumed else (place, "")
            call = _parse(before + rest, entered, place)
            if call is not None:
                found.append(call)
    return found


def _parse(text: str, entered: int, left: int) -> Call | None:
    call, result = _CALL.match(text), _RESULT.search(text)
    if not call or not result:
        return None
    name, arguments = call.groups()
    target = _TARGET.match(arguments)
    data = b"".join(_unescape(part) for part in _STRING.findall(arguments))
    numbers = arguments[: arguments.rindex(")")].rpartition(", ")[2] if name in ("pwrite64", "ftruncate") else "0"
    return Call(
        name,
        _unescape(target[2]).decode(errors="replace") if target else "",
        data,
        int(numbers),
        int(result[1]),
        entered,
        left,
    )


def _unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


class Disk:
    """The files of a folder as calls leave them: what a sync has made durable, and what was done since."""

    def __init__(self, folder: Path, base: Mapping[str, bytes]) -> None:
        """Start from `base`: the durable files of `folder` by name."""
        self._folder = f"{folder}/"
        self._durable = {name: bytearray(data) for name, data in base.items()}
        self._loose: dict[str, list[Call]] = defaultdict(list)

    def play(self, calls: list[Call]) -> Iterator[Call]:
        """Apply the calls in order of their ends, giving each one after it took effect."""
        for call in calls:
            name = call.target.removeprefix(self._folder)
            if call.target != name and call.result >= 0:
                if call.name in _SYNCS:
                    self._sync(name, call)
                elif call.name in _CHANGES:
                    self._loose[name].append(call)
            yield call

    def _sync(self, name: str, sync: Call) -> None:
        """Make durable what had ended when the sync began; it need not cover what was written while it ran."""
        image = self._durable.setdefault(name, bytearray())
        for call in self._loose[name]:
            if call.left < sync.entered:
                _apply(image, call)
        self._loose[name] = [call for call in self._loose[name] if call.left > sync.entered]

    def durable(self) -> dict[str, bytes]:
        """Return the files as they are when the power fails now and nothing unsynced reached the disk."""
        return {name: bytes(image) for name, image in self._durable.items() if image}

    def torn(self, dice: random.Random) -> dict[str, bytes]:
        """Return the files as they are when the power fails now and about half of the unsynced writes were done."""
        found = {}
        for name in sorted({*self._durable, *self._loose}):
            image = bytearray(self._durable.get(name, b""))
            for call in self._loose[name]:
                if call.name in _WRITES and dice.random() < 0.5:
                    _apply(image, call)
            if image:
                found[name] = bytes(image)
        return found


def _apply(image: bytearray, call: Call) -> None:
    """Write or truncate as a call did."""
    if call.name == "ftruncate":
        del image[call.offset :]
        return
    assert len(call.data) == call.result, f"the trace holds {len(call.data)} of {call.result} bytes"
    _put(image, call.offset, call.data)


def _put(image: bytearray, offset: int, data: bytes) -> None:
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


def accepted(calls: list[Call]) -> Iterator[tuple[Call, bytes]]:
    """Give (first call that carries it, body) of every 202 that left through a socket."""
    open_answers: dict[str, tuple[Call, bytes]] = {}
    for call in calls:
        if call.name not in _SENDS or not call.target.startswith(("TCP", "socket")):
            continue
        first, so_far = open_answers.pop(call.target, (call, b""))
        answer = so_far + call.data
        head, gap, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if gap and length and len(body) >= int(length[1]):
            if head.startswith(b"HTTP/1.1 202"):
                yield first, body
        else:
            open_answers[call.target] = (first, answer)
