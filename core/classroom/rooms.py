"""The rooms of classes: one SQLite file, shared by every server on its folder.

A lecturer opens a room; pupils join by its code. Every guess goes to the room and counts once per
pupil and question: the last one before the pupil could see the answer. Where the room *holds*
answers, nobody sees one until the lecturer opens it for all; else each pupil's first guess opens
it, and counts. The lecturer may also send everybody to a page with its settings. And everybody may
send how fast a network ran on the own device: the newest time counts for each network. What a
pupil had measured on this server, such as the accuracy at a pruning ratio, goes to the room as a
point of a curve, and a point counts once however many had it measured.

A room is forgotten a day after it was made, or at once when its lecturer ends it. Nothing in the
file says who somebody is: a pupil is a hash of a secret that the browser drew at random, salted
with the room, so that the same browser is somebody else in the next room. Of the lecturer's secrets
only such hashes are kept, too. What comes from strangers is bounded in length and number, and every
statement takes it as a parameter.
"""

import hashlib
import hmac
import json
import math
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from filelock import Timeout

from core.database import Database
from core.errors import ClassroomError
from core.i18n import _
from core.paths import remedy

FILE = "classroom-3.sqlite3"
"""A version with other tables takes another name: what is in there lives for a day only."""
DAY_S = 24 * 3600.0

LETTERS = "BCDFGHJKMNPRSTVWXZ"
"""None looks like another or like a digit, and without vowels they spell no word."""
CODE_LENGTH = 6

