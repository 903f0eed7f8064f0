"""A training among hostile files and variables: nothing of them is run, and nobody else is listened to."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

TRAPS = ("numpy", "psutil", "msgspec", "torch", "safetensors", "cv2", "typer", "arcterm_registry")
HOSTILE = {
    "PET_NNODES": "2",
    "PET_STANDALONE": "0",
    "PET_RDZV_ENDPOINT": "192.0.2.1:29500",
    "TORCHELASTIC_HEALTH_CHECK_PORT": "0",
    "MASTER_ADDR": "192.0.2.1",
    "MASTER_PORT": "1",
    "RANK": "5",
    "WORLD_SIZE": "9",
    "LOCAL_RANK": "5",
    "PYTHON_EXEC": "/bin/false",
    "LOGLEVEL": "no such level",
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "0",
}


def heard_beyond_loopback(processes: list[psutil.Process]) -> list[str]:
    """Addresses that are not loopback's at which one of the processes listens, or takes datagrams."""
    found = []
    for process in processes:
        for connection in process.net_connections("inet"):
            waits = connection.status == psutil.CONN_LISTEN or (
                connection.type == socket.SOCK_DGRAM and not connection.raddr
            )
            if waits and connection.laddr.ip not in ("127.0.0.1", "::1"):
                found.append(f"{connection.laddr.ip}:{connection.laddr.port} of {process.cmdline()}")
    return found


def outside() -> str:
    """The name of a network interface that is not loopback; skips without one."""
    names = [name for name, state in psutil.net_if_stats().items() if name != "lo" and state.isup]
    if not names:
        pytest.skip("this machine has no network interface but loopback")
    return names[0]


@pytest.fixture
def hostile(arcterm):
    """The command line in a folder of traps, under variables that would lead anything astray."""
    for name in TRAPS:
        sprung = arcterm.folder / "sprung"
        (arcterm.folder / f"{name}.py").write_text(f"open({str(sprung)!r}, 'a').write('{name} ')\n")
    interface = outside()
    arcterm.env |= HOSTILE | {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}
    arcterm.env["PYTHONPATH"] = f":.:{arcterm.env['PYTHONPATH']}:"
    arcterm.env["PATH"] = f".:{arcterm.env['PATH']}"
    return arcterm


def test_the_check_finds_who_listens_to_all():
    with socket.create_server(("0.0.0.0", 0)) as server:
        (found,) = heard_beyond_loopback([psutil.Process()])
        assert str(server.getsockname()[1]) in found


def test_a_training_among_strangers(hostile, pack):
    hostile(
        "train", "tiny", "arcface", "--dataset", str(pack), "--nproc", "2", "--batch-size", "6",
        "--steps", "4000", "--name", "safe", "--retries", "0", "--detach",
    )  # fmt: skip
    told = hostile.wait("safe", lambda told: told["step"] >= 2)
    supervisors = [p for p in psutil.process_iter() if _is(p, "arcterm.processes.supervisor", told["path"])]
    below = supervisors[0].children(recursive=True)
    assert sum(_is(process, "arcterm.processes.rank", told["path"]) for process in below) == 2
    assert heard_beyond_loopback([*supervisors, *below]) == []

    ranks = [process.environ() for process in below if _is(process, "arcterm.processes.rank", told["path"])]
    meeting = Path(ranks[0]["ARCTERM_RENDEZVOUS"])
    assert stat.S_IMODE(meeting.stat().st_mode) == 0o700
    assert not meeting.is_relative_to(told["path"])
    for environ in ranks:
        assert (environ["GLOO_SOCKET_IFNAME"], environ["NCCL_SOCKET_IFNAME"]) == ("lo", "lo")
        assert not {name for name in environ if name.startswith("PET_")}
        assert environ["PYTHONSAFEPATH"] == "1"
        assert (environ["WORLD_SIZE"], environ["MASTER_ADDR"]) == ("2", "127.0.0.1")

    below[-1].kill()
    hostile.wait("safe", lambda told: told["state"] == "failed")
    psutil.wait_procs([*supervisors, *below], timeout=60)
    assert not meeting.exists()

    (hostile.folder / "no.pt").write_bytes(b"no model")
    hostile("embed", "no.pt", "no.pt", code=3)
    hostile("model", "import", "no.pt", code=3)
    hostile("plugins", "check", "softmax", "--quick")
    assert not (hostile.folder / "sprung").exists()


def _is(process: psutil.Process, module: str, run: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return module in words and run in words
