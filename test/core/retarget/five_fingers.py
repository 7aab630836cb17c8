"""A robot hand of human size, five fingers of four joints, left or right, for dex_retargeting."""

from __future__ import annotations

from pathlib import Path

TIPS = (4, 8, 12, 16, 20)
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_ROOTS = (
    (0.005, 0.030, 0.025),
    (0, 0.026, 0.093),
    (0, 0.0, 0.095),
    (0, -0.02, 0.09),
    (0, -0.038, 0.083),
)
_LENGTHS = (
    (0.038, 0.030, 0.025),
    (0.043, 0.025, 0.021),
    (0.047, 0.029, 0.022),
    (0.043, 0.027, 0.022),
    (0.033, 0.019, 0.018),
)
_LIMITS = ((-0.5, 0.5), (-0.3, 1.7), (-0.1, 1.8), (-0.1, 1.5))

ROBOT = """
format: 1
name: five fingers
side: {side}
retargeter: {kind}
limits: {{velocity: 3.0, acceleration: 30.0}}
joints: {{{joints}}}
"""
DEX = """
retargeting:
  type: {type}
  urdf_path: {side}.urdf
  {fields}
  scaling_factor: 1.0
  low_pass_alpha: 1.0
"""


def _joint(name: str, kind: str, parent: str, child: str, at: str, axis: str, limit: str) -> str:
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{at}"/>{axis}{limit}</joint>'
    )


def urdf(side: str) -> str:
    """Fingers along z, curling to x, the thumb at y (right) or -y (left)."""
    sign = 1 if side == "right" else -1
    parts = ['<link name="palm"/>']
    for finger, name in enumerate(FINGERS):
        x, y, z = _ROOTS[finger]
        parent, at = "palm", f"{x} {sign * y} {z}"
        for number in range(4):
            child = f"{name}{number}"
            axis = f"{-sign if finger == 0 else sign} 0 0" if number == 0 else "0 1 0"
            low, high = _LIMITS[number] if finger or number else (-0.2, 1.3)
            limit = f'<limit lower="{low}" upper="{high}" effort="1" velocity="9"/>'
            parts.append(f'<link name="{child}"/>')
            parts.append(
                _joint(
                    f"{name}_j{number}",
                    "revolute",
                    parent,
                    child,
                    at,
                    f'<axis xyz="{axis}"/>',
                    limit,
                )
            )
            parent = child
            at = "0 0 0" if number == 0 else f"0 0 {_LENGTHS[finger][number - 1]}"
        parts.append(f'<link name="{name}_tip"/>')
        parts.append(_joint(f"{name}_end", "fixed", parent, f"{name}_tip", at, "", ""))
    return f'<robot name="{side}">{"".join(parts)}</robot>'


def write(folder: Path, side: str, kind: str = "vector") -> Path:
    """The robot's files for dex_retargeting; returns its YAML file."""
    tips = ", ".join(f"{name}_tip" for name in FINGERS)
    fields = {
        "vector": f"target_origin_link_names: [{', '.join(['palm'] * 5)}]\n"
        f"  target_task_link_names: [{tips}]\n"
        f"  target_link_human_indices: [[0, 0, 0, 0, 0], {list(TIPS)}]",
        "position": f"target_link_names: [{tips}]\n  target_link_human_indices: {list(TIPS)}",
        "dexpilot": f"wrist_link_name: palm\n  finger_tip_link_names: [{tips}]",
    }[kind]
    (folder / f"{side}.urdf").write_text(urdf(side))
    (folder / "dex.yaml").write_text(DEX.format(type=kind, side=side, fields=fields))
    joints = ", ".join(f"{name}_j{number}: {{}}" for name in FINGERS for number in range(4))
    text = ROBOT.format(side=side, kind="dex_retargeting", joints=joints) + "dex_config: dex.yaml\n"
    (folder / "robot.yaml").write_text(text)
    return folder / "robot.yaml"
