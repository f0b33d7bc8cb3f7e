"""The way into a program, so that Ctrl-C ends it with one line and exit code 130 at every moment.

While modules are imported there is nothing to tidy up, and what an import makes of an interrupt is
anybody's guess: the program ends at once. A command that runs is interrupted as Python does it, so
that locks, files and children are seen to. A second Ctrl-C does not wait for that.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

STOPPED = 130


def console() -> NoReturn:
    """The installed command `small-plates`: `python -m core` from wherever it is called.

    The installed folder is on the path of this process and of those that it starts. The networks
    are not installed: they are those of the folder that it is called in, if it has some.
    """
    home = Path(__file__).resolve().parents[2]
    path = [str(home), *filter(None, [os.environ.get("PYTHONPATH")])]
    sys.path.insert(0, str(home))
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    beside = Path.cwd() / "pretrained"
    if not (home / "pretrained").is_dir() and beside.is_dir():
        os.environ.setdefault("SMALL_PLATES_PRETRAINED", str(beside))
    start("core.cli.main:main")


def start(main: str) -> NoReturn:
    """Run `module:function` with the command line's words; exits with the code that it returns."""
    state = _State()
    state.listen(state.end)
    module, function = main.split(":")
    run = getattr(import_module(module), function)
    state.listen(state.interrupt)
    sys.unraisablehook = state.unraisable
    try:
        code = run(sys.argv[1:])
    except BaseException as error:
        # whatever a library on the way made of it: an ImportError, a RuntimeError
        if not state.interrupted or isinstance(error, SystemExit):
            raise
        state.end()
    if state.interrupted and code:  # a line has been said: this, or what came of it
        state.announced = True
        state.end()
    state.listen(state.end)
    sys.exit(code)


class _State:
    """Whether the program has been interrupted, and whether that was announced."""

    def __init__(self) -> None:
        self.interrupted = self.announced = False
        # a shell starts what runs in the background deaf to Ctrl-C, and so it stays
        self.hears = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN

    def listen(self, handler: Callable[..., Any]) -> None:
        """What Ctrl-C does from here on."""
        if self.hears:
            signal.signal(signal.SIGINT, handler)

    def interrupt(self, *_signal: Any) -> None:
        """The first time, as an exception."""
        if self.interrupted:
            self.end()
        self.interrupted = True
        raise KeyboardInterrupt

    def end(self, *_signal: Any) -> NoReturn:
        """At once. Python's own way out would end an interrupted process by the signal, not 130."""
        if not self.announced:
            self.announced = True
            os.write(2, b"Stopped.\n")
        os._exit(STOPPED)

    def unraisable(self, raised: "sys.UnraisableHookArgs") -> None:
        """An exception that Python drops: in a `__del__`, or while a module is taken apart."""
        if self.interrupted and issubclass(raised.exc_type, KeyboardInterrupt):
            self.end()
        sys.__unraisablehook__(raised)
