"""Models at work: faces found, cut out and classified, through ONNX Runtime and without PyTorch."""
