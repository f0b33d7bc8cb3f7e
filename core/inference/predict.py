"""Photographs in, class probabilities out, with ONNX Runtime and without torch.

A session is opened once per checkpoint and shared by all visitors: ONNX Runtime's `run` may be
called from many threads at once. Sessions are kept by the hash of their files, so a checkpoint
that was published anew is opened anew.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import ArrayLike, NDArray

from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, get, read_files
from core.course import CLASSES
from core.errors import CheckpointError
from core.i18n import _
from core.limited import give_memory_back
from core.stats import Labelled
from core.timing import Timing, summary, thread_clock

if TYPE_CHECKING:
    from PIL.Image import Image


THREADS = 1
"""Computing threads of a session: one visitor's photo must not slow the others' down."""
BATCH = 32

OnProgress = Callable[[int, int], None]
"""Called with (pictures done, of how many)."""

OPEN_BYTES = 100_000_000
"""What the open networks may take together: ONNX Runtime keeps every weight as float32, so a
ResNet-18 takes 45 MB, a student 1 MB."""
LARGE_BYTES = 10_000_000
"""From which size on opening a network leaves so much free memory behind that it is given back."""
_opening_a_session = threading.Lock()
"""While it is opened, a network takes four times what it takes then: one at a time."""

_T = TypeVar("_T")
TIMED_RUNS, LATEST_RUNS = 3, 9
"""How often a network is timed at its first photo, and of how many runs its median is: by processor
time they hardly differ, and a class that gives many photos need not ask three times for each."""


def open_session(
    graph: bytes,
    weights: bytes | None = None,
    threads: int = THREADS,
    blocks: bool = True,
    keep_memory: bool = True,
) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU; `weights` is the safetensors file `graph` points into.

    `blocks`: whether convolutions may be computed in blocks of 8 or 16 channels (NCHWc), which
    ONNX Runtime does where a layer's channels fill them. `keep_memory`: whether it keeps what it
    computed in for the next call. Batches take up to half less time so, one picture just as long:
    what waits for a visitor's next photo need not hold 3 to 20 MB until then.

    Both are bytes already checked, so no path matters. Raises CheckpointError if ONNX Runtime
    cannot make sense of them.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # a waiting pool must not burn the cores that training, or another visitor, could use
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not blocks:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.enable_cpu_mem_arena = keep_memory
    options.log_severity_level = 3  # errors come as exceptions, its warnings are not for visitors
    if weights is not None:
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    try:
        with _opening_a_session:
            return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class
        raise CheckpointError(_("ONNX Runtime cannot open a checkpoint's graph.")) from error


def run_batches(session: ort.InferenceSession, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (N, 11) of uint8 pixels (N, 3, px, px), `BATCH` pictures at a time.

    Always in the same batches: then the last bits, too, come out the same each time.
    """
    return _run_batches(session, pixels)[0]


