"""`deploy/`: each file is what its reader expects, names what is there, restarts what stalls."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPO
from tests.visitor import free_port, run_server

DEPLOY = REPO / "deploy"
SYSTEMD = sorted((DEPLOY / "systemd").iterdir())
HEALTH = DEPLOY / "health.sh"


def compose(name: str = "compose.yaml") -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def test_services_of_compose_start_again_and_need_what_is_there() -> None:
    services = compose()["services"]
    for service in services.values():
        needs = service.get("depends_on", [])
        assert set(needs) <= set(services)
        assert service["restart"] == "unless-stopped"
    assert services["app"]["pid"].partition(":")[::2] == ("service", "processes")


def test_replicas_share_one_volume_that_the_image_writes_to() -> None:
    app = compose()["services"]["app"]
    (volume,) = app["volumes"]
    name, at = volume.split(":")
    assert name in compose()["volumes"]
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for variable in ("DATA", "RUNS", "CACHE"):
        assert f"SMALL_PLATES_{variable}={at}/" in image
    assert app["deploy"]["replicas"] == "${REPLICAS:-2}"
    assert re.search(r"^server app:8501 ", (DEPLOY / "replicas.conf").read_text(), re.MULTILINE)


def test_what_nginx_includes_is_given_to_it() -> None:
    included = set(re.findall(r"include (\S+);", (DEPLOY / "nginx.conf").read_text()))
    mounted = {
        Path(volume.split(":")[0]).name for volume in compose()["services"]["proxy"]["volumes"]
    }
    assert mounted == included | {"nginx.conf"}
    assert all((DEPLOY / name).is_file() for name in mounted)


@pytest.mark.parametrize("name", ["Dockerfile", "space/Dockerfile"])
def test_images_are_made_of_files_that_are_there(name: str) -> None:
    text = re.sub(r"\\\n", "", (DEPLOY / name).read_text(encoding="utf-8"))
    lines = [line.split(None, 1) for line in text.splitlines() if line and line[0] not in "#"]
    known = {"ARG", "FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "CMD"}
    assert {word for word, _rest in lines} <= known
    stages = {rest.split(" AS ")[-1] for word, rest in lines if word == "FROM"}
    for word, rest in lines:
        if word == "FROM":
            start = rest.split()[0]
            assert start in stages | {"${PROCESSOR}"} or start.startswith("python:3.11-")
        if word == "COPY":
            *sources, _to = [part for part in rest.split() if not part.startswith("--")]
            assert all((REPO / source).exists() for source in sources)
    if name == "Dockerfile":
        assert {"cpu", "gpu", "app"} <= stages
    command = yaml.safe_load(next(rest for word, rest in lines if word == "CMD"))
    assert "streamlit run app.py" in " ".join(command)
    users = [rest for word, rest in lines if word == "USER"]
    assert users and "root" not in users  # visitors' bytes are opened by an account without rights


def test_an_image_holds_what_the_app_reads() -> None:
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert kept[0] == "*"
    names = {line[1:] for line in kept if line.startswith("!")}
    assert all((REPO / name).exists() for name in names)
    assert {"app.py", "core", "pages", "pretrained", ".streamlit", "requirements.txt"} <= names


def test_a_space_begins_with_what_hugging_face_reads() -> None:
    _empty, front, _text = (DEPLOY / "space" / "README.md").read_text("utf-8").split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["sdk"] == "docker" and about["license"] == "mit"
    image = (DEPLOY / "space" / "Dockerfile").read_text(encoding="utf-8")
    assert f"--server.port={about['app_port']}" in image


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_its_units(tmp_path: Path) -> None:
    copies = []
    for unit in SYSTEMD:
        text = unit.read_text(encoding="utf-8")
        for place, ours in (("/opt/small-plates/.venv/bin/python", sys.executable),
                            ("/opt/small-plates", str(REPO))):  # fmt: skip
            text = text.replace(place, ours)
        copies.append(tmp_path / unit.name)
        copies[-1].write_text(text, encoding="utf-8")
    words = ["systemd-analyze", "verify", "--man=no", *map(str, copies)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr


def asked_port(command: str) -> str:
    """The port that a command of ours gives to health.sh."""
    words = shlex.split(command)
    at = next(i for i, word in enumerate(words) if word.endswith("deploy/health.sh"))
    return words[at + 1]


def test_process_managers_ask_the_port_that_is_served() -> None:
    check = compose()["services"]["app"]["healthcheck"]
    assert check["test"][0] == "CMD-SHELL" and asked_port(check["test"][1]) == "8501"
    assert check["timeout"] > "10s" and check["interval"] == "10s"
    assert "/tmp/server.pid" in check["test"][1]
    assert "> /tmp/server.pid" in (DEPLOY / "Dockerfile").read_text()
    units = {unit.name: unit.read_text(encoding="utf-8") for unit in SYSTEMD}
    ask = re.search(r"^ExecStart=(.*)$", units["small-plates-health.service"], re.MULTILINE)
    assert ask and asked_port(ask[1]) == "8501" and "restart small-plates.service" in ask[1]
    assert "--port 8501" in units["small-plates.service"]
    assert "Restart=always" in units["small-plates.service"]
    assert "OnUnitInactiveSec=10s" in units["small-plates-health.timer"]


needs_curl = pytest.mark.skipif(
    os.name == "nt" or shutil.which("curl") is None, reason="health.sh needs a shell and curl"
)


@needs_curl
def test_a_server_that_refuses_is_left_alone(tmp_path: Path) -> None:
    words = ["sh", str(HEALTH), str(free_port()), "touch", str(tmp_path / "restarted")]
    assert subprocess.run(words, timeout=30).returncode == 1
    assert not (tmp_path / "restarted").exists()


@needs_curl
@pytest.mark.slow
def test_only_a_server_that_stalls_is_restarted(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        port = server.address.rpartition(":")[2]
        words = ["sh", str(HEALTH), port, "kill", "-KILL", str(server.process.pid)]
        assert subprocess.run(words, timeout=30).returncode == 0
        assert server.process.poll() is None
        os.kill(server.process.pid, signal.SIGSTOP)  # it takes connections and says nothing
        began = time.monotonic()
        assert subprocess.run(words, timeout=60).returncode == 1
        assert 9 < time.monotonic() - began < 20
        assert server.process.wait(10) == -signal.SIGKILL


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_the_slurm_job_starts_a_training_on_every_gpu(tmp_path: Path) -> None:
    """What the script hands to srun, as torchrun's own parser and the command line read it."""
    from torch.distributed.run import get_args_parser

    for name, text in (("scontrol", "echo one; echo two"), ("srun", 'printf "%s\\n" "$@"')):
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    slurm = {
        "JOB_ID": "7", "JOB_NODELIST": "n[1-2]", "NNODES": "2", "GPUS_PER_NODE": "4",
        "CPUS_PER_TASK": "16",
    }  # fmt: skip
    job = subprocess.run(
        ["bash", DEPLOY / "slurm.sbatch", "--model", "resnet18", "--epochs", "2"],
        env={
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "FOOD11_ROOT": "s3://bucket/food",
            **{f"SLURM_{name}": value for name, value in slurm.items()},
        },
        capture_output=True,
        text=True,
        check=True,
    )
    program, *rest = job.stdout.splitlines()
    assert Path(program).name == "torchrun"
    given = get_args_parser().parse_args(rest)
    assert (given.nnodes, given.nproc_per_node) == ("2", "4")
    assert (given.rdzv_id, given.rdzv_endpoint) == ("7", "one:29500")
    assert given.module and given.training_script == "core"
    command, *settings = given.training_script_args
    assert command == "train"
    assert settings == ["--device", "cuda", "--model", "resnet18", "--epochs", "2"]
