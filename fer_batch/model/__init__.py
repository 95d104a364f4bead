"""The classifier: its architectures, its checkpoint, and the ONNX file that everything else reads."""
