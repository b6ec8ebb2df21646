"""The feed of bonuses as Server-Sent Events: one thread and one reader of Redis a process, however many listen.

A listener takes no thread of the web server: its socket is taken over from gunicorn and written to by a loop of our
own. A server that doesn't show its sockets (waitress, in one process with everything) serves a few listeners from its
threads. Entries carry the ids of the Redis stream: who comes back with Last-Event-ID misses nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from integration.errors import Crm1cError

log = logging.getLogger("crm1c.http")

MOST = 5000  # listeners of one process
POLL, BEAT = 0.2, 15.0  # seconds between looks at Redis, and between signs of life
_BEHIND = 256 * 1024  # bytes that wait for a listener before it is let go: it comes back with Last-Event-ID
_SOON = 0.01  # seconds between two pages of what somebody has missed: the others are served meanwhile
_KEPT = 2000  # latest entries, for those who come back
_PAGE = 500
_HELLO = b"retry: 2000\n\n"
_ID = re.compile(r"(\d{1,20})-(\d{1,20})")

Place = tuple[int, int]


class Feed(Protocol):
    """The feed in Redis (integration.board)."""

    def feed(self, after: str, count: int = 500) -> list[tuple[str, Mapping[str, str]]]: ...

    def last(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it goes out."""

    place: Place
    manager: str
    data: bytes


@dataclass(eq=False, slots=True)
class Listener:
    """`manager`: whose entries it gets, "" for all; `at`: the last entry that it has (None: it wants new ones).
    `begun`: its socket is looked after; `gone`: it has left, or was let go."""

    manager: str
    at: Place | None
    send: Callable[[bytes], None] | None = None
    socket: socket.socket | None = None
    waiting: bytearray = field(default_factory=bytearray)
    begun: bool = False
    gone: bool = False


def place_of(entry_id: str) -> Place | None:
    """An id of the stream as a place in it; None for anything else."""
    found = _ID.fullmatch(entry_id.strip())
    return (int(found[1]), int(found[2])) if found else None


