"""A checkpoint answers: ONNX Runtime, no torch but to export."""
