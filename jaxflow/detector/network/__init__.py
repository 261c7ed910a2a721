"""Networks that give heatmaps: HRNet, any ONNX file, their weights."""
