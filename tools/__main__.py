"""`python -m tools`: programs for those who make `pretrained/` and measure the project."""

import os
from collections.abc import Sequence

try:
    from core.cli.start import start

    if __name__ == "__main__":
        start("tools.__main__:main")
    from core.cli import main as cli
except KeyboardInterrupt:  # before `start` sees to it
    os.write(2, b"Stopped.\n")
    os._exit(130)

COMMANDS = {
    "bench": cli.Entry("tools.bench:Bench", "measure speed on this machine"),
    "distinct": cli.Entry(
        "tools.near_duplicates:Distinct", "a data set without what another one is tested on"
    ),
    "dreams": cli.Entry("tools.dreams:DreamCommand", "the pictures that the teacher dreams"),
    "film": cli.Entry("tools.film:FilmCommand", "make the film at the top of README"),
    "tables": cli.Entry("tools.tables:Tables", "write the tables of README and docs"),
    "words": cli.Entry("tools.words:Words", "bring the catalogues to the words of the app"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one of `COMMANDS`; returns the exit code."""
    return cli.main(arguments, COMMANDS, "python -m tools")
