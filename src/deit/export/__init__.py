"""What a trained network becomes for others: ONNX, torch.export, a folder in timm's layout, a repository on the Hub."""
