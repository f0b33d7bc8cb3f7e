"""Fuzz what reads strangers' bytes: `make fuzz`, or `python -m tests.fuzz --seconds 60`.

Coverage-guided, by atheris on libFuzzer: from a small corpus, made here, inputs that reach new
lines are kept and changed further. Each reader runs for its share of the time, in an interpreter of
its own but without the limits of `core.limited`, so that its own faults show: an exception that it
does not promise, more than a second of CPU, more than 200 MB. An input that fails is printed, and
lies where libFuzzer says; put it into a test.
"""

import argparse
import base64
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from core.errors import UserError

REPO = Path(__file__).resolve().parents[2]
MAX_LENGTH = 10_000
MAX_SECONDS, MAX_BYTES = 1.0, 200_000_000
PAGE = resource.getpagesize()

PICKLES = """
import base64, collections, pickle
import numpy as np
weight = np.arange(6, dtype="f4").reshape(2, 3)
for protocol in range(6):
    for table in (
        {"w": (np.float64(0), np.float64(1), np.array([[1, 2]], "u1")), "n": np.float64(3)},
        {"state_dict": collections.OrderedDict(w=weight.T, h=np.float16(weight)), "epoch": 3},
        [weight, {"w": None, "x": "text", "l": [1, 2.5, True]}],
    ):
        print(base64.b64encode(pickle.dumps(table, protocol)).decode())
"""


def network_corpus() -> list[bytes]:
    """Sound files of networks, as small as they can be, and the broken ones of the tests."""
    from tests.core.quantization import test_pickle as pickles
    from tests.core.quantization import test_read_file as ours

    done = subprocess.run([sys.executable, "-c", PICKLES], capture_output=True, check=True)
    made = [base64.b64decode(line) for line in done.stdout.split()]
    sound = ours.sound().values()
    return [*made, *sound, *ours.BROKEN.values(), *ours.NAMED.values(), *pickles.BOMBS.values()]


def photo_corpus() -> list[bytes]:
    """A small photo of every kind, with and without what says how its colours are meant."""
    from PIL import ImageCms

    from tests import uploads
    from tests.food import food_picture

    image = food_picture(5, 1, (64, 48))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tagged = [uploads.encoded(image, kind, icc_profile=profile) for kind in ("JPEG", "PNG", "WEBP")]
    told = uploads.png_with((b"gAMA", bytes(4)), (b"cHRM", bytes(32)), (b"cICP", b"\x0c\x0d\0\1"))
    samples = uploads.samples()
    return [*samples.values(), *tagged, told, samples["jpeg"][:-2]]


def network_reader() -> Callable[[bytes], object]:
    """The reader of networks' files."""
    import numpy as np

    from core.quantization.hw7 import decode8

    def read(data: bytes) -> None:
        for name, array in decode8(data).items():
            assert name.isprintable() and (array.ndim == 0 or np.isfinite(array).all()), name

    return read


def photo_reader() -> Callable[[bytes], object]:
    """The reader of photos, for small ones: large ones may take what a photo may take."""
    from core.photos import decode, formats

    formats.MAX_PIXELS = formats.MAX_JPEG_PIXELS = 1_000_000
    return decode.decode


def boxes_reader() -> Callable[[bytes], object]:
    """The reader of HEIC's and AVIF's boxes."""
    from core.photos.boxes import read_boxes

    return read_boxes


class Target(NamedTuple):
    """Something to fuzz."""

    reader: Callable[[], Callable[[bytes], object]]
    corpus: Callable[[], list[bytes]]
    promised: type[Exception]
    """What the reader may raise."""


TARGETS = {
    "network": Target(network_reader, network_corpus, UserError),
    "photo": Target(photo_reader, photo_corpus, UserError),
    "boxes": Target(boxes_reader, photo_corpus, ValueError),
}


def checked(target: Target) -> Callable[[bytes], None]:
    """The reader of a target, whose exceptions and costs are looked at."""
    read = target.reader()

    def one_input(data: bytes) -> None:
        resident, peak, began = resident_bytes(), peak_bytes(), time.process_time()
        with suppress(target.promised):
            read(data)
        took, now = time.process_time() - began, peak_bytes()
        if took > MAX_SECONDS:
            raise AssertionError(f"it took {took:.1f} s")
        if now > peak and now - resident > MAX_BYTES:
            raise AssertionError(f"it took {(now - resident) / 1e6:.0f} MB")

    return one_input


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def peak_bytes() -> int:
    """The most memory this interpreter held: `ru_maxrss` begins with what its parent held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["core", "pickletools"]):
        one_input = checked(TARGETS[name])
    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


def run(name: str, seconds: int, found: Path) -> bool:
    """Fuzz one target for so long in a process of its own; whether nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(TARGETS[name].corpus()):
            if len(data) <= MAX_LENGTH:
                (Path(folder) / str(number)).write_bytes(data)
        command = [sys.executable, "-m", "tests.fuzz", "--target", name]
        options = [
            *(folder, f"-max_total_time={seconds}", f"-max_len={MAX_LENGTH}", "-timeout=30"),
            *("-rss_limit_mb=2048", f"-artifact_prefix={found}/{name}-", "-print_final_stats=1"),
        ]
        done = subprocess.run([*command, *options], cwd=REPO, text=True, stderr=subprocess.PIPE)
    lines = done.stderr.splitlines()
    if done.returncode == 0:
        print(f"{name}: {seconds} s, {_stat(lines, 'number_of_executed_units')} inputs, sound")
        return True
    print("\n".join(lines[-60:]))
    for path in sorted(found.glob(f"{name}-*")):
        print(path, base64.b64encode(path.read_bytes()[:3000]).decode())
    return False


def _stat(lines: list[str], name: str) -> str:
    return next((line.split()[-1] for line in lines if name in line), "?")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    given, options = parser.parse_known_args()
    if find_spec("atheris") is None:
        sys.exit("Fuzzing needs atheris, which there is for Linux on x86 and Python 3.11 to 3.13.")
    if options:
        fuzz(given.target, options)
    names = [given.target] if given.target else list(TARGETS)
    found = Path(os.environ.get("FUZZ_FOUND") or tempfile.mkdtemp(prefix="fuzz-"))
    sound = [run(name, max(given.seconds // len(names), 1), found) for name in names]
    sys.exit(0 if all(sound) else 1)


if __name__ == "__main__":
    main()
