"""`python -m core`: Small Plates from the command line."""

import os

try:
    from core.cli.start import start

    if __name__ == "__main__":
        start("core.cli.main:main")
except KeyboardInterrupt:  # before `start` sees to it
    os.write(2, b"Stopped.\n")
    os._exit(130)
