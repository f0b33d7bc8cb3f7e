"""A class's room: who counts, who may lead, what is forgotten; what strangers send."""

import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.charts.numbers import THIN
from core.classroom import (
    Attempts,
    Place,
    Point,
    Question,
    Rooms,
    Spot,
    Tally,
    Timing,
    read_code,
)
from core.classroom import chart as devices
from core.classroom import rooms as limits
from core.errors import ClassroomError
from core.stats import Score, wilson

LECTURER = "a" * 32
PLACE = Place("pruning", "guess_curve", "dwpw_256k")
QUESTION = Question(PLACE, "How does accuracy fall?", [("line", "evenly"), ("cliff", "at once")])


class Clock:
    """A time that only the test moves."""

    at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rooms(tmp_path: Path, clock: Clock) -> Rooms:
    return Rooms(tmp_path, clock)


@pytest.fixture
def code(rooms: Rooms) -> str:
    """A room with a question and three pupils: ann, bob, cy."""
    made = rooms.create(LECTURER)
    rooms.ask(made, QUESTION)
    for pupil in ("ann", "bob", "cy"):
        rooms.join(made, pupil)
    return made


def tally(rooms: Rooms, code: str, pupil: str = "") -> Tally:
    counted = rooms.tally(code, PLACE, pupil)
    assert counted is not None
    return counted


def version(rooms: Rooms, code: str) -> int | None:
    room = rooms.room(code)
    assert room is None or rooms.pulse(room.door) is not None
    return room.version if room else None


def test_the_last_guess_before_the_answer_is_opened_counts_once_for_each_pupil(
    rooms: Rooms, code: str
) -> None:
    assert rooms.guess(code, "ann", PLACE, "line")
    assert rooms.guess(code, "bob", PLACE, "line")
    assert rooms.guess(code, "ann", PLACE, "cliff")  # she thinks again
    assert not rooms.guess(code, "cy", PLACE, None)  # the room holds the answer back
    seen = tally(rooms, code, "ann")
    assert (seen.counts, seen.own, seen.is_open) == ({"line": 1, "cliff": 1}, "cliff", False)
    rooms.open(code, LECTURER, PLACE)
    assert not rooms.guess(code, "bob", PLACE, "cliff") and not rooms.guess(
        code, "cy", PLACE, "line"
    )
    rooms.withdraw(code, "bob", PLACE)
    seen = tally(rooms, code, "cy")
    assert (seen.counts, seen.own, seen.is_open) == ({"line": 1, "cliff": 1}, None, True)


def test_where_answers_are_not_held_the_first_guess_counts(rooms: Rooms, code: str) -> None:
    assert rooms.guess(code, "ann", PLACE, "line")
    rooms.hold(code, LECTURER, False)  # now ann sees the answer
    assert not rooms.guess(code, "ann", PLACE, "cliff")
    assert rooms.guess(code, "bob", PLACE, "cliff") and not rooms.guess(code, "bob", PLACE, "line")
    assert rooms.guess(code, "cy", PLACE, None) and not rooms.guess(code, "cy", PLACE, "cliff")
    rooms.hold(code, LECTURER, True)  # who has seen the answer cannot change a guess any more
    assert not rooms.guess(code, "bob", PLACE, "line") and not rooms.guess(
        code, "cy", PLACE, "line"
    )
    assert tally(rooms, code).counts == {"line": 1, "cliff": 1}


def test_a_guess_can_be_taken_back_until_its_answer_is_seen(rooms: Rooms, code: str) -> None:
    rooms.guess(code, "ann", PLACE, "line")
    rooms.withdraw(code, "ann", PLACE)
    assert tally(rooms, code, "ann").total == 0
    rooms.hold(code, LECTURER, False)
    rooms.guess(code, "ann", PLACE, "line")
    rooms.withdraw(code, "ann", PLACE)
    assert tally(rooms, code, "ann").own == "line"


def test_guesses_about_other_settings_are_counted_apart(rooms: Rooms, code: str) -> None:
    other = PLACE._replace(about="resnet18")
    rooms.ask(code, QUESTION._replace(place=other))
    rooms.guess(code, "ann", PLACE, "line")
    rooms.guess(code, "ann", other, "cliff")
    rooms.guess(code, "bob", other, "cliff")
    assert [(each.question.place.about, each.counts) for each in rooms.tallies(code, "ann")] == [
        ("resnet18", {"line": 0, "cliff": 2}),
        ("dwpw_256k", {"line": 1, "cliff": 0}),
    ]
    assert [each.own for each in rooms.tallies(code, "ann")] == ["cliff", "line"]


