from __future__ import annotations

import pytest

from vitpose_ros.doctor.findings import Finding, Level, worst
from vitpose_ros.doctor.gpu import check_gpu
from vitpose_ros.doctor.graph import check_ros
from vitpose_ros.doctor.host import Answer, Host
from vitpose_ros.doctor.system import check_system

GPU_LINE = "NVIDIA GeForce RTX 4090, 550.54.14, 24564, 8.9"
H100_LINE = "NVIDIA H100 80GB HBM3, 580.65.06, 81559, 9.0"
RTX = Answer(True, "1.7.1.116 7.5 8.0 8.6 8.9 12.0 12.1")


def named(findings, name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


def test_a_machine_on_which_all_is_well_has_no_warning(host):
    host.smi = Answer(True, GPU_LINE)
    found = [*check_system(host), *check_ros(host), *check_gpu(host)]
    assert worst(found) in (Level.OK, Level.NOTE)
    assert {finding.section for finding in found} == {"System", "ROS", "GPU"}


def test_a_machine_without_a_gpu_has_no_warning_about_gpus(host):
    host.modules = {name: Answer(False, "No module named") for name in ("torch", "tensorrt")}
    (found,) = check_gpu(host)
    assert found.level is Level.NOTE
    assert "CPU" in found.value


def test_an_unset_distribution_ends_the_checks_of_ros(host):
    host.environ = {}
    (found,) = check_ros(host)
    assert (found.level, "setup.bash" in found.remedy) == (Level.WARNING, True)


# Each row: what is broken, the finding that must say so, how bad it is, and what its text or its
# remedy must name.
BROKEN = [
    (check_system, {"python": (3, 9, 1)}, "Python", Level.PROBLEM, "3.10"),
    (
        check_system,
        {"modules": {"openvino": Answer(False, "No module named 'openvino'")}},
        "OpenVINO",
        Level.PROBLEM,
        "/usr/bin/python3 -m pip install 'openvino>=2024.3'",
    ),
    (
        check_system,
        {"modules": {"openvino": Answer(True, "2023.3.0-13775")}},
        "OpenVINO",
        Level.PROBLEM,
        "2024.3 or later",
    ),
    (
        check_system,
        {"packages": {"opencv-python": "4.9", "opencv-python-headless": "4.10"}},
        "OpenCV's packages",
        Level.WARNING,
        "uninstall opencv-python-headless",
    ),
    (
        check_system,
        {"modules": {"openvino": Answer(False, "Could not determine home directory.")}},
        "OpenVINO",
        Level.PROBLEM,
        "HOME=/tmp",
    ),
    (
        check_ros,
        {"environ": {"ROS_DISTRO": "jazzy"}},
        "log folder",
        Level.PROBLEM,
        "no home folder",
    ),
    (
        check_ros,
        {"environ": {"ROS_DISTRO": "jazzy", "HOME": "/"}, "read_only": ("/.ros",)},
        "log folder",
        Level.PROBLEM,
        "/.ros/log cannot be written",
    ),
    (
        check_ros,
        {"environ": {"ROS_DISTRO": "jazzy", "ROS_LOG_DIR": "/logs"}, "read_only": ("/logs",)},
        "log folder",
        Level.PROBLEM,
        "set ROS_LOG_DIR",
    ),
    (
        check_ros,
        {"leftovers": {"fastrtps_0123456789abcdef": 2 * 2**30}},
        "leftover segments",
        Level.WARNING,
        "fastdds shm clean",
    ),
    (
        check_ros,
        {"leftovers": {"fastrtps_0123456789abcdef": 17 * 2**20}},
        "leftover segments",
        Level.NOTE,
        "1 shared-memory segments (17 MB",
    ),
    (
        check_ros,
        {"modules": {"rclpy": Answer(False, "No module named 'rclpy'")}},
        "rclpy",
        Level.PROBLEM,
        "conda",
    ),
    (
        check_ros,
        {"modules": {"vitpose_ros.msg": Answer(False, "No module named 'vitpose_ros.msg'")}},
        "messages of this package",
        Level.PROBLEM,
        "colcon build",
    ),
    (
        check_ros,
        {"environ": {"ROS_DISTRO": "foxy"}},
        "distribution",
        Level.WARNING,
        "humble, jazzy",
    ),
    (
        check_ros,
        {"environ": {"ROS_DISTRO": "jazzy"}},
        "Fast DDS profile",
        Level.WARNING,
        "export FASTRTPS_DEFAULT_PROFILES_FILE=",
    ),
    (
        check_ros,  # the variable of older distributions does not count in a later one
        {
            "environ": {
                "ROS_DISTRO": "kilted",
                "FASTRTPS_DEFAULT_PROFILES_FILE": "/share/fastdds.xml",
            }
        },
        "Fast DDS profile",
        Level.WARNING,
        "export FASTDDS_DEFAULT_PROFILES_FILE=",
    ),
    (
        check_ros,
        {"files": {"/share/fastdds.xml": "<dds>"}},
        "Fast DDS profile",
        Level.PROBLEM,
        "XML",
    ),
    (check_ros, {"files": {}}, "Fast DDS profile", Level.PROBLEM, "cannot be read"),
    (
        check_ros,
        {"files": {"/share/fastdds.xml": "<dds/>"}},
        "Fast DDS profile",
        Level.WARNING,
        "no shared-memory transport",
    ),
    (
        check_ros,
        {"files": {"/share/fastdds.xml": "<dds><segment_size>1048576</segment_size></dds>"}},
        "Fast DDS profile",
        Level.WARNING,
        "1 MB holds less than two images",
    ),
    (check_ros, {"shm": None}, "shared memory", Level.WARNING, "--shm-size"),
    (check_ros, {"shm": (64 * 2**20, 40 * 2**20)}, "shared memory", Level.WARNING, "--ipc=host"),
    (
        check_ros,
        {
            "environ": {"ROS_DISTRO": "jazzy", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
            "files": {"/proc/sys/net/core/rmem_max": "212992"},
        },
        "kernel buffers",
        Level.WARNING,
        "net.core.rmem_max=2147483647",
    ),
    (
        check_ros,
        {
            "environ": {
                "ROS_DISTRO": "jazzy",
                "FASTRTPS_DEFAULT_PROFILES_FILE": "/share/fastdds.xml",
                "ROS_LOCALHOST_ONLY": "1",
            }
        },
        "discovery",
        Level.WARNING,
        "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST",
    ),
    (
        check_gpu,
        {"smi": Answer(False, "NVIDIA-SMI has failed because it couldn't communicate")},
        "driver",
        Level.PROBLEM,
        "--gpus all",
    ),
    (
        check_gpu,
        {
            "smi": Answer(True, GPU_LINE),
            "modules": {"torch": Answer(True, "2.13.0+cpu none False")},
        },
        "torch",
        Level.WARNING,
        "built without CUDA",
    ),
    (
        check_gpu,
        {"smi": Answer(True, GPU_LINE), "modules": {"torch": Answer(True, "2.13.0 13.0 False")}},
        "torch",
        Level.WARNING,
        "update the driver",
    ),
    (
        check_gpu,
        {"smi": Answer(True, GPU_LINE), "modules": {"tensorrt": Answer(False, "No module named")}},
        "TensorRT",
        Level.WARNING,
        "pip install tensorrt-rtx-cu12",
    ),
    (
        check_gpu,
        {"smi": Answer(True, H100_LINE), "modules": {"tensorrt": Answer(False, "No module named")}},
        "TensorRT",
        Level.WARNING,
        "on a Jetson: sudo apt install python3-libnvinfer; on a desktop: pip install tensorrt",
    ),
    (
        check_gpu,
        {"smi": Answer(True, GPU_LINE), "modules": {"tensorrt": Answer(True, "8.6.1")}},
        "TensorRT",
        Level.PROBLEM,
        "10.3 or later",
    ),
    (
        check_gpu,
        {"smi": Answer(True, GPU_LINE), "modules": {"tensorrt": Answer(True, "11.4.1")}},
        "TensorRT",
        Level.PROBLEM,
        "driver 580",
    ),
]


@pytest.mark.parametrize(("check", "broken", "name", "level", "text"), BROKEN)
def test_what_is_broken_is_said_with_its_remedy(host, check, broken, name, level, text):
    for field, value in broken.items():
        setattr(host, field, value)
    found = named(check(host), name)
    assert found.level is level
    assert text in f"{found.value} {found.remedy}"
    assert found.remedy


def test_small_kernel_buffers_are_no_warning_where_images_stay_on_the_host(host):
    host.files["/proc/sys/net/core/rmem_max"] = "212992"
    found = named(check_ros(host), "kernel buffers")
    assert found.level is Level.NOTE
    assert "rmem_max" in found.value


def test_wheels_for_cuda_12_run_with_an_older_driver(host):
    host.smi = Answer(True, GPU_LINE)
    host.modules = {"tensorrt": Answer(True, "11.4.1")}
    host.packages = {"tensorrt-cu12": "11.4.1"}
    assert named(check_gpu(host), "TensorRT").level is Level.OK


def test_tensorrt_for_rtx_is_enough_on_an_rtx_gpu(host):
    host.smi = Answer(True, GPU_LINE)
    host.modules = {"tensorrt": Answer(False, "No module named"), "tensorrt_rtx": RTX}
    assert named(check_gpu(host), "TensorRT").level is Level.NOTE
    found = named(check_gpu(host), "TensorRT for RTX")
    assert (found.level, found.value.split(",")[0]) == (Level.OK, "1.7.1.116")


def test_tensorrt_for_rtx_is_said_to_be_of_no_use_on_an_h100(host):
    host.smi = Answer(True, H100_LINE)
    host.modules = {"tensorrt": Answer(False, "No module named"), "tensorrt_rtx": RTX}
    assert named(check_gpu(host), "TensorRT").level is Level.WARNING
    assert "not for NVIDIA H100 80GB HBM3" in named(check_gpu(host), "TensorRT for RTX").value


def test_a_jetson_is_named_by_its_release(host):
    host.files["/etc/nv_tegra_release"] = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD"
    assert named(check_gpu(host), "Jetson").value == "L4T 36.4.3"


def test_a_warning_without_a_remedy_cannot_be_made():
    with pytest.raises(ValueError, match="needs a remedy"):
        Finding("ROS", "middleware", Level.WARNING, "odd")


def test_the_real_host_answers_and_a_failing_import_is_its_last_line():
    real = Host()
    assert real.cores >= 1
    assert real.space("/") is not None
    assert real.space("/no/such/folder") is None
    assert real.read("/no/such/file") is None
    assert real.run(["no-such-program"]) is None
    assert real.python_says("print(6 * 7)") == Answer(True, "42")
    failed = real.python_says("import no_such_module")
    assert (failed.good, failed.text) == (
        False,
        "ModuleNotFoundError: No module named 'no_such_module'",
    )


@pytest.mark.parametrize("environ", [{"ROS_HOME": "/data/ros"}, {"ROS_LOG_DIR": "/data/log"}])
def test_without_a_home_ros_may_log_where_its_variables_say(host, environ):
    host.environ = {"ROS_DISTRO": "jazzy", **environ}
    found = named(check_ros(host), "log folder")
    assert found.level is Level.OK and found.value.startswith("/data/")


def test_other_middlewares_have_no_leftovers_of_fast_dds(host):
    host.environ = {**host.environ, "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}
    host.leftovers = {"fastrtps_0123456789abcdef": 2**40}
    assert "leftover segments" not in [finding.name for finding in check_ros(host)]


def test_the_real_host_knows_which_folders_it_can_write(tmp_path):
    host = Host()
    assert host.writable(str(tmp_path)) and host.writable(str(tmp_path / "new" / "folders"))
    assert not host.writable("/proc/new")
    assert not list(tmp_path.iterdir())
