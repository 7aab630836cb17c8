"""Engines of TensorRT as files: building, keys, manifests and the shelf that they lie on.

Only API that TensorRT 10.3 (JetPack 6) and 11.4 share is used; `typings/tensorrt.pyi` lists it.
"""
