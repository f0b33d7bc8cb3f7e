"""`python -m tools`: programs for those who make `pretrained/` and measure the project."""

import sys

from core.cli.main import Entry, main

COMMANDS = {
    "bench": Entry("tools.bench:Bench", "measure speed on this machine"),
    "distinct": Entry(
        "tools.near_duplicates:Distinct", "a data set without what another one is tested on"
    ),
    "dreams": Entry("tools.dreams:DreamCommand", "the pictures that the teacher dreams"),
    "tables": Entry("tools.tables:Tables", "write the tables of README and docs"),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], COMMANDS, "python -m tools"))