MOST_ROOMS = 500
MOST_PUPILS = 600
MOST_QUESTIONS = 300
MOST_OPTIONS = 12
LONGEST_SECRET = 100
LONGEST_ABOUT = 200
LONGEST_TEXT = 500
LONGEST_SETTINGS = 4000
MOST_TIMINGS = 40
"""Of one browser."""
MOST_POINTS = 60
"""Of one browser."""
FASTEST_MS, SLOWEST_MS = 0.01, 60_000.0
"""What a network takes for a picture on any device; other times are nonsense."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)

_SCHEMA = """
CREATE TABLE rooms (
    code TEXT PRIMARY KEY,
    salt TEXT NOT NULL,
    door TEXT NOT NULL UNIQUE,         -- where browsers in the room ask for news
    made REAL NOT NULL,                -- seconds since the epoch
    version INTEGER NOT NULL,          -- grows with every change that pupils must see
    activity INTEGER NOT NULL DEFAULT 0,  -- grows with every pupil, guess, time and point
    holds INTEGER NOT NULL,            -- 1: answers wait for the lecturer
    sent INTEGER NOT NULL DEFAULT 0,   -- how often the lecturer has sent everybody to a page
    page TEXT NOT NULL DEFAULT '',     -- the last of these pages
    settings TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE TABLE lecturers (               -- hashes of secrets that may lead the room
    room TEXT NOT NULL REFERENCES rooms (code) ON DELETE CASCADE,
    secret TEXT NOT NULL,
    is_link INTEGER NOT NULL,          -- 1: the private link's, 0: a browser's
    PRIMARY KEY (room, secret)
) WITHOUT ROWID;
CREATE TABLE pupils (
    room TEXT NOT NULL REFERENCES rooms (code) ON DELETE CASCADE,
    pupil TEXT NOT NULL,               -- a hash
    PRIMARY KEY (room, pupil)
) WITHOUT ROWID;
CREATE TABLE questions (
    id INTEGER PRIMARY KEY,
    room TEXT NOT NULL REFERENCES rooms (code) ON DELETE CASCADE,
    page TEXT NOT NULL,
    key TEXT NOT NULL,
    about TEXT NOT NULL,
    text TEXT NOT NULL,
    options TEXT NOT NULL,             -- JSON: [[value, words], ...]
    is_open INTEGER NOT NULL DEFAULT 0,
    UNIQUE (room, page, key, about)
);
CREATE TABLE guesses (
    question INTEGER NOT NULL REFERENCES questions (id) ON DELETE CASCADE,
    pupil TEXT NOT NULL,
    option TEXT,                       -- NULL: looked at the answer without a guess
    is_final INTEGER NOT NULL,         -- 1: the pupil could see the answer since
    PRIMARY KEY (question, pupil)
) WITHOUT ROWID;
CREATE TABLE timings (
    room TEXT NOT NULL REFERENCES rooms (code) ON DELETE CASCADE,
    pupil TEXT NOT NULL,               -- a hash; the lecturer's, too
    about TEXT NOT NULL,
    device TEXT NOT NULL,
    ms REAL NOT NULL,
    PRIMARY KEY (room, pupil, about)
) WITHOUT ROWID;
CREATE TABLE points (
    room TEXT NOT NULL REFERENCES rooms (code) ON DELETE CASCADE,
    pupil TEXT NOT NULL,               -- a hash; the lecturer's, too
    page TEXT NOT NULL,
    network TEXT NOT NULL,
    method TEXT NOT NULL,
    x REAL NOT NULL,
    n INTEGER NOT NULL,
    correct INTEGER NOT NULL,
    PRIMARY KEY (room, pupil, page, network, method, x)
) WITHOUT ROWID;
"""

Device = Literal["phone", "tablet", "computer"]
"""What kind of device a browser runs on."""
DEVICES: tuple[Device, ...] = get_args(Device)


class Room(NamedTuple):
    """What a room has set."""

    code: str
    door: str
    """Where browsers in the room ask for news: random, so that it tells nobody which codes are."""
    version: int
    holds: bool
    """Whether answers wait until the lecturer opens them."""
    sent: int
    """How often the lecturer has sent everybody to a page."""
    page: str
    """The last of these pages; empty before the first."""
    settings: dict[str, list[str]]
    """And its settings: parameter -> its values in a link."""


class Place(NamedTuple):
    """Which question: guesses on equal places are counted together."""

    page: str
    key: str
    about: str = ""
    """The settings that its answer depends on, such as the network; at most `LONGEST_ABOUT`
    characters."""


class Timing(NamedTuple):
    """How fast something ran on one device of the class."""

    about: str
    """What ran, such as a network's id and its format; at most `LONGEST_ABOUT` characters."""
    device: Device
    ms: float
    """Milliseconds a picture."""
    is_own: bool
    """Whether the browser that asks has sent it."""


class Spot(NamedTuple):
    """Where a measured point lies: which curve, and where on it."""

    page: str
    network: str
    """Id of a checkpoint; at most `LONGEST_ABOUT` characters."""
    method: str
    """What was done to it, as the page's room names it; at most `LONGEST_ABOUT` characters."""
    x: float
    """How much of it: a pruning ratio, bits, a share of the energy."""


class Point(NamedTuple):
    """What was measured at a spot, by so many of the class."""

    spot: Spot
    n: int
    """Test photographs."""
    correct: int
    pupils: int
    """How many had it measured; the point counts once."""
    is_own: bool
    """Whether the browser that asks is one of them."""


class Question(NamedTuple):
    """A question as the page asks it."""

    place: Place
    text: str
    options: Sequence[tuple[str, str]]
    """(value, words) of each guess on offer, in order."""


class Tally(NamedTuple):
    """What a class has guessed."""

    question: Question
    counts: dict[str, int]
    """Value of each option -> how many pupils guess it."""
    is_open: bool
    """Whether the lecturer has opened the answer for all."""
    own: str | None
    """What the pupil who asks has guessed, if that counts."""

    @property
    def total(self) -> int:
        """How many pupils have guessed."""
        return sum(self.counts.values())


def read_code(text: str) -> str | None:
    """The code that somebody typed, however they spaced it; None where it can be none."""
    letters = re.sub(r"[\s\-_.]", "", text[:40]).upper()
    is_code = len(letters) == CODE_LENGTH and set(letters) <= set(LETTERS)
    return letters if is_code else None


class Rooms:
    """The rooms in a folder. `now`: seconds since the epoch.

    All methods raise ClassroomError where the file cannot be used, the room is not there, or what
    is asked may not be done; `pulse`, `room` and `leads` answer None or False for no room.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._file = Database(folder / FILE, _SCHEMA)
        self._now = now

    def create(self, secret: str) -> str:
        """Make a room that the browser with this secret leads; its code."""
        with self._change() as base:
            (rooms,) = base.execute("SELECT count(*) FROM rooms").fetchone()
            if rooms >= MOST_ROOMS:
                raise ClassroomError(_("This server has no room left today. Try again tomorrow."))
            taken = {code for (code,) in base.execute("SELECT code FROM rooms")}
            while (code := _draw_code()) in taken:
                pass
            base.execute(
                "INSERT INTO rooms (code, salt, door, made, version, holds) "
                "VALUES (?, ?, ?, ?, 1, 1)",
                (code, secrets.token_hex(16), secrets.token_hex(16), self._now()),
            )
            _add_lecturer(base, code, secret, is_link=False)
        return code

    def end(self, code: str, secret: str) -> None:
        """Delete a room and all that was guessed in it."""
        with self._lead(code, secret) as base:
            base.execute("DELETE FROM rooms WHERE code = ?", (code,))
        self._wipe()

    def forget_old(self) -> None:
        """Delete the rooms whose day is over; each change does that, too."""
        if not self._file.exists():
            return
        with self._read() as base:
            oldest = base.execute("SELECT min(made) FROM rooms").fetchone()[0]
        if oldest is not None and oldest <= self._now() - DAY_S:
            with self._change():
                pass
            self._wipe()

    def pulse(self, door: str) -> tuple[int, int] | None:
        """The room's version, and a number that grows with every pupil, guess, time and point; None
        where there is no room behind this door any more.

        The one thing that every browser asks every few seconds: a single look into an index.
        """
        if not self._file.exists():
            return None
        with self._read() as base:
            row = base.execute(
                "SELECT version, activity FROM rooms WHERE door = ? AND made > ?",
                (door, self._now() - DAY_S),
            ).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def room(self, code: str) -> Room | None:
        """What the room has set; None where there is none."""
        if not self._file.exists() or read_code(code) != code:
            return None
        with self._read() as base:
            row = base.execute(
                "SELECT code, door, version, holds, sent, page, settings FROM rooms "
                "WHERE code = ? AND made > ?",
                (code, self._now() - DAY_S),
            ).fetchone()
        if row is None:
            return None
        code, door, version, holds, sent, page, settings = row
        return Room(code, door, version, bool(holds), sent, page, json.loads(settings))

    def pupils(self, code: str) -> int:
        """How many have joined."""
        with self._read() as base:
            row = base.execute("SELECT count(*) FROM pupils WHERE room = ?", (code,)).fetchone()
        return int(row[0])

    def join(self, code: str, secret: str, former: str = "") -> None:
        """Enter a room as the pupil with this secret; `former`: the same pupil until now."""
        with self._change() as base:
            salt = _salt(base, code)
            pupil = _hash(salt, secret)
            joined = base.execute(
                "SELECT count(*), coalesce(sum(pupil = ?), 0) FROM pupils WHERE room = ?",
                (pupil, code),
            ).fetchone()
            if joined[0] >= MOST_PUPILS and not joined[1]:
                raise ClassroomError(_("This room is full."))
            base.execute("INSERT OR IGNORE INTO pupils VALUES (?, ?)", (code, pupil))
            _grow(base, code, "activity")
            if former and former != secret:
                names = (_hash(salt, former), code)
                of_room = "pupil = ? AND question IN (SELECT id FROM questions WHERE room = ?)"
                base.execute(
                    f"UPDATE OR IGNORE guesses SET pupil = ? WHERE {of_room}", (pupil, *names)
                )
                base.execute(f"DELETE FROM guesses WHERE {of_room}", names)
                for table in ("timings", "points"):
                    base.execute(
                        f"UPDATE OR REPLACE {table} SET pupil = ? WHERE pupil = ? AND room = ?",
                        (pupil, *names),
                    )
                base.execute("DELETE FROM pupils WHERE pupil = ? AND room = ?", names)

    def leave(self, code: str, secret: str) -> None:
        """Take back that a browser is a pupil, with its guesses: it is the lecturer's."""
        with self._change() as base:
            names = (_hash(_salt(base, code), secret), code)
            base.execute(
                "DELETE FROM guesses WHERE pupil = ? AND "
                "question IN (SELECT id FROM questions WHERE room = ?)",
                names,
            )
            for table in ("timings", "points", "pupils"):
                base.execute(f"DELETE FROM {table} WHERE pupil = ? AND room = ?", names)

    def report(self, code: str, secret: str, about: str, device: str, ms: float) -> None:
        """Keep how fast something ran on a device; a newer time takes the place of an older one.

        `device`: one of `DEVICES`; `ms`: `FASTEST_MS` to `SLOWEST_MS`. Raises ClassroomError for
        other values, more than `MOST_TIMINGS`, and who has not joined and does not lead.
        """
        is_number = isinstance(ms, int | float) and not isinstance(ms, bool)
        if device not in DEVICES or not is_number or not FASTEST_MS <= ms <= SLOWEST_MS:
            raise ClassroomError(_("This time cannot be right. Measure it again."))
        with self._change() as base:
            pupil = _member(base, code, secret)
            base.execute(
                "INSERT OR REPLACE INTO timings VALUES (?, ?, ?, ?, ?)",
                (code, pupil, about[:LONGEST_ABOUT], device, float(ms)),
            )
            (kept,) = base.execute(
                "SELECT count(*) FROM timings WHERE room = ? AND pupil = ?", (code, pupil)
            ).fetchone()
            if kept > MOST_TIMINGS:
                raise ClassroomError(_("You have sent as many times as the room keeps."))
            _grow(base, code, "activity")

    def timings(self, code: str, secret: str = "") -> list[Timing]:
        """What devices of the class were measured, the fastest first."""
        if not self._file.exists():
            return []
        with self._read() as base:
            pupil = _hash(_salt(base, code, self._now() - DAY_S), secret)
            rows = base.execute(
                "SELECT about, device, ms, pupil = ? FROM timings WHERE room = ? ORDER BY ms",
                (pupil, code),
            ).fetchall()
        return [Timing(about, device, ms, bool(is_own)) for about, device, ms, is_own in rows]

    def measured(self, code: str, secret: str, spot: Spot, correct: int, n: int) -> None:
        """Keep what the server has measured for somebody; a newer result replaces an older one.

        Raises ClassroomError for what can be no result, more than `MOST_POINTS`, and who has not
        joined and does not lead.
        """
        page, network, method, x = spot
        if not (_NAME.fullmatch(page) and math.isfinite(x) and 0 <= correct <= n and 0 < n < 2**31):
            raise ClassroomError(_("This measurement cannot be right. Measure it again."))
        with self._change() as base:
            pupil = _member(base, code, secret)
            base.execute(
                "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (code, pupil, page, network[:LONGEST_ABOUT], method[:LONGEST_ABOUT], float(x), n,
                 correct),
            )  # fmt: skip
            (kept,) = base.execute(
                "SELECT count(*) FROM points WHERE room = ? AND pupil = ?", (code, pupil)
            ).fetchone()
            if kept > MOST_POINTS:
                raise ClassroomError(_("You have sent as many points as the room keeps."))
            _grow(base, code, "activity")

    def points(self, code: str, secret: str = "") -> list[Point]:
        """What the class had measured, each point once, curve by curve."""
        if not self._file.exists():
            return []
        with self._read() as base:
            pupil = _hash(_salt(base, code, self._now() - DAY_S), secret)
            rows = base.execute(
                "SELECT page, network, method, x, n, correct, count(*), max(pupil = ?) "
                "FROM points WHERE room = ? GROUP BY page, network, method, x, n, correct",
                (pupil, code),
            ).fetchall()
        return [
            Point(Spot(*where), n, correct, pupils, bool(is_own))
            for *where, n, correct, pupils, is_own in rows
        ]

    def ask(self, code: str, question: Question) -> None:
        """Let the room know a question that a page asks; only what it knows can be guessed."""
        place, text, options = question
        values = [value for value, _words in options]
        if not (_NAME.fullmatch(place.page) and _NAME.fullmatch(place.key)):
            raise ClassroomError(_("There is no such question."))
        if not 1 <= len(options) <= MOST_OPTIONS or len(set(values)) < len(values):
            raise ClassroomError(_("A question needs different options, {most} at most.").format(
                most=MOST_OPTIONS
            ))  # fmt: skip
        shown = json.dumps([[value[:40], words[:LONGEST_TEXT]] for value, words in options])
        with self._change() as base:
            _salt(base, code)
            (known,) = base.execute(
                "SELECT count(*) FROM questions WHERE room = ?", (code,)
            ).fetchone()
            if known >= MOST_QUESTIONS:
                raise ClassroomError(_("This room has as many questions as it can hold."))
            base.execute(
                "INSERT OR IGNORE INTO questions (room, page, key, about, text, options) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (code, place.page, place.key, place.about[:LONGEST_ABOUT], text[:LONGEST_TEXT],
                 shown),
            )  # fmt: skip

    def guess(self, code: str, secret: str, place: Place, option: str | None) -> bool:
        """Count a guess of a pupil who has joined; whether it counts.

        It does not once the pupil could see the answer. None: looks at the answer without a guess,
        which the room must not hold back. Raises ClassroomError for a question that the room does
        not know, an option that is not the question's, and a pupil who has not joined.
        """
        with self._change() as base:
            pupil = _hash(_salt(base, code), secret)
            (holds,) = base.execute("SELECT holds FROM rooms WHERE code = ?", (code,)).fetchone()
            if not base.execute(
                "SELECT 1 FROM pupils WHERE room = ? AND pupil = ?", (code, pupil)
            ).fetchone():
                raise ClassroomError(_("Join the room first."))
            id, options, is_open = _question(base, code, place)
            if option is not None and option not in (value for value, _words in options):
                raise ClassroomError(_("This guess is not one of the question's."))
            if is_open or (holds and option is None):
                return False
            changed = base.execute(
                "INSERT INTO guesses VALUES (?, ?, ?, ?) ON CONFLICT (question, pupil) DO UPDATE "
                "SET option = excluded.option, is_final = excluded.is_final WHERE NOT is_final",
                (id, pupil, option, int(not holds)),
            ).rowcount
            _grow(base, code, "activity")
        return changed == 1

    def withdraw(self, code: str, secret: str, place: Place) -> None:
        """Take a guess back that the pupil has not seen the answer to."""
        with self._change() as base:
            pupil = _hash(_salt(base, code), secret)
            id, _options, is_open = _question(base, code, place)
            if not is_open:
                base.execute(
                    "DELETE FROM guesses WHERE question = ? AND pupil = ? AND NOT is_final",
                    (id, pupil),
                )
                _grow(base, code, "activity")

    def tally(self, code: str, place: Place, secret: str = "") -> Tally | None:
        """What the class guesses, and what the pupil with this secret did; None where the room
        does not know the question."""
        return next(iter(self._tallies(code, secret, place)), None)

    def tallies(self, code: str, secret: str = "") -> list[Tally]:
        """All questions that somebody has guessed, or that are open, the newest first."""
        every = self._tallies(code, secret)
        return [tally for tally in every if tally.total or tally.is_open]

    def _tallies(self, code: str, secret: str, place: Place | None = None) -> list[Tally]:
        if not self._file.exists():
            return []
        chosen, values = "", [code]
        if place is not None:
            chosen = " AND page = ? AND key = ? AND about = ?"
            values += [place.page, place.key, place.about[:LONGEST_ABOUT]]
        with self._read() as base:
            pupil = _hash(_salt(base, code, self._now() - DAY_S), secret)
            rows = base.execute(
                "SELECT id, page, key, about, text, options, is_open FROM questions "
                f"WHERE room = ?{chosen} ORDER BY id DESC",
                values,
            ).fetchall()
            guesses = [
                base.execute(
                    "SELECT option, count(*), sum(pupil = ?) FROM guesses "
                    "WHERE question = ? AND option IS NOT NULL GROUP BY option",
                    (pupil, row[0]),
                ).fetchall()
                for row in rows
            ]
        tallies = []
        for (_id, page, key, about, text, options, is_open), counted in zip(
            rows, guesses, strict=True
        ):
            offered = [(value, words) for value, words in json.loads(options)]
            counts = {value: 0 for value, _words in offered}
            counts |= {option: count for option, count, _own in counted}
            own = next((option for option, _count, own in counted if own), None)
            question = Question(Place(page, key, about), text, offered)
            tallies.append(Tally(question, counts, bool(is_open), own))
        return tallies

    def leads(self, code: str, secret: str) -> bool:
        """Whether this secret, of a browser or of a private link, leads the room."""
        if self.room(code) is None:
            return False
        with self._read() as base:
            return _leads(base, code, secret, self._now() - DAY_S)

    def new_link(self, code: str, secret: str) -> str:
        """A secret for a private link; the former link's stops working."""
        token = secrets.token_urlsafe(16)
        with self._lead(code, secret) as base:
            base.execute("DELETE FROM lecturers WHERE room = ? AND is_link", (code,))
            _add_lecturer(base, code, token, is_link=True)
        return token

    def trust(self, code: str, token: str, secret: str) -> None:
        """Let the browser with this secret lead, too: it has opened the private link."""
        with self._lead(code, token) as base:
            base.execute(  # the browsers of one lecturer are few
                "DELETE FROM lecturers WHERE room = ? AND NOT is_link AND "
                "(SELECT count(*) FROM lecturers WHERE room = ?) > 20",
                (code, code),
            )
            _add_lecturer(base, code, secret, is_link=False)

    def hold(self, code: str, secret: str, holds: bool) -> None:
        """Let answers wait for the lecturer, or not. What was guessed stays as it is: without
        waiting, who has guessed sees the answer."""
        with self._lead(code, secret) as base:
            base.execute("UPDATE rooms SET holds = ? WHERE code = ?", (int(holds), code))
            if not holds:
                base.execute(
                    "UPDATE guesses SET is_final = 1 "
                    "WHERE question IN (SELECT id FROM questions WHERE room = ?)",
                    (code,),
                )
            _grow(base, code)

    def open(self, code: str, secret: str, place: Place) -> None:
        """Open the answer to a question for all: what was guessed until now counts."""
        with self._lead(code, secret) as base:
            id, _options, _is_open = _question(base, code, place)
            base.execute("UPDATE questions SET is_open = 1 WHERE id = ?", (id,))
            _grow(base, code)

    def send(self, code: str, secret: str, page: str, settings: Mapping[str, list[str]]) -> None:
        """Send everybody who follows to a page with these settings."""
        text = json.dumps(dict(settings))
        if not _NAME.fullmatch(page) or len(text) > LONGEST_SETTINGS:
            raise ClassroomError(_("This page has too many settings to send."))
        with self._lead(code, secret) as base:
            base.execute(
                "UPDATE rooms SET page = ?, settings = ?, sent = sent + 1 WHERE code = ?",
                (page, text, code),
            )
            _grow(base, code)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction in which no room is too old."""
        with self._explained(), self._file.change(is_synced=False) as base:
            base.execute("PRAGMA secure_delete = ON")  # what is deleted does not stay in the file
            base.execute("DELETE FROM rooms WHERE made <= ?", (self._now() - DAY_S,))
            yield base

    @contextmanager
    def _lead(self, code: str, secret: str) -> Iterator[sqlite3.Connection]:
        """A transaction that the lecturer alone may make."""
        with self._change() as base:
            _salt(base, code)
            if not _leads(base, code, secret):
                raise ClassroomError(_("Only the lecturer of this room can do that."))
            yield base

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._explained(), self._file.read() as base:
            yield base

    def _wipe(self) -> None:
        """Let the write-ahead log, too, forget what was deleted."""
        with self._read() as base:
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, Timeout) as error:
            path = self._file.path
            problem = _("The rooms of classes, {file}, cannot be used ({reason}).").format(
                file=path, reason=getattr(error, "strerror", None) or error
            )
            raise ClassroomError(f"{problem} {remedy(path)}".strip()) from error


def _draw_code() -> str:
    """34 million codes: `Attempts` lets nobody try more than a few."""
    return "".join(secrets.choice(LETTERS) for _letter in range(CODE_LENGTH))


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt} {secret[:LONGEST_SECRET]}".encode(errors="replace")).hexdigest()


def _salt(base: sqlite3.Connection, code: str, since: float = 0.0) -> str:
    row = base.execute(
        "SELECT salt FROM rooms WHERE code = ? AND made > ?", (code, since)
    ).fetchone()
    if row is None:
        raise ClassroomError(_("This room has ended."))
    return str(row[0])


def _leads(base: sqlite3.Connection, code: str, secret: str, since: float = 0.0) -> bool:
    mine = _hash(_salt(base, code, since), secret)
    known = base.execute("SELECT secret FROM lecturers WHERE room = ?", (code,)).fetchall()
    return any(hmac.compare_digest(mine, kept) for (kept,) in known)


def _member(base: sqlite3.Connection, code: str, secret: str) -> str:
    """The hash of who has joined the room or leads it. Raises ClassroomError for others."""
    pupil = _hash(_salt(base, code), secret)
    has_joined = base.execute(
        "SELECT 1 FROM pupils WHERE room = ? AND pupil = ?", (code, pupil)
    ).fetchone()
    if not has_joined and not _leads(base, code, secret):
        raise ClassroomError(_("Join the room first."))
    return pupil


def _add_lecturer(base: sqlite3.Connection, code: str, secret: str, is_link: bool) -> None:
    base.execute(
        "INSERT OR IGNORE INTO lecturers VALUES (?, ?, ?)",
        (code, _hash(_salt(base, code), secret), int(is_link)),
    )


def _question(
    base: sqlite3.Connection, code: str, place: Place
) -> tuple[int, list[list[str]], bool]:
    """(id, options, whether it is open)."""
    row = base.execute(
        "SELECT id, options, is_open FROM questions "
        "WHERE room = ? AND page = ? AND key = ? AND about = ?",
        (code, place.page, place.key, place.about[:LONGEST_ABOUT]),
    ).fetchone()
    if row is None:
        raise ClassroomError(_("This room does not know that question."))
    return int(row[0]), json.loads(row[1]), bool(row[2])


def _grow(
    base: sqlite3.Connection, code: str, what: Literal["version", "activity"] = "version"
) -> None:
    base.execute(f"UPDATE rooms SET {what} = {what} + 1 WHERE code = ?", (code,))
