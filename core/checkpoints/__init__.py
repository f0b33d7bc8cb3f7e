"""Trained networks: weights in safetensors, an ONNX graph over the same bytes, a manifest entry.

Reading is torch-free; `load_weights` and `load_model` import torch when called.
"""

from core.checkpoints.entry import (
    GRAPH,
    TEST_LOGITS,
    WEIGHTS,
    Checkpoint,
    DataInfo,
    DerivedFrom,
    FileInfo,
    FurtherData,
    HalfPrecision,
)
from core.checkpoints.history import HISTORY, History, history
from core.checkpoints.manifest import (
    folder,
    get,
    listing,
    load_manifest,
    manifest_path,
    own_dir,
    read_files,
    remove,
    root_of,
    store,
)
from core.checkpoints.weights import (
    build_network,
    checkpoint_tensors,
    load_model,
    load_weights,
    test_logits,
)

__all__ = [
    "GRAPH",
    "HISTORY",
    "TEST_LOGITS",
    "WEIGHTS",
    "Checkpoint",
    "DataInfo",
    "DerivedFrom",
    "FileInfo",
    "FurtherData",
    "HalfPrecision",
    "History",
    "build_network",
    "checkpoint_tensors",
    "folder",
    "get",
    "history",
    "listing",
    "load_manifest",
    "load_model",
    "load_weights",
    "manifest_path",
    "own_dir",
    "read_files",
    "remove",
    "root_of",
    "store",
    "test_logits",
]
