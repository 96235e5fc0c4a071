"""A full-text index in a folder: the process that holds the library's lock on it writes, all others read."""

import asyncio
import fcntl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
import numpy as np
from tantivy import Document, Index, IndexWriter, Query, Searcher

from kindred.adapters.tantivy.analysis import MARK, ORDINAL, PLAIN, STEMMED, WRITTEN, Analysis, schema
from kindred.adapters.tantivy.queries import Words, among
from kindred.core import files
from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import ConfigError, StoreFull, StoreUnavailable
from kindred.ports.resource import Capabilities
from kindred.ports.text import WORDS, TextDocument, TextMark

T = TypeVar("T")

HEAP = 64 << 20
"""Bytes that wait in memory before they are written to files, whose number this bounds while much is put at once."""
FEW = 2_048
"""Up to so many allowed documents are looked up one by one; among more, hits are left out behind the search."""
DEEPEST = 65_536
NO_ITEM = 1 << 40
"""Stands where an ordinal would in the document of the mark: no item can have it."""
_LOCK, _META, _DAMAGED = "kindred.lock", "meta.json", "damaged"


_NOTHING = (np.empty(0, np.int32), np.empty(0, np.float32))


class _Stored(msgspec.Struct, frozen=True):
    """What the document of the mark holds; `built`: by what the index was made."""

    built: str
    mark: TextMark


