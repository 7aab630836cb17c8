"""The ROS-free core for pip: `pip install .` gives the library and the `vitpose_ros` command.

colcon does not read this file: package.xml makes the package an ament_cmake one (CMakeLists.txt).
"""

from pathlib import Path

from setuptools import find_packages, setup


def requirements(name: str) -> list[str]:
    """Read requirements/<name>.txt, the one place where versions are bounded."""
    lines = Path(__file__).parent.joinpath("requirements", f"{name}.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and line[0] not in "#-"]


setup(
    name="vitpose_ros",
    version="0.1.0",
    description="Body and hand skeletons from images, and the ROS 2 node around them",
    license="Apache-2.0",
    python_requires=">=3.10",
    # vitpose_ros.ros is of use only in a ROS workspace, where colcon installs it. vitpose_ros.msg
    # here has the definitions alone, for bags.
    packages=[
        *find_packages(include=["vitpose_ros", "vitpose_ros.*"], exclude=["vitpose_ros.ros*"]),
        "vitpose_ros.config",
        "vitpose_ros.assets",
        "vitpose_ros.msg",
    ],
    package_dir={f"vitpose_ros.{folder}": folder for folder in ("config", "assets", "msg")},
    package_data={
        "vitpose_ros": ["py.typed"],
        "vitpose_ros.config": ["models.yaml"],
        "vitpose_ros.assets": ["*/config.json", "*/model.onnx", "*/model.safetensors"],
        "vitpose_ros.msg": ["*.msg"],
        "vitpose_ros.quality": ["*.html"],
    },
    install_requires=requirements("core"),
    extras_require={
        name: requirements(name) for name in ("bench", "convert", "hub", "offline", "test")
    },
    entry_points={"console_scripts": ["vitpose_ros = vitpose_ros.cli.main:main"]},
)