def _run_batches(
    session: ort.InferenceSession, pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`run_batches`, and the features (N, C) of a graph `with_features`; C is 0 for any other."""
    logits, features = [np.zeros((0, len(CLASSES)), np.float32)], []
    for at in range(0, len(pixels), BATCH):
        answers = session.run(None, {"pixels": np.ascontiguousarray(pixels[at : at + BATCH])})
        logits.append(answers[0])
        features += [each.reshape(len(each), -1) for each in answers[1:]]
    empty = np.zeros((len(pixels), 0), np.float32)
    return np.concatenate(logits), np.concatenate(features) if features else empty


_PASSES_ON = (
    "Reshape", "Flatten", "Squeeze", "Identity", "QuantizeLinear", "DequantizeLinear",
)  # fmt: skip
_AVERAGES = ("ReduceMean", "GlobalAveragePool")


def linear_end(graph: Any) -> tuple[str, list[Any]] | None:
    """How an ONNX graph ends: the name of its last feature maps, and the linear layers behind them.

    The maps are averaged over their places; the layers (Gemm nodes, the last one first) turn that
    mean into the logits. None for a graph that ends otherwise.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    name, layers = "logits", []
    while (node := made_by.get(name)) is not None:
        name = node.input[0]
        if node.op_type == "Gemm":
            layers.append(node)
        elif node.op_type in _AVERAGES:
            return name, layers
        elif node.op_type not in _PASSES_ON:
            break
    return None


def with_features(graph: bytes) -> bytes:
    """The graph with a second output: its features (N, C), which its linear layers read.

    A graph that does not end in an average over places and linear layers is left as it is.
    """
    import onnx  # takes longer to import than all else here

    try:
        model = onnx.load_model_from_string(graph)
    except Exception:  # `open_session` says what is wrong with it
        return graph
    end = linear_end(model.graph)
    if end is None or not end[1]:
        return graph
    model.graph.output.append(onnx.ValueInfoProto(name=end[1][-1].input[0]))
    return bytes(model.SerializeToString())


def count_correct(
    session: ort.InferenceSession, pictures: Labelled, on_progress: OnProgress | None = None
) -> int:
    """Right answers of an open session; the same batches as everywhere, so the same last bits.

    Raises CheckpointError for answers that are not finite: argmax would call them Bread.
    """
    right, n = 0, len(pictures.labels)
    for at in range(0, n, BATCH):
        logits = run_batches(session, pictures.pixels[at : at + BATCH])
        if not np.isfinite(logits).all():
            raise CheckpointError(_("With these weights the network's answers are not numbers."))
        right += int((logits.argmax(1) == pictures.labels[at : at + BATCH]).sum())
        if on_progress:
            on_progress(min(at + BATCH, n), n)
    return right


class Predictor:
    """One checkpoint, ready to answer; safe to share between threads."""

    def __init__(
        self, checkpoint_id: str, threads: int = THREADS, keep_memory: bool = True
    ) -> None:
        """Opens a session. Raises CheckpointError if a file is not what the manifest says."""
        self.checkpoint, files = read_files(checkpoint_id, GRAPH, WEIGHTS)
        self.threads = threads
        graph = with_features(files[GRAPH])
        self._session = open_session(graph, files[WEIGHTS], threads, keep_memory=keep_memory)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 11) of uint8 RGB pixels (N, 3, px, px), px = `checkpoint.input_px`.

        Raises ValueError for another shape or dtype.
        """
        return self.answers(pixels)[0]

    def answers(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`logits`, and the features (N, C) that the last linear layer made them of.

        C is 0 for a network that ends otherwise.
        """
        px = self.checkpoint.input_px
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (3, px, px):
            raise ValueError(f"not uint8 (N, 3, {px}, {px}): {pixels.dtype} {pixels.shape}")
        return _run_batches(self._session, pixels)

    @cached_property
    def took_ms(self) -> deque[float]:
        """Processor time of its latest runs on one picture, in milliseconds."""
        return deque(maxlen=LATEST_RUNS)

    def correct(self, pictures: Labelled, on_progress: "OnProgress | None" = None) -> int:
        """How many pictures it is right about; `on_progress` hears of every batch."""
        return count_correct(self._session, pictures, on_progress)


