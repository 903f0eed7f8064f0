"""What --nnodes, --rdzv and --local-addr mean, and the config of an elastic run on fewer hosts."""

from __future__ import annotations

import threading

import msgspec
import pytest

from arcterm.errors import ConfigError, RunError
from arcterm.launch.hosts import joining
from arcterm.launch.hosts.asked import AskedHosts, parse
from arcterm.processes.hosts import address, elastic
from arcterm.processes.hosts.address import Meeting

from ..runs.conftest import config


@pytest.mark.parametrize(
    ("words", "hosts"),
    [
        (("2", "10.0.0.1:29400", None), AskedHosts(least=2, most=2, meeting=Meeting("10.0.0.1", 29400))),
        (
            ("1:4", "[fd00::1]:29400", "ib0"),
            AskedHosts(least=1, most=4, meeting=Meeting("fd00::1", 29400), local="ib0"),
        ),
        (("2", None, None), AskedHosts(least=2, most=2)),
    ],
)
def test_what_is_asked_for(words, hosts):
    assert parse(*words) == hosts


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("0", "a:1", None), "no number of hosts"),
        (("two", "a:1", None), "no number of hosts"),
        (("3:2", "a:1", None), "falls"),
        (("2", "10.0.0.1", None), "no place to meet"),
        (("2", "fd00::1:29400", None), r"no place to meet\n.*, or \[fd00::1\]:29400"),
        (("2", "10.0.0.1:99999", None), "no place to meet"),
        (("2", "10.0.0.1:0", None), "names no port"),
        ((None, None, "ib0"), "--local-addr without --rdzv"),
    ],
)
def test_what_can_not_be(words, says):
    with pytest.raises(ConfigError, match=says):
        parse(*words)


def test_addresses_are_of_this_machine_and_ports_are_free():
    assert address.choose("lo", "127.0.0.1") == "127.0.0.1"
    assert address.interface_of("127.0.0.1") == "lo"
    assert address.choose("", "127.0.0.1") == "127.0.0.1"
    if address.is_here("::1"):
        assert (
            address.choose("lo", "::1") == address.choose("[::1]", "") == address.choose("", "::1") == "::1"
        )
    with pytest.raises(ConfigError, match=r"this machine has no address 192\.0\.2\.7"):
        address.choose("192.0.2.7", "127.0.0.1")
    with pytest.raises(ConfigError, match="has no address"):
        address.resolve("no.such.name.invalid")
    with (
        address.listen("127.0.0.1", 0) as held,
        pytest.raises(RunError, match="is in use by another program"),
    ):
        address.listen("127.0.0.1", held.getsockname()[1])


@pytest.mark.parametrize("place", ["127.0.0.1", "::1"])
def test_a_host_that_can_not_be_reached_is_named_and_so_is_a_folder_that_is_not_shared(
    tmp_path, monkeypatch, place
):
    if not address.is_here(place):
        pytest.skip(f"no interface here has {place}")
    said: list[str] = []
    monkeypatch.setattr(joining, "_PATIENCE_SECONDS", 0.0)
    with address.listen(place, 0) as listener:
        meeting = Meeting(place, listener.getsockname()[1])
        hosts = parse("2", str(meeting), None)
        assert hosts.meeting == meeting

        def answer() -> None:
            with listener.accept()[0] as taken:
                taken.sendall(b'{"run": "a-run", "nonce": "%s"}\n' % (b"0" * 32))

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(RunError, match="a-run, which is not in"):
            joining.find(hosts, tmp_path, said.append)
        answering.join()
    asking = f"asking {meeting} from {place} which run it is, for 0 s at most"
    assert said == [asking]
    with pytest.raises(RunError, match="can't be reached: Connection refused, for 0 s") as refused:
        joining.find(hosts, tmp_path, said.append)
    assert refused.value.hint == f"start the same command on {place}, and see that this host reaches it"
    assert said == [asking, asking]


def test_a_step_has_as_many_images_on_fewer_hosts():
    whole = config(hosts=4, nproc=8, gpus=[], batch_size=6, least_hosts=1, most_hosts=4)
    two = elastic.fit(whole, 2)
    assert (two.hosts, two.nproc, two.batch_size, two.accumulate) == (2, 4, 6, 2)
    assert two.global_batch == whole.global_batch
    assert elastic.fit(two, 5) == whole
    three = elastic.fit(whole, 3)  # 48 images by 6 ranks: 8 of each, which is not in passes of 6
    assert (three.hosts, three.batch_size, three.accumulate, three.global_batch) == (3, 8, 1, 48)
    odd = config(hosts=4, nproc=4, batch_size=5, least_hosts=3, most_hosts=4)
    assert elastic.fit(odd, 3) is None
    assert elastic.fit(msgspec.structs.replace(odd, least_hosts=2), 3).hosts == 2
    compared = msgspec.structs.replace(whole, loss="triplet")
    assert (elastic.fit(compared, 2).batch_size, elastic.fit(compared, 2).accumulate) == (12, 1)
    assert elastic.fit(config(hosts=2, nproc=2), 1) is None
