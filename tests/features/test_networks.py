"""What is known of the networks that embed pictures together."""

from __future__ import annotations

from arcterm.features.networks import Networks
from arcterm.files import stamp


def test_every_file_of_a_model_is_looked_at(tmp_path):
    """MXNet's ``PREFIX,EPOCH`` is two files, and names neither."""
    files = [tmp_path / "net-symbol.json", tmp_path / "net-0001.params"]
    for file in files:
        file.write_bytes(b"x")
    networks = Networks([], [], None, [files, []])
    before = networks.stamp()
    assert before == stamp(files)
    files[1].write_bytes(b"other")
    assert networks.stamp() != before
