"""Food-11 from Kaggle into `data/food11`, whole or not at all.

Food-11 (Singla, Yuan and Ebrahimi, EPFL 2016) may not be redistributed, so the repository holds
none of it. The copy fetched is the one most notebooks use: 16,643 photographs, EPFL's three splits,
a folder per class.
"""

import contextlib
import shutil
import sys
from pathlib import Path

from filelock import FileLock

from core import paths
from core.data.find import find_food11
from core.errors import DataError
from core.i18n import _

KAGGLE = "trolukovich/food11-image-dataset"
PAGE = f"https://www.kaggle.com/datasets/{KAGGLE}"


def fetch() -> Path:
    """The folder of Food-11: `data/food11` in the repository, downloaded unless it is there.

    Downloads under another name beside it and renames, so an interrupted download leaves nothing
    that looks like a data set. Progress on stderr. Raises DataError without a network, where Kaggle
    refuses, where the disk is full, or where what came is not Food-11.
    """
    target = paths.REPO / "data" / "food11"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / ".food11.lock"):
            if target.is_dir() and any(target.iterdir()):
                return find_food11(target).root
            return _into(target)
    except DataError:
        raise
    except OSError as error:
        raise _failed(_("the folder data/food11 cannot be written")) from error


def _into(target: Path) -> Path:
    part = target.with_name(".food11.part")
    try:
        got = _download(part)
        root = find_food11(got).root  # raises DataError where this is no Food-11
        if not root.is_relative_to(part.resolve()):
            return root  # a hosted notebook has its own copy and says where
        if target.exists():
            target.rmdir()
        root.rename(target)
        return target
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _download(part: Path) -> Path:
    """Unpack Kaggle's copy into `part`, emptied first; where it lies."""
    try:
        # kagglehub reports on stdout, which belongs to the caller's own answer
        with contextlib.redirect_stdout(sys.stderr):
            import kagglehub  # 0.4 s and its own log handler: only for who downloads

            return Path(
                kagglehub.dataset_download(KAGGLE, output_dir=str(part), force_download=True)
            )
    except Exception as error:  # requests, urllib3, kagglesdk, zipfile and the disk raise their own
        raise _failed(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Which of the few usual causes this is, by the exception's classes: kagglehub's are many."""
    classes = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403) or "UnauthenticatedError" in classes:
        return _("Kaggle asks for an account")
    if status is not None:
        return _("Kaggle answered with error {status}").format(status=status)
    if classes & {"ConnectionError", "Timeout", "TimeoutError", "gaierror"}:
        return _("there is no network, or Kaggle cannot be reached")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _failed(reason: str) -> DataError:
    return DataError(
        _(
            "Food-11 could not be downloaded: {reason}. Try again later, or get it by hand from "
            "{page} and set FOOD11_ROOT to the folder it was unpacked in."
        ).format(reason=reason, page=PAGE)
    )
