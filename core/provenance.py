"""Where a measurement is made: the processor, the versions, the commit. Imports no torch."""

import platform
import subprocess
import time
from importlib.metadata import version
from typing import Any

from core.cores import cores
from core.i18n import _
from core.paths import REPO


def made_here(**own: Any) -> dict[str, Any]:
    """Where and with what a new results file is made, and `own` fields beside that."""
    return {
        "device": processor_name(),
        "versions": library_versions(),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        **own,
    }


def processor_name() -> str:
    """What the processor calls itself."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        lines = []
    return lines[0] if lines else platform.machine()


def library_versions() -> dict[str, str]:
    """Versions that can change a number."""
    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "torchvision": version("torchvision"),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(cores()),
    }


def commit() -> str:
    """The repository's commit, `+` behind it where files were changed; `unknown` outside git."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--", "core") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def commit_text(commit: str | None, digits: int = 12) -> str:
    """A commit as a reader is shown it: its first digits, and whether files were changed since.

    `commit`: as `commit()` gives it, `+` behind it where files were changed; None or "unknown"
    where nobody knows.
    """
    if commit in (None, "", "unknown"):
        return _("not recorded")
    name, changed, _rest = str(commit).partition("+")
    shown = f"`{name[:digits]}{changed}`"
    return _("{commit} with uncommitted changes").format(commit=shown) if changed else shown


def _git(*arguments: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(REPO), *arguments], capture_output=True, timeout=10, check=True
    )
    return answer.stdout.decode(errors="replace").strip()