def test_the_histogram_is_that_of_an_independent_count(rooms: Rooms, code: str) -> None:
    draw = random.Random(0)
    last: dict[str, str] = {}
    for _turn in range(30):
        pupil, option = draw.choice(["ann", "bob", "cy"]), draw.choice(["line", "cliff"])
        rooms.guess(code, pupil, PLACE, option)
        last[pupil] = option
        expected = Counter(last.values())
        assert tally(rooms, code).counts == {"line": expected["line"], "cliff": expected["cliff"]}


def test_a_browser_that_says_its_name_late_is_one_pupil(rooms: Rooms, code: str) -> None:
    rooms.guess(code, "ann", PLACE, "line")
    rooms.join(code, "ann's browser", former="ann")
    assert rooms.pupils(code) == 3
    assert rooms.guess(code, "ann's browser", PLACE, "cliff")
    rooms.join(code, "bob")
    rooms.guess(code, "bob", PLACE, "line")
    rooms.join(code, "ann's browser", former="bob")  # both have guessed: the browser's counts
    assert (rooms.pupils(code), tally(rooms, code).counts) == (2, {"line": 0, "cliff": 1})


@pytest.mark.parametrize(
    "secret", ["", "b" * 32, "a" * 31, "ann", "A" * 32, "' OR 1=1 --", "\udc80"]
)
def test_only_the_lecturer_leads(rooms: Rooms, code: str, secret: str) -> None:
    for lead in (
        lambda: rooms.open(code, secret, PLACE),
        lambda: rooms.hold(code, secret, False),
        lambda: rooms.send(code, secret, "pruning", {}),
        lambda: rooms.new_link(code, secret),
        lambda: rooms.trust(code, secret, "ann"),
        lambda: rooms.end(code, secret),
    ):
        with pytest.raises(ClassroomError, match="Only the lecturer"):
            lead()
    assert not rooms.leads(code, secret) and rooms.leads(code, LECTURER)
    assert version(rooms, code) == 1 and not tally(rooms, code).is_open


def test_the_lecturer_of_one_room_is_nobody_in_another(rooms: Rooms, code: str) -> None:
    other = rooms.create("c" * 32)
    assert not rooms.leads(other, LECTURER) and not rooms.leads(code, "c" * 32)


def test_a_private_link_makes_another_browser_lead_until_a_new_one_is_made(
    rooms: Rooms, code: str
) -> None:
    first = rooms.new_link(code, LECTURER)
    rooms.trust(code, first, "d" * 32)
    assert rooms.leads(code, "d" * 32) and rooms.leads(code, first) and len(first) >= 20
    second = rooms.new_link(code, LECTURER)
    assert not rooms.leads(code, first) and rooms.leads(code, second)
    for number in range(24):
        rooms.trust(code, second, f"browser {number}")
    assert rooms.leads(code, second)


def test_neither_names_nor_secrets_are_written(rooms: Rooms, code: str, tmp_path: Path) -> None:
    token = rooms.new_link(code, LECTURER)
    rooms.guess(code, "ann", PLACE, "line")
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"guess_curve" in files
    for secret in (LECTURER, token, "ann"):
        assert secret.encode() not in files


def test_a_room_that_is_ended_leaves_nothing(rooms: Rooms, code: str, tmp_path: Path) -> None:
    rooms.guess(code, "ann", PLACE, "line")
    rooms.end(code, LECTURER)
    assert version(rooms, code) is None and rooms.room(code) is None
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"guess_curve" not in files and code.encode() not in files
    with pytest.raises(ClassroomError, match="ended"):
        rooms.join(code, "ann")


def test_a_room_is_forgotten_after_a_day(
    rooms: Rooms, code: str, clock: Clock, tmp_path: Path
) -> None:
    clock.at += limits.DAY_S - 1
    rooms.forget_old()
    assert version(rooms, code) == 1
    clock.at += 2
    assert version(rooms, code) is None and rooms.room(code) is None
    assert not rooms.leads(code, LECTURER)
    for late in (lambda: rooms.guess(code, "ann", PLACE, "line"), lambda: rooms.tallies(code)):
        with pytest.raises(ClassroomError, match="ended"):
            late()
    rooms.forget_old()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"guess_curve" not in files


