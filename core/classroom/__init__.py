"""A class in one room: forty guesses, one answer opened for all. Knows no page and no concept."""

from core.classroom.attempts import Attempts
from core.classroom.rooms import (
    DEVICES,
    LONGEST_ABOUT,
    Device,
    Place,
    Point,
    Question,
    Room,
    Rooms,
    Spot,
    Tally,
    Timing,
    read_code,
)

__all__ = [
    "DEVICES",
    "LONGEST_ABOUT",
    "Attempts",
    "Device",
    "Place",
    "Point",
    "Question",
    "Room",
    "Rooms",
    "Spot",
    "Tally",
    "Timing",
    "read_code",
]
