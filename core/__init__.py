"""Small Plates' core: everything about network compression that is true without a browser.

Nothing in here imports streamlit. Imports run one way: pages -> core; inside core
serving, training -> compression, models, data, measure -> course.
"""

import os

# Read by libraries when they load, and inherited by every child process: every module of core
# passes here first. ONNX Runtime reports its usage over the network unless it is told not to, and
# keeps what it has to report in the home folder. Exporting makes torch lay out its compiler's
# cache, in the shared temporary folder unless it is told where.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# No import here: Ctrl-C is answered only once `core.cli.start` runs.
_home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
_cache = os.environ.get("SMALL_PLATES_CACHE") or os.path.join(_home, "small-plates")
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(_cache, "torch"))
