"""How often codes may be tried: by one visitor, from one address, and by all together."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple


class Attempt(NamedTuple):
    """One try."""

    at: float
    session: str
    address: str | None
    """Where it came from; None where that is not known."""


class Attempts:
    """Counts the tries of the last `window_s` seconds, in memory: no address is ever written down.

    A class behind one router has one address, so its limit is far above a visitor's. Several
    servers on one folder count for themselves.
    """

    def __init__(
        self,
        per_session: int,
        per_address: int,
        together: int,
        window_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = per_session, per_address, together
        self._window_s, self._clock = window_s, clock
        self._kept: deque[Attempt] = deque()  # never more than `together`
        self._lock = Lock()

    def claim(self, session: str, address: str | None) -> Attempt | None:
        """Count a try before it is made; None where it may not be made."""
        now = self._clock()
        with self._lock:
            while self._kept and self._kept[0].at <= now - self._window_s:
                self._kept.popleft()
            mine = sum(attempt.session == session for attempt in self._kept)
            near = sum(attempt.address == address is not None for attempt in self._kept)
            per_session, per_address, together = self._most
            if mine >= per_session or near >= per_address or len(self._kept) >= together:
                return None
            attempt = Attempt(now, session, address)
            self._kept.append(attempt)
            return attempt

    def forgive(self, attempt: Attempt) -> None:
        """Take a try back that was right."""
        with self._lock:
            if attempt in self._kept:
                self._kept.remove(attempt)
