"""Errors whose message is meant for the person at the screen.

A `UserError` carries one or two plain sentences: what is wrong and what to do. The command line
prints it in one line and exits with 2; a page shows it in a box. Anything else is a bug.
"""


class UserError(Exception):
    """Something the user can understand and put right; `str(error)` is the whole message."""


class PhotoError(UserError):
    """An upload that is not a picture we can safely read."""


class DataError(UserError):
    """Food-11 (or a stand-in) is missing, or not laid out in a way we know."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged or not the one its manifest describes."""


class ConfigError(UserError):
    """A setting, or a combination of settings, that cannot work."""


class LossError(ConfigError):
    """A training whose loss is no longer a number."""


class JobError(UserError):
    """A training that cannot be queued, stopped, resumed or deleted, and why."""


class ClassroomError(UserError):
    """Something that cannot be done in a class's room, and why."""
