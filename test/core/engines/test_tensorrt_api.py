"""The contract with TensorRT's Python API: what the code uses exists in 10.3, in the newest 11, and
in TensorRT for RTX.

`typings/tensorrt.pyi` lists what the code uses; mypy (`make lint`) lets it use nothing else. Here
each line of it is held against the real bindings: those of TensorRT imported over stub libraries,
since TensorRT itself is not on the package index; those of TensorRT for RTX over its own. The
stand-ins that the other tests run on offer no more than that list either.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
STUB = CHECKOUT / "typings" / "tensorrt.pyi"
RTX_STUB = STUB.with_name("tensorrt_rtx.pyi")

BINDINGS = {
    10: "tensorrt-cu12-bindings==10.3.0",  # JetPack 6's
    11: "tensorrt-cu13-bindings>=11.4,<12",  # the newest
}

LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
SYMBOLS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL"),
    *("createInferRuntime_INTERNAL", "createNvOnnxParser_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "getBuilderPluginRegistry", "getPluginRegistry"),
    *("getNvOnnxParserVersion", "initLibNvInferPlugins"),
)
"""What the bindings ask of the libraries when they are imported."""

MODULES = ("trt", "rtx", "tensorrt", "tensorrt_rtx")
"""Names of the modules in the code."""

INVISIBLE = {"__buffer__"}
"""Python before 3.12 does not show that a type has the buffer protocol."""

TYPES = {
    "int": {"int", "typing.SupportsInt"},
    "bytes": {"buffer", "typing_extensions.Buffer"},
    "tuple[int, ...]": {"tuple", "Dims"},
    "list[Dims]": {"List[Dims]", "list[Dims]"},
    "ParserError": {"ParserError", "nvonnxparser::IParserError"},
    "ILogger.Severity": {"ILogger.Severity"},
    "IRuntimeCache": {"IRuntimeCache", "nvinfer1::IRuntimeCache"},
}
"""How the bindings write a type of the stub, where they write it differently."""


# --- the stub ----------------------------------------------------------------------------------


def stub_classes(body):
    """Every class of a stub: its enum members, properties, settable attributes and methods."""
    classes = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            classes[node.name] = describe(node)
    return classes


def describe(node):
    found = {"members": [], "properties": {}, "settable": {}, "methods": {}, "classes": {}}
    found["classes"] = stub_classes(node.body)
    for item in node.body:
        if isinstance(item, ast.Assign):
            found["members"].append(item.targets[0].id)
        elif isinstance(item, ast.AnnAssign):
            found["settable"][item.target.id] = ast.unparse(item.annotation)
        elif isinstance(item, ast.FunctionDef):
            returns = ast.unparse(item.returns).removesuffix(" | None")
            if any(ast.unparse(d) == "property" for d in item.decorator_list):
                found["properties"][item.name] = returns
            else:
                arguments = [
                    (a.arg, ast.unparse(a.annotation)) for a in item.args.args if a.arg != "self"
                ]
                found["methods"][item.name] = arguments, returns
    return found


def names_of(found):
    """Everything that a class of the stub offers."""
    groups = ("members", "properties", "settable", "methods", "classes")
    return {name for group in groups for name in found[group]}


STUBS = stub_classes(ast.parse(STUB.read_text()).body)
RTX_STUBS = stub_classes(ast.parse(RTX_STUB.read_text()).body)


# --- the real bindings -------------------------------------------------------------------------


@pytest.fixture(scope="session", params=BINDINGS, ids="TensorRT {}".format)
def bindings(request, cache, tmp_path_factory):
    """Folder of the bindings, and the environment in which they can be imported."""
    major = request.param
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("building the stub libraries needs a C compiler (apt install gcc)")
    folder = tmp_path_factory.mktemp(f"trt{major}")
    with zipfile.ZipFile(wheel(major, cache)) as archive:
        archive.extractall(folder)
    source = folder / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in SYMBOLS))
    for name in LIBRARIES:
        library = f"lib{name}.so.{major}"
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", folder / library]
        subprocess.run([*command, source], check=True)
    return folder, {**os.environ, "LD_LIBRARY_PATH": str(folder), "OMP_NUM_THREADS": "1"}


def wheel(major: int, cache: Path) -> Path:
    """The wheel, newest first asked of the index, else the one that is kept."""
    folder = cache / f"{major}-{sys.implementation.cache_tag}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    done = subprocess.run([*command, BINDINGS[major]], capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not found and "from versions" in done.stderr and sys.version_info >= (3, 13):
        pytest.skip(f"{BINDINGS[major]} has no wheel for Python {sys.version.split()[0]}")
    assert found, done.stderr
    return found[-1]


@pytest.fixture(scope="session")
def real(bindings):
    """What the bindings offer; see dump_api.py."""
    folder, environment = bindings
    return dump(folder, "tensorrt_bindings", environment)


@pytest.fixture(scope="session")
def real_rtx(rtx_folder):
    """What the bindings of TensorRT for RTX offer."""
    return dump(rtx_folder, "tensorrt_rtx", os.environ)


def dump(folder, module, environment):
    command = [sys.executable, HERE / "dump_api.py", folder, module]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def signatures(name, doc):
    """The overloads in a binding's docstring: [(name, type, has a default)], return type."""
    for line in doc.splitlines():
        match = re.match(rf"\s*(?:\d+\. )?(?:{re.escape(name)})?\((.*)\) -> (.*)$", line)
        if not match:
            continue
        arguments = []
        for part in re.split(r", (?=\w+: )", match[1]):
            parsed = re.match(r"(\w+): ([^=]*?)( = .*)?$", part)
            if parsed and parsed[1] not in ("self", "arg0"):
                arguments.append((parsed[1], plain(parsed[2]), parsed[3] is not None))
        yield arguments, plain(match[2])


