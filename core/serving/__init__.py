"""Trained networks at work: exported to ONNX (needs torch), answering with ONNX Runtime (no torch).

Import `core.serving.predict` or `core.serving.export`: this package itself imports neither, so
that whoever only predicts never pays for torch.
"""