def test_the_pulse_tells_of_every_change_and_of_the_end(rooms: Rooms, code: str) -> None:
    room = rooms.room(code)
    assert room is not None and rooms.pulse(code) is None and rooms.pulse("' OR 1=1 --") is None
    seen = [rooms.pulse(room.door)]
    for change in (
        lambda: rooms.guess(code, "ann", PLACE, "line"),
        lambda: rooms.withdraw(code, "ann", PLACE),
        lambda: rooms.join(code, "dan"),
        lambda: rooms.open(code, LECTURER, PLACE),
        lambda: rooms.hold(code, LECTURER, False),
        lambda: rooms.send(code, LECTURER, "pruning", {}),
        lambda: rooms.end(code, LECTURER),
    ):
        change()
        seen.append(rooms.pulse(room.door))
    assert len(set(seen)) == len(seen) and seen[-1] is None
    versions = [pulse[0] for pulse in seen[:-1] if pulse is not None]
    assert versions == [1, 1, 1, 1, 2, 3, 4]  # what pupils need not see leaves the version


def test_settings_travel_with_the_page_to_which_a_room_is_sent(rooms: Rooms, code: str) -> None:
    before = rooms.room(code)
    assert before is not None and (before.holds, before.sent, before.page) == (True, 0, "")
    rooms.send(code, LECTURER, "low_rank", {"R": ["12"], "tab": ["why"]})
    after = rooms.room(code)
    assert after is not None and after.version > before.version
    assert (after.sent, after.page) == (1, "low_rank")
    assert after.settings == {"R": ["12"], "tab": ["why"]}


def test_what_strangers_send_is_refused(rooms: Rooms, code: str) -> None:
    for place in (
        Place("pruning", "guess_speed"),
        PLACE._replace(about="x"),
        Place("'; DROP TABLE rooms --", "guess_curve"),
        Place("pruning", "guess_curve", "dwpw_256k" * 1000),
    ):
        with pytest.raises(ClassroomError, match="does not know that question"):
            rooms.guess(code, "ann", place, "line")
    for option in ("", "LINE", "line ", "show", "1e999", "line' --", "x" * 100_000):
        with pytest.raises(ClassroomError, match="not one of the question's"):
            rooms.guess(code, "ann", PLACE, option)
    with pytest.raises(ClassroomError, match="Join the room first"):
        rooms.guess(code, "a stranger", PLACE, "line")
    for wrong in (
        "",
        "BBBBBB",
        code.lower(),
        f"{code} ",
        "' OR 1=1 --",
        "B" * 10_000,
        "\udc80" * 6,
    ):
        assert version(rooms, wrong) is None and rooms.room(wrong) is None
        assert not rooms.leads(wrong, LECTURER)
    for page, key in (
        ("", "k"),
        ("p", ""),
        ("p" * 41, "k"),
        ("p", "k k"),
        ("../p", "k"),
        ("p", "K"),
    ):
        with pytest.raises(ClassroomError, match="no such question"):
            rooms.ask(code, QUESTION._replace(place=Place(page, key)))
    for options in ([], [("a", "A"), ("a", "B")], [(str(n), "n") for n in range(13)]):
        with pytest.raises(ClassroomError, match="different options"):
            rooms.ask(code, QUESTION._replace(options=options))
    with pytest.raises(ClassroomError, match="too many settings"):
        rooms.send(code, LECTURER, "pruning", {"x": ["y" * 5000]})
    assert tally(rooms, code).total == 0 and version(rooms, code) == 1