def plain(kind):
    return re.sub(r"tensorrt(_rtx)?_bindings\.tensorrt(_rtx)?\.", "", kind).strip()


def same(stub, real):
    return real in TYPES.get(stub.removesuffix(" | None"), {stub.removesuffix(" | None")})


def takes(wanted, given):
    """Whether a call as the stub has it fits an overload of the bindings."""
    head, tail = given[: len(wanted)], given[len(wanted) :]
    return len(head) == len(wanted) and all(optional for _, _, optional in tail) and all(
        name == have and same(kind, has) for (name, kind), (have, has, _) in zip(
            wanted, head, strict=True))  # fmt: skip


def problems(name, stub, real):
    """What a class of the stub has and the real one lacks or has otherwise."""
    if real is None:
        yield f"{name} does not exist"
        return
    for member in stub["members"]:
        if member not in real["members"]:
            yield f"{name}.{member} does not exist"
    for inner, found in stub["classes"].items():
        yield from problems(f"{name}.{inner}", found, real["attributes"].get(inner))
    for attribute, kind in {**stub["properties"], **stub["settable"]}.items():
        found = real["attributes"].get(attribute)
        if found is None or found["kind"] != "property":
            yield f"{name}.{attribute} is no property"
        elif attribute in stub["settable"] and not found["settable"]:
            yield f"{name}.{attribute} cannot be set"
        elif not any(same(kind, returns) for _, returns in signatures("", found["doc"])):
            yield f"{name}.{attribute} is not {kind}: {found['doc']}"
    for method, (arguments, returns) in stub["methods"].items():
        found = real["attributes"].get(method)
        if method in INVISIBLE:
            continue
        if found is None or found["kind"] != "method":
            yield f"{name}.{method} is no method"
        elif not method.startswith("__") or method == "__init__":
            overloads = list(signatures(method, found["doc"]))
            if not any(takes(arguments, a) and same(returns, r) for a, r in overloads):
                yield f"{name}.{method}{arguments} -> {returns} is not among {overloads}"


# --- the claims --------------------------------------------------------------------------------


@pytest.mark.network
def test_everything_the_code_uses_exists_in_the_real_bindings(real):
    found = []
    for name, stub in STUBS.items():
        found += problems(name, stub, real["classes"].get(name))
    assert found == [], real["version"]


@pytest.mark.network
@pytest.mark.timeout(300)  # the first run fetches it
def test_everything_the_code_uses_exists_in_tensorrt_for_rtx(real_rtx):
    found = []
    for name, stub in (*STUBS.items(), *RTX_STUBS.items()):
        found += problems(name, stub, real_rtx["classes"].get(name))
    assert found == [], real_rtx["version"]


