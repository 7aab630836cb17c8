"""The model catalogue: which networks exist, under which licence, and how to get their files."""
