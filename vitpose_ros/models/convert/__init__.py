"""Converts a checkpoint to an ONNX file and compares both.

Only this package needs torch and transformers, and only for a conversion.
"""