@pytest.mark.network
def test_the_comparison_sees_what_a_version_lacks(real):
    """Precision flags were in 10.3 and are gone in 11: the test above would see such a use."""
    flag = {"members": ["FP16"], "properties": {}, "settable": {}, "methods": {}, "classes": {}}
    lacks = list(problems("BuilderFlag", flag, real["classes"]["BuilderFlag"]))
    assert (lacks == []) == real["version"].startswith("10.")
    other = {**flag, "members": [], "methods": {"execute_async_v3": ([("stream", "int")], "bool")}}
    assert list(problems("IExecutionContext", other, real["classes"]["IExecutionContext"]))
    other = {**flag, "members": [], "settable": {"num_io_tensors": "int"}}
    assert list(problems("ICudaEngine", other, real["classes"]["ICudaEngine"]))


@pytest.mark.network
def test_the_packages_logger_monitor_and_errors_work_with_the_real_classes(bindings, network):
    folder, environment = bindings
    command = [sys.executable, HERE / "use_api.py", folder, network]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", ["tensorrt", "rtx"])
def test_the_stand_in_offers_what_the_stub_lists_and_nothing_else(fakes, library):
    module = getattr(fakes, library).make()
    stubs = STUBS if library == "tensorrt" else RTX_STUBS
    for name, stub in stubs.items():
        offered = {n for n in vars(getattr(module, name)) if not n.startswith("_")}
        wanted = {n for n in names_of(stub) if not n.startswith("__")}
        instance = {"ready"} | set(stub["settable"])  # made when an object is
        if library == "rtx" and name in STUBS:
            instance |= names_of(STUBS[name])
        if stub["members"]:  # an enum may have values that the code only receives
            assert wanted <= offered, name
        else:
            assert wanted - instance <= offered <= wanted | instance, name
    public = {n for n in vars(module) if not n.startswith("_")}
    assert public == {*STUBS, *stubs, "calls", "settings"}


def sources():
    import vitpose_ros.engines as package

    folder = Path(package.__file__).parent
    return [folder / "tensorrt.py", *sorted((folder / "trt").glob("*.py"))]


def test_the_code_uses_every_name_of_the_stub_and_none_of_the_module_beside_it():
    used, attributes = set(), set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                attributes.add(node.attr)
                if isinstance(node.value, ast.Name) and node.value.id in MODULES:
                    used.add(node.attr)
            elif isinstance(node, ast.FunctionDef):
                attributes.add(node.name)  # what TensorRT calls
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                attributes.add(node.value)  # getattr
                used |= set(re.findall(r"\btensorrt(?:_rtx)?\.([A-Z]\w+)", node.value))
    assert used - {"__version__"} <= {*STUBS, *RTX_STUBS}
    special = {"__len__", "__getitem__", "__buffer__", "__int__"}
    unused = {
        f"{name}.{member}"
        for name, stub in (*STUBS.items(), *RTX_STUBS.items())
        for member in names_of(stub)
        if member not in attributes | special | {"SM89"}
    }
    assert unused == set()


def test_mypy_refuses_what_the_stub_does_not_list(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy: make test")
    lines = [
        "import tensorrt as trt",
        "engine = trt.Runtime(trt.ILogger()).deserialize_cuda_engine(b'')",
        "assert engine is not None",
        "print(engine.num_io_tensors, engine.device_memory_size_v2)",
        "trt.BuilderFlag.FP16",  # from here on, each is wrong
        "engine.device_memory_size",
        "trt.Builder(trt.ILogger()).create_network(1, 2)",
        "trt.Builder(trt.ILogger()).platform_has_fast_fp16",
    ]
    (tmp_path / "code.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--no-site-packages", "code.py"]
    environment = {**os.environ, "MYPYPATH": str(STUB.parent)}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    wrong = [int(n) for n in re.findall(r"^code\.py:(\d+): error", done.stdout, re.MULTILINE)]
    assert sorted(set(wrong)) == [5, 6, 7, 8], done.stdout + done.stderr