class TantivyText:
    """Segments of documents in one folder, which every process of the machine maps.

    The lock on the writer is the kernel's: it goes when its holder dies. Searches run beside the event loop, without
    the interpreter's lock.
    """

    def __init__(self, folder: Path, analysis: Analysis) -> None:
        """Read and write `folder`, which is made by the first claim."""
        self._folder = folder
        self._analysis = analysis
        self._schema = schema()
        self._built = f"1 {analysis.language}"
        self._index: Index | None = None
        self._writer: IndexWriter | None = None
        self._lock: IO[bytes] | None = None
        self._searching = ThreadPoolExecutor(2, "text-search")
        self._writing = ThreadPoolExecutor(1, "text-write")

    @property
    def capabilities(self) -> Capabilities:
        """Return durable and shared, by the processes of one machine."""
        return Capabilities(durable=True, shared=True, filtered_search=True)

    async def check(self) -> None:
        """Read the index; raise StoreUnavailable."""
        await self._on(self._writing, self._read_mark)

    async def close(self) -> None:
        """Give the lock back; what was not committed is put again by the next writer."""
        self._searching.shutdown()
        await asyncio.to_thread(self._writing.shutdown)
        self._writer = self._index = None
        if self._lock is not None:
            self._lock.close()

    async def search(
        self, text: str, k: int, allowed: Bits | None = None, also: Ordinals | None = None
    ) -> tuple[Ordinals, Floats]:
        """Return up to k documents and those of `also`; among equal ones at the end of the k any may be left out."""
        try:
            return await self._on(self._searching, lambda: self._search(text, k, allowed, also))
        except StoreUnavailable:
            self._report()
            raise

    async def claim(self) -> bool:
        """Take the lock, unless it is held here; an index that was found damaged is emptied."""
        return await self._on(self._writing, self._claim)

    async def mark(self) -> TextMark:
        """Return the mark that stands in the index, the first one where there is none."""
        return (await self._on(self._writing, self._read_mark)).mark

    async def put(self, documents: Sequence[TextDocument], gone: Sequence[int] = ()) -> None:
        """Hand deletions and documents to the writer."""
        await self._on(self._writing, lambda: self._put(documents, gone))

    async def commit(self, mark: TextMark) -> None:
        """Write the segment and the mark as one step, synced by the library."""
        await self._on(self._writing, lambda: self._commit(mark))

    async def clear(self) -> None:
        """Delete all documents."""
        await self._on(self._writing, self._clear)

    async def refresh(self) -> None:
        """Look at the folder's newest commit."""
        await self._on(self._writing, self._refresh)

    async def _on(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _search(self, text: str, k: int, allowed: Bits | None, also: Ordinals | None) -> tuple[Ordinals, Floats]:
        with self._translating():
            index = self._opened()
            if index is None:
                raise StoreUnavailable(f"{self._folder}: the text index is not built yet")
            words = self._analysis.plain.analyze(text)[:WORDS]
            if not words or k < 1:
                return _NOTHING
            searcher = index.searcher()
            passes = Words(self._schema, self._analysis, searcher, words, text[-1].isalnum()).passes()
            if also is not None and allowed is not None:
                also = also[allowed.has(also)]
            return self._gathered(searcher, passes, k, allowed, also)

    def _gathered(
        self,
        searcher: Searcher,
        passes: Iterator[tuple[Query, bool]],
        k: int,
        allowed: Bits | None,
        also: Ordinals | None,
    ) -> tuple[Ordinals, Floats]:
        """Return what ever looser queries find: each fills the upper half of the scores that the stricter ones left."""
        (items, scores), top = _NOTHING, np.float32(1)
        for query, only_if_nothing in passes:
            if len(items) >= k:
                break
            if only_if_nothing and len(items):
                continue
            found, raw, whole = self._hits(searcher, query, k, allowed)
            if also is not None and not whole:
                found, raw = self._with(also, searcher, query, (found, raw))
            fresh = ~np.isin(found, items)
            if len(found):
                items = np.concatenate([items, found[fresh]])
                scores = np.concatenate([scores, top * (1 + raw[fresh] / raw.max()) / 2])
            top /= 2
        kept = np.arange(len(items)) < k
        if also is not None:
            kept |= np.isin(items, also)
        return items[kept], scores[kept]

    def _with(
        self, also: Ordinals, searcher: Searcher, query: Query, best: tuple[Ordinals, Floats]
    ) -> tuple[Ordinals, Floats]:
        """Return the best hits and those of `also`, in order of their scores."""
        if not len(also):
            return best
        more = self._ranked(searcher, among(query, self._schema, also.tolist()), len(also))
        items, first = np.unique(np.concatenate([best[0], more[0]]), return_index=True)
        scores = np.concatenate([best[1], more[1]])[first]
        order = np.argsort(-scores, kind="stable")
        return items[order], scores[order]

    def _hits(self, searcher: Searcher, query: Query, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats, bool]:
        """Return the best allowed (ordinals, scores), ties by ordinal, and whether no other allowed one matches.

        The search goes deeper while too few are allowed.
        """
        if allowed is not None and not allowed.count:
            return *_NOTHING, True
        if allowed is None or allowed.count <= FEW:
            only = query if allowed is None else among(query, self._schema, allowed.ordinals().tolist())
            items, scores = self._ranked(searcher, only, k)
            return items, scores, len(items) < k
        limit = min(2 * k * allowed.size // allowed.count, DEEPEST)
        while True:
            items, scores = self._ranked(searcher, query, limit)
            kept = allowed.has(items)
            count = int(kept.sum())
            if count >= k or len(items) < limit or limit >= DEEPEST:
                return items[kept][:k], scores[kept][:k], count <= k and len(items) < limit
            limit = min(limit * 8, DEEPEST)

    def _ranked(self, searcher: Searcher, query: Query, limit: int) -> tuple[Ordinals, Floats]:
        hits = searcher.search(query, limit, count=False).hits
        if not hits:
            return _NOTHING
        items = np.array(searcher.fast_field_values(ORDINAL, [address for _, address in hits]), np.int32)
        scores = np.array([score for score, _ in hits], np.float32)
        order = np.lexsort((items, -scores))
        return items[order], scores[order]

    def _claim(self) -> bool:
        damaged = self._folder / _DAMAGED
        if self._writer is not None and not damaged.exists():
            return True
        with self._translating():
            if not self._locked():
                return False
            if damaged.exists() or not self._usable():
                self._writer = self._index = None
                self._empty_folder()
                self._open_writer()
        return True

    def _locked(self) -> bool:
        """Take the lock that keeps other processes from writing; the library's own needs an index that can be read."""
        if self._lock is None:
            files.make_folder(self._folder)
            handle = (self._folder / _LOCK).open("ab")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                return False
            self._lock = handle
        return True

    def _usable(self) -> bool:
        """Open what is there to write to it, and say whether it can be read and was built as this process would."""
        try:
            self._open_writer()
            return self._read_mark().built in ("", self._built)
        except StoreUnavailable:
            return False

    def _open_writer(self) -> None:
        self._writer = None
        with self._translating():
            index = self._registered(Index(self._schema, str(self._folder)))
            self._writer, self._index = index.writer(HEAP, 1), index

    def _empty_folder(self) -> None:
        for path in self._folder.iterdir():
            if path.name != _LOCK:
                path.unlink()

    def _put(self, documents: Sequence[TextDocument], gone: Sequence[int]) -> None:
        latest = {each.ordinal: each for each in documents}
        with self._writing_safely() as writer:
            writer.delete_documents_by_query(self._those([*gone, *latest]))
            for each in latest.values():
                writer.add_document(self._document(each))

    def _those(self, ordinals: Sequence[int]) -> Query:
        return Query.term_set_query(self._schema, ORDINAL, ordinals)

    def _document(self, document: TextDocument) -> Document:
        fields: dict[str, Any] = {ORDINAL: document.ordinal}
        for name, value in (("title", document.title), ("names", list(document.names))):
            if value:
                fields[name] = fields[WRITTEN[name]] = value
        if document.description:
            fields["description"] = document.description
        return Document.from_dict(fields, self._schema)

    def _commit(self, mark: TextMark) -> None:
        with self._writing_safely() as writer:
            stored = msgspec.json.encode(_Stored(self._built, mark)).decode()
            writer.delete_documents_by_query(self._those([NO_ITEM]))
            writer.add_document(Document.from_dict({ORDINAL: NO_ITEM, MARK: stored}, self._schema))
            writer.commit()
        self._refresh()

    def _clear(self) -> None:
        with self._writing_safely() as writer:
            writer.delete_all_documents()
            writer.commit()
        self._refresh()

    def _refresh(self) -> None:
        with self._translating():
            index = self._opened()
            if index is not None:
                index.reload()

    def _read_mark(self) -> _Stored:
        with self._translating():
            index = self._opened()
            if index is None:
                return _Stored("", TextMark())
            searcher = index.searcher()
            hits = searcher.search(self._those([NO_ITEM]), 1).hits
            if not hits:
                return _Stored("", TextMark())
            return msgspec.json.decode(searcher.doc(hits[0][1])[MARK][0], type=_Stored)

    def _opened(self) -> Index | None:
        """Return the index, None while no process has made one."""
        if self._index is None and (self._folder / _META).exists():
            self._index = self._registered(Index(self._schema, str(self._folder)))
        return self._index

    def _registered(self, index: Index) -> Index:
        index.register_tokenizer(STEMMED, self._analysis.stemmed)
        index.register_tokenizer(PLAIN, self._analysis.plain)
        index.config_reader("manual")
        return index

    @contextmanager
    def _writing_safely(self) -> Iterator[IndexWriter]:
        """Give the writer; after an error it is given up, and the next claim goes on from the last commit."""
        if self._writer is None:
            raise StoreUnavailable(f"{self._folder}: another process writes the text index")
        try:
            with self._translating():
                yield self._writer
        except BaseException:
            self._writer = None
            raise

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Turn the library's errors into StoreUnavailable or StoreFull."""
        try:
            with files.translating(str(self._folder)):
                yield
        except BaseException as error:
            # A panic of the library derives from BaseException and has no name that could be imported.
            if not isinstance(error, ValueError | msgspec.DecodeError) and type(error).__name__ != "PanicException":
                raise
            if self._folder.exists() and files.is_full(self._folder):
                raise StoreFull(f"{self._folder}: no room left on the disk; make room and try again") from error
            raise StoreUnavailable(f"{self._folder}: the text index cannot be used: {error}") from error

    def _report(self) -> None:
        """Tell the process that writes, whichever it is, that the index has to be built anew."""
        with suppress(OSError):
            if (self._folder / _META).exists():
                (self._folder / _DAMAGED).touch()


async def open_text(location: str, home: Path) -> TantivyText:
    """Open the index in folder `location` of `home` (`text` where empty), with `?language=` the language of its words.

    Raises ConfigError for an unknown option or language.
    """
    place, _, query = location.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    language = options.pop("language", "english")
    if options:
        raise ConfigError(f"stores.text: unknown option {next(iter(options))!r}; there is language")
    return TantivyText(home / (place or "text"), Analysis(language))
