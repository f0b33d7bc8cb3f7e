"""A class in one room: forty guesses, one answer opened for all. Knows no page and no concept."""

from core.classroom.attempts import Attempts
from core.classroom.rooms import (
    LONGEST_ABOUT,
    Place,
    Question,
    Room,
    Rooms,
    Tally,
    read_code,
)

__all__ = [
    "LONGEST_ABOUT",
    "Attempts",
    "Place",
    "Question",
    "Room",
    "Rooms",
    "Tally",
    "read_code",
]
