"""Small Plates' core: everything about network compression that is true without a browser.

Nothing in here imports streamlit. Imports run one way: pages -> core; inside core
serving, training -> compression, models, data, measure -> course.
"""

import os

from core.paths import cache_dir

# Read by libraries when they load, and inherited by every child process: every module of core
# passes here first. ONNX Runtime reports its usage over the network unless it is told not to, and
# keeps what it has to report in the home folder. Exporting makes torch lay out its compiler's
# cache, in the shared temporary folder unless it is told where.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir() / "torch"))
