"""From the words on the command line to a command, and from its answer to the screen.

One module a command, imported only when it is asked for: `models --help` must not wait for torch.
A command is a dataclass: its fields are the options (tyro reads them), `run()` gives an `Answer`.
"""

import contextlib
import difflib
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from core.cli.answer import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, OK, Answer
from core.errors import UserError
from core.i18n import _
from core.paths import remedy

PROGRAM = "small-plates" if Path(sys.argv[0]).stem == "small-plates" else "python -m core"


class Runnable(Protocol):
    """What every command's dataclass offers."""

    def run(self) -> Answer:
        """Do the work; raises UserError for what the user can put right."""


class Entry(NamedTuple):
    """Where a command lives, and one line on what it does."""

    path: str
    """`module:class`"""
    summary: str


COMMANDS = {
    "serve": Entry("core.cli.app:Serve", "open the app; with --replicas, for a large class"),
    "models": Entry("core.cli.models:Models", "list the networks: parameters, MACs, bytes"),
    "summary": Entry("core.cli.models:Summary", "a network's layer table, as torchsummary prints"),
    "data": Entry("core.cli.data:Data", "which photographs are here; `data fetch` gets Food-11"),
    "train": Entry("core.cli.train:Train", "train a network: scratch, fine-tuned or distilled"),
    "runs": Entry("core.cli.train:Runs", "list the training runs on this machine"),
    "jobs": Entry("core.cli.jobs:Jobs", "the queue of trainings: list, stop, resume, delete"),
    "add": Entry("core.own.command:Add", "make a network's file, trained elsewhere, a checkpoint"),
    "evaluate": Entry(
        "core.cli.serve:Evaluate", "a checkpoint's accuracy on a split, measured now"
    ),
    "predict": Entry("core.cli.serve:Predict", "what the checkpoints see in your photos"),
    "explain": Entry("core.cli.serve:Explain", "where the checkpoints look in your photos"),
    "prune": Entry(
        "core.pruning.command:Prune", "prune a checkpoint: accuracy, bytes, time of each form"
    ),
    "prune-grid": Entry(
        "core.pruning.command:PruneGrid", "measure the curves that the pruning page shows"
    ),
    "quantize": Entry(
        "core.quantization.command:Quantize",
        "write a checkpoint with fewer bits: bytes, error, accuracy",
    ),
    "quantize-grid": Entry(
        "core.quantization.command:QuantizeGrid",
        "measure the rows that the quantisation page shows",
    ),
    "lowrank": Entry(
        "core.low_rank.command:LowRank", "factor a checkpoint's layers: accuracy, bytes, time"
    ),
    "lowrank-grid": Entry(
        "core.low_rank.command:LowRankGrid", "measure the curves that the low-rank page shows"
    ),
    "export": Entry("core.export.command:Export", "write a checkpoint as a file for a phone"),
    "publish-hub": Entry("core.export.hub:PublishHub", "put checkpoints on Hugging Face"),
    "reproduce": Entry("core.collection.command:Reproduce", "make the shipped checkpoints again"),
    "report": Entry("core.report.command:Reports", "count what a class's lab reports hold"),
    "check": Entry("core.cli.serve:Check", "prove that the shipped checkpoints are what they say"),
}


def main(
    arguments: Sequence[str], commands: Mapping[str, Entry] = COMMANDS, program: str = PROGRAM
) -> int:
    """Run one of `commands`; returns the exit code: 0 done, 1 the answer is no, 2 bad input.

    `program`: what stands before a command where one is called.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(arguments, commands, program)
        finally:
            sys.stdout.flush()  # here, where a closed pipe can still be answered quietly
    except KeyboardInterrupt:
        return _complain(_("Stopped."), INTERRUPTED)
    except BrokenPipeError:
        # The reader (`| head`) has gone. Python would complain once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except UserError as error:
        return _complain(str(error), BAD_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = f"{where}{(error.strerror or str(error)).rstrip('.')}. {remedy(error.filename)}"
        return _complain(reason, BAD_INPUT)


def overview(commands: Mapping[str, Entry], program: str) -> str:
    """The list of commands, for `--help`."""
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {entry.summary}" for name, entry in commands.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [options]",
            "",
            *lines,
            "",
            f"{program} COMMAND --help explains one. Those that report take --json.",
        ]
    )


def _run(arguments: Sequence[str], commands: Mapping[str, Entry], program: str) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(commands, program))
        return OK
    name, *rest = arguments
    if name not in commands:
        raise UserError(_unknown(name, commands))
    command = _parse(commands[name], f"{program} {name}", rest)
    # Whatever a library prints while working is not the answer: it goes to stderr.
    with contextlib.redirect_stdout(sys.stderr):
        answer = command.run()
    print(answer.json() if getattr(command, "json", False) else answer.text, flush=True)
    for note in answer.notes:
        _complain(note, answer.exit_code)
    return answer.exit_code


def _parse(entry: Entry, called: str, rest: Sequence[str]) -> Runnable:
    """The command's dataclass, filled in. Raises UserError where tyro would draw a box."""
    import tyro

    module, attribute = entry.path.split(":")
    command: type[Runnable] = getattr(importlib.import_module(module), attribute)
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            return tyro.cli(
                command,
                prog=called,
                args=rest,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        wrong = _invalid(stop) or _plain(stderr.getvalue())
        usage = f"{called} --help"
        raise UserError(_("{wrong} See: {help}").format(wrong=wrong, help=usage)) from None


def _invalid(stop: SystemExit) -> str:
    """What pydantic found wrong with a value, said with the option's name; empty if it did not."""
    from pydantic import ValidationError

    cause: BaseException | None = stop
    while cause is not None and not isinstance(cause, ValidationError):
        cause = cause.__context__
    if cause is None:
        return ""
    problems = []
    for wrong in cause.errors(include_url=False):
        option = "".join(f"--{part}".replace("_", "-") for part in wrong["loc"])
        message = wrong["msg"].removeprefix("Value error, ")
        problems.append(f"{option} {wrong['input']}: {message}." if option else f"{message}.")
    return " ".join(problems)


def _plain(box: str) -> str:
    """tyro's error box as one line: what is wrong, and the option it takes you to have meant."""
    parts: list[list[str]] = [[]]
    for framed in box.splitlines()[1:]:  # the first line is a title that repeats the second
        line = framed.strip("╭╮╰╯│ ").replace("─", "-")
        if line.strip("-"):
            parts[-1].append(line)
        else:
            parts.append([])
    paragraphs = [part for part in parts if part] or [[]]
    wrong = (
        " ".join(paragraphs[0]).split(" Got errors:")[0].removesuffix(" (required)").rstrip(".:")
    )
    unknown = wrong.startswith("Unrecognized")
    meant = [line for part in paragraphs[1:] for line in part if unknown and line.startswith("--")]
    hint = _("Did you mean {name}?").format(name=meant[0].split()[0].rstrip(",")) if meant else ""
    return f"{wrong}. {hint}".strip()


def _unknown(name: str, commands: Mapping[str, Entry]) -> str:
    near = difflib.get_close_matches(name, commands, n=1)
    hint = _("Did you mean {name}?").format(name=near[0]) if near else ""
    known = _("Commands: {commands}.").format(commands=", ".join(commands))
    return " ".join(
        filter(None, [_("There is no command {name}.").format(name=repr(name)), hint, known])
    )


def _complain(message: str, exit_code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return exit_code
