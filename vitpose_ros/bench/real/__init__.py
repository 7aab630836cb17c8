"""Scenes of real hands with exact truth and no labels, for tuning and for reporting.

Cut-outs of one filmed hand and their mirror images, a right and a left hand, move over
first-person photographs. `material` cuts the hands out, `scene` moves them, `variants` changes the
clip in ways that do not change the truth, and `score` compares what was found with it.
"""
