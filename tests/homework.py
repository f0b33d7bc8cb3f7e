"""Files as people hand their homework's network on, written by an interpreter of their own.

Only there are pickles made by Python itself. `encode8` and `encode16` are the homework notebook's.
"""

from pathlib import Path

from tests.conftest import run_python

WRITE = """
import bz2, collections, gzip, io, lzma, pickle, sys, warnings, zipfile
import numpy as np, safetensors.torch, torch
from core import checkpoints
warnings.simplefilter("ignore")

def encode8(params, protocol=None):
    custom_dict = {}
    for (name, param) in params.items():
        param = np.float64(param.cpu().numpy())
        if type(param) == np.ndarray:
            min_val, max_val = np.min(param), np.max(param)
            param = np.round((param - min_val) / (max_val - min_val) * 255)
            param = np.uint8(param)
            custom_dict[name] = (min_val, max_val, param)
        else:
            custom_dict[name] = param
    return custom_dict

def encode16(params):
    custom_dict = {}
    for (name, param) in params.items():
        param = np.float64(param.cpu().numpy())
        custom_dict[name] = np.float16(param) if type(param) == np.ndarray else param
    return custom_dict

def floats(params, form):
    return collections.OrderedDict(
        (n, form(v) if v.is_floating_point() else v) for n, v in params.items())

def ends(coded, form):
    return {n: (form(v[0]), form(v[1]), v[2]) if type(v) is tuple else v for n, v in coded.items()}

def saved(what, **options):
    file = io.BytesIO()
    torch.save(what, file, **options)
    return file.getvalue()

def numpied(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()

def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.pkl", data)
        archive.writestr("__MACOSX/._model.pkl", b"\\0" * 100)
    return file.getvalue()

def forms(net, params, few):
    coded, halves = encode8(params), encode16(params)
    arrays = {n: v.numpy() for n, v in params.items()}
    yield "8bit.pkl", pickle.dumps(coded)
    yield "state.pth", saved(params)
    if few:
        return
    for protocol in range(6):
        yield f"8bit-{protocol}.pkl", pickle.dumps(coded, protocol)
        yield f"16bit-{protocol}.pkl", pickle.dumps(halves, protocol)
    old = pickle.dumps(coded, 3).replace(b"numpy._core", b"numpy.core")
    yield "8bit-numpy1-3.pkl", old
    old = pickle.dumps(coded, 4).replace(b"\\x16numpy._core.multi", b"\\x15numpy.core.multi")
    assert old != pickle.dumps(coded, 4)
    yield "8bit-numpy1-4.pkl", old
    yield "8bit-torch.bin", saved(coded)
    yield "8bit-0d.pkl", pickle.dumps(ends(coded, np.asarray))
    yield "8bit-1.pkl", pickle.dumps(ends(coded, lambda x: np.array([x], np.float32)))
    yield "8bit-float.pkl", pickle.dumps(ends(coded, float))
    lists = {n: list(v) if type(v) is tuple else v for n, v in coded.items()}
    yield "8bit-list.pkl", pickle.dumps(lists)
    yield "8bit-tensor.pth", saved(ends(coded, torch.tensor))
    yield "8bit.pkl.gz", gzip.compress(pickle.dumps(coded))
    yield "8bit.pkl.bz2", bz2.compress(pickle.dumps(coded))
    yield "8bit.pkl.xz", lzma.compress(pickle.dumps(coded))
    yield "8bit.pkl.lzma", lzma.compress(pickle.dumps(coded), lzma.FORMAT_ALONE)
    yield "8bit.pkl.zip", zipped(pickle.dumps(coded))
    yield "8bit.npy", numpied(np.save, coded, allow_pickle=True)
    yield "8bit.npz", numpied(np.savez_compressed, weights=coded)
    yield "16bit.npz", numpied(np.savez, **halves)
    yield "16bit-compressed.npz", numpied(np.savez_compressed, **halves)
    yield "32bit.pkl", pickle.dumps(arrays)
    yield "ordered.pkl", pickle.dumps(collections.OrderedDict(arrays))
    yield "columns.pkl", pickle.dumps({n: np.asfortranarray(v) for n, v in arrays.items()})
    yield "wrapped.pkl", pickle.dumps({"state_dict": arrays, "epoch": 3, "best": 0.8})
    remarks = {"epoch": 3, "best": np.float64(0.8), "by": "me", "x": None}
    yield "remarks.pkl", pickle.dumps({**arrays, **remarks})
    yield "state-legacy.pth", saved(params, _use_new_zipfile_serialization=False)
    yield "state.pkl", pickle.dumps(params)
    yield "state-half.pth", saved(floats(params, torch.Tensor.half))
    yield "state-bfloat16.pth", saved(floats(params, torch.Tensor.bfloat16))
    yield "parameters.pth", saved(floats(params, torch.nn.Parameter))
    yield "state.pth.gz", gzip.compress(saved(params))
    last = torch.channels_last
    maps = {n: v.contiguous(memory_format=last if v.ndim == 4 else torch.contiguous_format)
            for n, v in params.items()}
    yield "channels-last.pth", saved(maps)
    yield "views.pth", saved({n: torch.stack([v, v])[1] for n, v in params.items()})
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(2, 3, 64, 64)).sum().backward()
    optimizer.step()
    rest = {"optimizer": optimizer.state_dict(), "epoch": 7, "best": None}
    for name in ("state_dict", "model_state_dict", "model"):
        yield f"{name}.pth", saved({**rest, name: params})
    for prefix in ("module.", "student_net.", "model.", "module.net."):
        yield f"{prefix}pkl", pickle.dumps(encode8({f"{prefix}{n}": v for n, v in params.items()}))
    yield "state.safetensors", safetensors.torch.save({n: v.clone() for n, v in params.items()})
    yield "whole-model.refused", saved(net)

def homework(name):
    return name.replace("features.", "cnn.").replace("classifier.", "fc.0.")

folder, renamed, few, *ids = sys.argv[1:]
for id in ids:
    net = checkpoints.load_model(id)
    params = collections.OrderedDict((n, v.clone()) for n, v in net.state_dict().items())
    if renamed == "renamed":
        params = collections.OrderedDict((homework(n), v) for n, v in params.items())
    for name, data in forms(net, params, few == "few"):
        with open(f"{folder}/{id}-{name}", "wb") as file:
            file.write(data)
    np.savez(f"{folder}/{id}-expected.npz", **{n: v.numpy() for n, v in params.items()})
"""


def write(folder: Path, *ids: str, renamed: bool = False, few: bool = False) -> None:
    """The checkpoints `ids` in all forms, as `<id>-<form>`, and exactly as `<id>-expected.npz`.

    `renamed`: with the names that the homework's own networks have. `few`: in two forms only.
    """
    how = ["renamed" if renamed else "own", "few" if few else "all"]
    run_python(WRITE, folder, *how, *ids)