class _OpenNetworks:
    """What is open, by its key: at most `OPEN_BYTES` together, the longest unused going first."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._opening: dict[Hashable, threading.Lock] = {}
        self._open: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()

    def take(self, key: Hashable, size_bytes: int, make: Callable[[], _T]) -> _T:
        with self._guard:
            opening = self._opening.setdefault(key, threading.Lock())
        try:
            with opening:  # one visitor opens it, the others who want it wait
                with self._guard:
                    if key in self._open:
                        self._open.move_to_end(key)
                        known: _T = self._open[key][1]
                        return known
                self._make_room(size_bytes)
                made = make()
                self._make_room(size_bytes)  # others may have been opened meanwhile
                with self._guard:
                    self._open[key] = size_bytes, made
        finally:
            with self._guard:
                self._opening.pop(key, None)
        return made

    def _make_room(self, size_bytes: int) -> None:
        with self._guard:
            while self._open and sum(s for s, _m in self._open.values()) + size_bytes > OPEN_BYTES:
                self._open.popitem(last=False)
        if size_bytes > LARGE_BYTES:
            give_memory_back()


_open_networks = _OpenNetworks()


def shared(checkpoint: Checkpoint, make: Callable[[], _T], *key: Hashable) -> _T:
    """What `make` opens of a checkpoint, in the version that `key` says: once for all visitors.

    Kept as long as there is room (`OPEN_BYTES`); a checkpoint published anew is opened anew.
    """
    files = tuple(sorted((name, file.sha256) for name, file in checkpoint.files.items()))
    return _open_networks.take((checkpoint.id, files, *key), 4 * checkpoint.params, make)


def predictor(checkpoint_id: str) -> Predictor:
    """The shared predictor of a checkpoint, opened at the first call.

    Raises CheckpointError if there is no such checkpoint or its files are not sound.
    """
    return shared(get(checkpoint_id), partial(Predictor, checkpoint_id, keep_memory=False))


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one checkpoint says of one photo."""

    checkpoint: str
    """Its id."""
    logits: NDArray[np.float32]
    """(11,), in label order."""
    probabilities: NDArray[np.float64]
    """(11,), the softmax at temperature 1."""
    features: NDArray[np.float32]
    """(C,): what the last linear layer made the logits of; empty for a network that ends otherwise.
    """
    timing: Timing
    """One picture per call, the network's latest runs on this machine; threads stated."""

    @property
    def label(self) -> int:
        """The most probable class, 0..10."""
        return int(self.probabilities.argmax())

    @property
    def top(self) -> str:
        """Its name, untranslated."""
        return CLASSES[self.label]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return float(self.probabilities[self.label])

    @property
    def latency_ms(self) -> float:
        """Median milliseconds of inference for one picture, preparation not included."""
        return self.timing.median_ms


def predict_photo(
    image: "Image", ids: Sequence[str], opened: Mapping[str, Predictor] | None = None
) -> list[Prediction]:
    """What each of the checkpoints `ids` makes of an RGB photo, in that order.

    `opened`: predictors of ids that are no checkpoint's, such as one of its other files.

    The times are medians of each network's latest single-picture runs, one thread, by its processor
    time: a class asks at once, and who waits for a core must not see a slow network
    (`core.timing`). A network that was not asked before is warmed up and then timed a few times in
    turn with the other new ones. Raises CheckpointError as `predictor` does.
    """
    from core.photos import prepare

    if not ids:
        return []
    chosen = {id: (opened or {}).get(id) or predictor(id) for id in ids}
    seen = {
        id: (network.checkpoint.input_px, network.checkpoint.crop) for id, network in chosen.items()
    }
    pixels = {view: prepare(image, *view)[None] for view in set(seen.values())}  # (1, 3, px, px)
    answers = {}

    def ask(id: str) -> None:
        answers[id] = chosen[id].answers(pixels[seen[id]])

    new = [id for id, network in chosen.items() if not network.took_ms]
    for id in new:  # warm them up
        ask(id)
    for id in [*new * TIMED_RUNS, *(id for id in chosen if id not in new)]:
        chosen[id].took_ms.append(thread_clock(partial(ask, id)))
    return [
        Prediction(
            id,
            logits[0],
            softmax(logits[0]),
            features[0],
            summary(list(chosen[id].took_ms), THREADS),
        )
        for id, (logits, features) in ((id, answers[id]) for id in chosen)
    ]


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """exp(z / T) / sum exp(z / T) over the last axis; any shape, temperature T > 0.

    The largest logit is subtracted first, so nothing overflows however small T is. T -> 0 leaves
    the largest logit's class alone, T -> infinity makes all equal (Hinton et al. 2015).
    Raises ValueError unless T is a positive number.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"a temperature is a positive number, not {temperature}")
    z = np.asarray(logits, dtype=np.float64)
    with np.errstate(over="ignore"):  # a gap / T beyond the floats is -inf, whose exp is 0
        powers = np.exp((z - z.max(axis=-1, keepdims=True)) / temperature)
    total: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return total


def entropy(probabilities: ArrayLike) -> NDArray[np.float64]:
    """- sum p ln p over the last axis, in nats: 0 for certainty, ln 11 = 2.398 for no idea."""
    p = np.asarray(probabilities, dtype=np.float64)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)  # p ln p -> 0 as p -> 0
    result: NDArray[np.float64] = np.maximum(-(p * logs).sum(axis=-1), 0.0)
    return result
