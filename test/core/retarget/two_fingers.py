"""A small robot hand of two fingers, as URDF and YAML, for tests of the core and of the node."""

from __future__ import annotations

JOINT = """
  <joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/>
    <origin xyz="{at}"/><axis xyz="{axis}"/>{limit}</joint>"""
LIMIT = '<limit lower="{low}" upper="{high}" effort="1" velocity="1"/>'

YAML = """
format: 1
name: two fingers
side: {side}
retargeter: least_squares
description: {{path: hand.urdf}}
palm: palm
operator_axes: {{x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1]}}
points: {{thumb_mcp: t1, thumb_ip: t2, thumb_tip: t3, index_mcp: i1, index_pip: i2, index_tip: i3}}
limits: {{velocity: 2.0, acceleration: 10.0}}
joints: {{thumb: {{}}, thumb_bend: {{}}, index: {{}}, index_bend: {{}}}}
safe_poses: {{open: {{}}}}
"""


def urdf(limit: str = LIMIT) -> str:
    """Two fingers of two joints each, in the axes of the operator frame."""
    links = ["palm", *(f"{f}{n}" for f in "ti" for n in (1, 2, 3))]
    text = "".join(f'<link name="{name}"/>' for name in links)
    for finger, name, y in (("t", "thumb", 0.06), ("i", "index", 0.02)):
        low = limit.format(low=-0.2, high=1.6)
        axis = "0 1 0"
        text += JOINT.format(
            name=name, parent="palm", child=f"{finger}1", at=f"0 {y} 0.09", axis=axis, limit=low
        )
        text += JOINT.format(
            name=f"{name}_bend",
            parent=f"{finger}1",
            child=f"{finger}2",
            at="0 0 0.04",
            axis=axis,
            limit=low,
        )
        text += (
            f'<joint name="{finger}_tip" type="fixed"><parent link="{finger}2"/>'
            f'<child link="{finger}3"/><origin xyz="0 0 0.03"/></joint>'
        )
    return f'<robot name="hand">{text}</robot>'