class Stream:
    """The listeners of one process."""

    def __init__(self, feed: Feed, seats: int, poll: float = POLL) -> None:
        self._feed, self._poll = feed, poll
        self._listeners: set[Listener] = set()
        self._coming: deque[Listener] = deque()
        self._kept: deque[Entry] = deque(maxlen=_KEPT)
        self._last: Place = (0, 0)
        self._guard = threading.Lock()
        self._pid = 0
        self._seats = threading.BoundedSemaphore(max(1, seats))

    @property
    def full(self) -> bool:
        return len(self._listeners) + len(self._coming) >= MOST

    def last(self) -> str:
        """The id of the feed's latest entry."""
        return self._feed.last()

    def take(self, connection: socket.socket, head: bytes, manager: str, after: str) -> None:
        """Serve a connection from now on; it is ours, and closed when its listener goes."""
        connection.setblocking(False)
        self._join(Listener(manager, place_of(after), socket=connection, waiting=bytearray(head + _HELLO)))

    def served(self, manager: str, after: str) -> Iterator[bytes] | None:
        """What a listener without a socket reads, on its own thread; None when no thread can be spared."""
        if not self._seats.acquire(blocking=False):
            return None
        return self._read(manager, after)

    def _read(self, manager: str, after: str) -> Iterator[bytes]:
        got: deque[bytes] = deque([_HELLO])
        wake = threading.Event()

        def send(data: bytes) -> None:
            if len(got) < _KEPT:
                got.append(data)
            else:
                mine.gone = True
            wake.set()

        mine = Listener(manager, place_of(after), send=send)
        self._join(mine)
        try:
            while True:
                wake.clear()
                while got:
                    yield got.popleft()
                if mine.gone:
                    return  # it read too slowly, and comes back with Last-Event-ID
                wake.wait(BEAT)
                if not got:
                    got.append(b": \n\n")
        finally:
            mine.gone = True
            self._listeners.discard(mine)
            self._seats.release()

    def _join(self, one: Listener) -> None:
        with self._guard:
            if self._pid != os.getpid():  # a forked child starts its own
                self._listeners, self._kept, self._coming = set(), deque(maxlen=_KEPT), deque()
                self._pid = os.getpid()
                threading.Thread(target=self._serve, name="crm1c-stream", daemon=True).start()
            self._coming.append(one)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        with selectors.DefaultSelector() as sockets:
            beat = time.monotonic() + BEAT
            behind = True  # the place in the feed is not known yet
            while True:
                try:
                    if behind:
                        self._last, behind = place_of(self._feed.last()) or (0, 0), False
                    for entry in self._news():
                        self._tell(sockets, entry)
                    for _ in range(len(self._coming)):
                        done = self._welcome(sockets, self._coming[0])
                        one = self._coming.popleft()
                        if not done:
                            self._coming.append(one)
                except Crm1cError as error:
                    log.warning("лента бонусов ждёт Redis: %s", error.detail or error)
                    time.sleep(1.0)
                if time.monotonic() >= beat:
                    beat = time.monotonic() + BEAT
                    for one in list(self._listeners):
                        self._push(sockets, one, b": \n\n")
                self._attend(sockets)

    def _news(self) -> Iterator[Entry]:
        while True:
            found = self._feed.feed(f"{self._last[0]}-{self._last[1]}", _PAGE)
            for entry_id, fields in found:
                place = place_of(entry_id)
                if place is not None:
                    self._last = place
                    entry = Entry(place, fields.get("manager", ""), _event(entry_id, fields))
                    self._kept.append(entry)
                    yield entry
            if len(found) < _PAGE:
                return

    def _tell(self, sockets: selectors.BaseSelector, entry: Entry) -> None:
        for one in list(self._listeners):
            self._give(sockets, one, entry)

    def _give(self, sockets: selectors.BaseSelector, one: Listener, entry: Entry) -> None:
        if one.at is None or entry.place > one.at:
            one.at = entry.place
            if one.manager in ("", entry.manager):
                self._push(sockets, one, entry.data)

    def _welcome(self, sockets: selectors.BaseSelector, one: Listener) -> bool:
        """A listener begins, with what it has missed: False while there is more of that than a page, or Redis fails,
        and it is welcomed again, from where it is. Nothing can come in between: this thread alone reads."""
        if one.socket is not None and not one.begun:
            sockets.register(one.socket, selectors.EVENT_READ, one)
            one.begun = True
            self._push(sockets, one, b"")
        if not (one.gone or one.at is None or self._caught_up(sockets, one, one.at)):
            return False
        if not one.gone:
            self._listeners.add(one)
        return True

    def _caught_up(self, sockets: selectors.BaseSelector, one: Listener, at: Place) -> bool:
        """Give a page of what the listener has missed; whether that was the rest."""
        if self._kept and self._kept[0].place <= at:
            for entry in list(self._kept):
                self._give(sockets, one, entry)
            return True
        found = self._feed.feed(f"{at[0]}-{at[1]}", _PAGE)
        for entry_id, fields in found:
            place = place_of(entry_id) or at
            if place > self._last:
                return True  # told to all, with the next look
            self._give(sockets, one, Entry(place, fields.get("manager", ""), _event(entry_id, fields)))
        return len(found) < _PAGE

    def _push(self, sockets: selectors.BaseSelector, one: Listener, data: bytes) -> None:
        if one.gone:
            self._listeners.discard(one)
            return
        if one.send is not None:
            one.send(data)
            return
        one.waiting += data
        self._flush(sockets, one)

    def _flush(self, sockets: selectors.BaseSelector, one: Listener) -> None:
        if one.socket is None or one.gone:
            return
        try:
            while one.waiting:
                sent = one.socket.send(one.waiting)
                del one.waiting[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(sockets, one)
            return
        if len(one.waiting) > _BEHIND:
            self._drop(sockets, one)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if one.waiting else 0)
        if sockets.get_key(one.socket).events != wanted:
            sockets.modify(one.socket, wanted, one)

    def _attend(self, sockets: selectors.BaseSelector) -> None:
        """Write to those who can take more, let those go who left; until it is time to look at Redis again."""
        until = time.monotonic() + (_SOON if self._coming else self._poll)
        while (left := until - time.monotonic()) > 0:
            if not sockets.get_map():
                time.sleep(left)
                return
            for key, events in sockets.select(left):
                one: Listener = key.data
                if events & selectors.EVENT_WRITE:
                    self._flush(sockets, one)
                if events & selectors.EVENT_READ and not one.gone and self._left(one):
                    self._drop(sockets, one)

    @staticmethod
    def _left(one: Listener) -> bool:
        assert one.socket is not None
        try:
            return not one.socket.recv(4096)  # whatever a listener still says is not for us
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _drop(self, sockets: selectors.BaseSelector, one: Listener) -> None:
        one.gone = True
        self._listeners.discard(one)
        assert one.socket is not None
        with suppress(KeyError, ValueError):
            sockets.unregister(one.socket)
        one.socket.close()


def _event(entry_id: str, fields: Mapping[str, str]) -> bytes:
    body = json.dumps(dict(fields), ensure_ascii=False)
    return f"id: {entry_id}\nevent: bonus\ndata: {body}\n\n".encode()
