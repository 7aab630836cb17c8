"""The model catalogue: which networks exist, under which licence, and how their files come to this
machine.
"""
