"""Models at work: faces found, cut out and classified, by ONNX Runtime or by PyTorch."""