def test_what_is_kept_is_bounded(rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_PUPILS", 4)
    monkeypatch.setattr(limits, "MOST_QUESTIONS", 2)
    monkeypatch.setattr(limits, "MOST_ROOMS", 1)
    rooms.join(code, "dan")
    rooms.join(code, "ann")  # she is there already
    with pytest.raises(ClassroomError, match="full"):
        rooms.join(code, "eve")
    rooms.ask(code, QUESTION._replace(place=Place("p", "k", "long" * 1000), text="t" * 9999))
    rooms.guess(code, "ann", Place("p", "k", "long" * 1000), "line")
    with pytest.raises(ClassroomError, match="as many questions"):
        rooms.ask(code, QUESTION._replace(place=Place("p", "another")))
    with pytest.raises(ClassroomError, match="no room left"):
        rooms.create(LECTURER)
    assert max(len(each.question.text) for each in rooms.tallies(code)) <= 500


def test_the_newest_time_of_a_device_counts_for_each_network(rooms: Rooms, code: str) -> None:
    rooms.report(code, "ann", "net, 8 bits", "phone", 40)
    rooms.report(code, "ann", "net, 8 bits", "tablet", 30.5)
    rooms.report(code, "ann", "net", "phone", 20.0)
    rooms.report(code, "bob", "net, 8 bits", "computer", 5)
    rooms.report(code, LECTURER, "net", "computer", 4)
    assert rooms.timings(code, "ann") == [
        Timing("net", "computer", 4, False),
        Timing("net, 8 bits", "computer", 5, False),
        Timing("net", "phone", 20, True),
        Timing("net, 8 bits", "tablet", 30.5, True),
    ]
    rooms.report(code, "cy", "net", "phone", 1)  # one browser, under the name it had before ...
    rooms.join(code, "dan")
    rooms.report(code, "dan", "net", "phone", 2)
    rooms.join(code, "dan", former="cy")  # ... is one device
    assert [each.ms for each in rooms.timings(code) if each.about == "net"] == [1, 4, 20]
    rooms.leave(code, "dan")
    rooms.leave(code, "ann")
    assert [each.ms for each in rooms.timings(code)] == [4, 5]


def test_times_that_cannot_be_right_are_refused(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [0, -1, 0.009, 60_001, 1e308, 10**400, float("nan"), float("inf"), True, None, "5", [5]]
    for ms in wrong:
        with pytest.raises(ClassroomError, match="cannot be right"):
            rooms.report(code, "ann", "net", "phone", ms)  # type: ignore[arg-type]
    for device in ("", "Phone", "toaster", "phone' --", "p" * 100_000):
        with pytest.raises(ClassroomError, match="cannot be right"):
            rooms.report(code, "ann", "net", device, 5)
    for secret in ("a stranger", ""):
        with pytest.raises(ClassroomError, match="Join the room first"):
            rooms.report(code, secret, "net", "phone", 5)
    assert rooms.timings(code) == []
    monkeypatch.setattr(limits, "MOST_TIMINGS", 2)
    for about in ("a" * 1000, "b", "b"):
        rooms.report(code, "ann", about, "phone", 5)
    with pytest.raises(ClassroomError, match="as many times"):
        rooms.report(code, "ann", "c", "phone", 5)
    assert sorted(each.about for each in rooms.timings(code)) == ["a" * 200, "b"]


def test_times_go_with_the_room(rooms: Rooms, code: str, clock: Clock, tmp_path: Path) -> None:
    rooms.report(code, "ann", "a network of its own", "phone", 5)
    room = rooms.room(code)
    assert room is not None
    before = rooms.pulse(room.door)
    rooms.report(code, "ann", "a network of its own", "phone", 6)
    after = rooms.pulse(room.door)
    assert before and after and after[0] == before[0] and after[1] > before[1]
    clock.at += limits.DAY_S + 1
    with pytest.raises(ClassroomError, match="ended"):
        rooms.timings(code)
    rooms.forget_old()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"a network of its own" not in files


def test_a_measured_point_counts_once_however_many_had_it_measured(rooms: Rooms, code: str) -> None:
    half = Spot("pruning", "net", "l1", 0.5)
    rooms.measured(code, "ann", half, 30, 100)
    rooms.measured(code, "ann", half, 41, 100)  # the newest of one browser
    rooms.measured(code, "bob", half, 41, 100)
    rooms.measured(code, LECTURER, half._replace(method="random"), 9, 100)
    rooms.measured(code, "bob", half._replace(x=0.25), 60, 100)
    rooms.measured(code, "bob", Spot("quantization", "net", "kmeans", 4), 70, 100)
    assert rooms.points(code, "bob") == [
        Point(half._replace(x=0.25), 100, 60, 1, True),
        Point(half, 100, 41, 2, True),
        Point(half._replace(method="random"), 100, 9, 1, False),
        Point(Spot("quantization", "net", "kmeans", 4), 100, 70, 1, True),
    ]
    rooms.join(code, "dan", former="bob")  # one browser, under another name: one of the class
    assert [point.pupils for point in rooms.points(code)] == [1, 2, 1, 1]
    rooms.leave(code, "dan")
    assert [(point.spot.method, point.pupils) for point in rooms.points(code)] == [
        ("l1", 1),
        ("random", 1),
    ]


def test_points_that_cannot_be_right_are_refused(
    rooms: Rooms, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = Spot("pruning", "net", "l1", 0.5)
    wrong = [(half, 5, 0), (half, -1, 5), (half, 6, 5), (half, 0, 2**31)]
    wrong += [(half._replace(x=x), 1, 5) for x in (float("nan"), float("inf"))]
    wrong += [(half._replace(page=page), 1, 5) for page in ("", "../x", "Pruning")]
    for spot, correct, n in wrong:
        with pytest.raises(ClassroomError, match="cannot be right"):
            rooms.measured(code, "ann", spot, correct, n)
    for secret in ("a stranger", ""):
        with pytest.raises(ClassroomError, match="Join the room first"):
            rooms.measured(code, secret, half, 1, 5)
    assert rooms.points(code) == []
    monkeypatch.setattr(limits, "MOST_POINTS", 2)
    for network in ("a" * 1000, "b", "b"):
        rooms.measured(code, "ann", half._replace(network=network), 1, 5)
    with pytest.raises(ClassroomError, match="as many points"):
        rooms.measured(code, "ann", half._replace(network="c"), 1, 5)
    assert [point.spot.network for point in rooms.points(code)] == ["a" * 200, "b"]


def test_points_go_with_the_room(rooms: Rooms, code: str, clock: Clock, tmp_path: Path) -> None:
    room = rooms.room(code)
    assert room is not None
    before = rooms.pulse(room.door)
    rooms.measured(code, "ann", Spot("pruning", "a network of its own", "l1", 0.5), 1, 5)
    after = rooms.pulse(room.door)
    assert before and after and after[0] == before[0] and after[1] > before[1]
    clock.at += limits.DAY_S + 1
    with pytest.raises(ClassroomError, match="ended"):
        rooms.points(code)
    rooms.forget_old()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"a network of its own" not in files


def test_the_chart_has_a_star_a_point_over_the_cached_curve() -> None:
    half = Spot("pruning", "net", "l1", 0.5)
    points = [Point(half, 100, 41, 2, False), Point(half._replace(x=0.9), 100, 9, 1, True)]
    curve = [(1.0, Score.of(5, 100)), (0.0, Score.of(80, 100))]
    spec = devices.points_chart(points, curve, devices.Axis("Pruning ratio", 0, 1, True))
    named = [layer["data"] for layer in spec["layer"] if "values" in layer["data"]]
    rows = {data["name"]: data["values"] for data in named}
    assert [(row["x"], row["accuracy"]) for row in rows["before"]] == [(0.0, 0.8), (1.0, 0.05)]
    low, high = wilson(41, 100)
    first, last = rows["points"]
    assert (first["accuracy"], first["low"], first["high"]) == (0.41, low, high)
    assert (first["by"], first["own"], last["own"]) == ("2 of the class", "", "yours")


def test_the_chart_has_a_row_a_kind_and_a_line_where_three_devices_are() -> None:
    phones = [Timing("net", "phone", ms, ms == 30.0) for ms in (10.0, 30.0, 500.0)]
    spec = devices.devices_chart([*phones, Timing("net", "computer", 2.0, False)])
    rows = [layer["data"]["values"] for layer in spec["layer"] if "values" in layer["data"]]
    middles, marks = rows
    assert middles == [{"title": "3 phones", "ms": 30.0}]
    assert [(row["title"], row["ms"], row["own"]) for row in marks] == [
        ("3 phones", 10.0, ""),
        ("3 phones", 30.0, "your device"),
        ("3 phones", 500.0, ""),
        ("1 computer", 2.0, ""),
    ]
    assert marks[3]["text"] == f"2.00{THIN}ms: 500 pictures a second"
    low, high = spec["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert low < 2 and high > 500
    for ms in (limits.FASTEST_MS, limits.SLOWEST_MS):  # the ends of what a room takes
        spec = devices.devices_chart([Timing("net", "phone", ms, False)])
        low, high = spec["layer"][1]["encoding"]["x"]["scale"]["domain"]
        assert low <= ms <= high and low < high


def test_a_damaged_file_is_explained(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path)
    code = rooms.create(LECTURER)
    for file in tmp_path.iterdir():
        file.write_bytes(b"no database at all " * 300)
    with pytest.raises(ClassroomError, match="cannot be used"):
        version(rooms, code)


@pytest.mark.parametrize(
    ("typed", "code"),
    [("BCDFGH", "BCDFGH"), (" bcd-fgh ", "BCDFGH"), ("b c d f g h", "BCDFGH"), ("BCDFG", None),
     ("BCDFGHJ", None), ("BCDFG0", None), ("AEIOUY", None), ("", None), ("ＢＣＤＦＧＨ", None),
     ("BCD FGHBCDFGH", None), ("B" * 10**6, None)],
)  # fmt: skip
def test_codes_are_read_as_people_type_them(typed: str, code: str | None) -> None:
    assert read_code(typed) == code


def test_codes_are_many_and_drawn_at_random(rooms: Rooms) -> None:
    assert len(limits.LETTERS) ** limits.CODE_LENGTH > 30_000_000
    assert not set(limits.LETTERS) & set("AEIOU01LQ")
    codes = {rooms.create(LECTURER) for _room in range(20)}
    assert len(codes) == 20 and len({code[0] for code in codes}) > 4
    assert all(read_code(code) == code for code in codes)


def test_codes_cannot_be_tried_one_after_another() -> None:
    clock = Clock()
    tries = Attempts(per_session=3, per_address=5, together=8, window_s=60, clock=clock)
    assert [tries.claim("s", "10.0.0.1") is not None for _try in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert [tries.claim(f"t{n}", "10.0.0.1") is not None for n in range(4)] == [True] * 2 + [
        False
    ] * 2
    assert [tries.claim(f"u{n}", None) is not None for n in range(5)] == [True] * 3 + [False] * 2
    clock.at += 61
    right = tries.claim("s", "10.0.0.1")
    assert right is not None
    for _try in range(20):  # what was right does not count
        tries.forgive(right)
        right = tries.claim("s", "10.0.0.1")
        assert right is not None


WRITER = """
import sys
from pathlib import Path
from core.classroom import Place, Rooms
folder, code, name = sys.argv[1:]
rooms = Rooms(Path(folder))
for number in range(30):
    rooms.join(code, f"{name}{number}")
    for option in ("line", "cliff"):
        rooms.guess(code, f"{name}{number}", Place("pruning", "guess_curve", "dwpw_256k"), option)
"""


def test_two_servers_write_at_once_and_a_new_one_reads_it(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path)
    code = rooms.create(LECTURER)
    rooms.ask(code, QUESTION)
    repo = Path(__file__).resolve().parents[3]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), code, name], cwd=repo)
        for name in ("left", "right")
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    restarted = Rooms(tmp_path)
    assert tally(restarted, code).counts == {"line": 0, "cliff": 60}
    assert restarted.leads(code, LECTURER) and restarted.pupils(code) == 60


@pytest.mark.slow
def test_forty_pupils_guess_within_five_seconds(tmp_path: Path) -> None:
    """All are counted once; the histogram is right two seconds later at the latest."""
    rooms = Rooms(tmp_path)
    code = rooms.create(LECTURER)
    rooms.ask(code, QUESTION)
    draw, door = random.Random(1), rooms.room(code).door  # type: ignore[union-attr]
    begin = time.monotonic()
    plans = [(n, [draw.uniform(0, 5) for _guess in range(3)]) for n in range(40)]

    def pupil(plan: tuple[int, list[float]]) -> tuple[str, list[float]]:
        number, moments = plan
        rooms.join(code, f"pupil {number}")
        waits, option = [], ""
        for moment in sorted(moments):
            time.sleep(max(0.0, begin + moment - time.monotonic()))
            option = random.Random(f"{number} {moment}").choice(["line", "cliff"])
            started = time.monotonic()
            assert rooms.guess(code, f"pupil {number}", PLACE, option)
            assert rooms.pulse(door) is not None
            waits.append(time.monotonic() - started)
        return option, waits

    with ThreadPoolExecutor(40) as pool:
        done = list(pool.map(pupil, plans))
    expected = Counter(option for option, _waits in done)
    assert tally(rooms, code).counts == {option: expected[option] for option in ("line", "cliff")}
    assert tally(rooms, code).total == 40
    waits = sorted(wait for _option, each in done for wait in each)
    assert waits[int(0.95 * len(waits))] < 1.0
