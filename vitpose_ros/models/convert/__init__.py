"""From a checkpoint to the ONNX file that the engines run, compared with the checkpoint's model.

Only here are torch and transformers used, and only when something is converted.
"""
