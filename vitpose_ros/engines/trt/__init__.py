"""TensorRT engines as files: building, keys, manifests, and the shelf that stores them.

The code uses only API that TensorRT 10.3 (JetPack 6), 11.4 and TensorRT for RTX 1.7 share (see
`typings/tensorrt.pyi`), except for `variants.py`.
"""
