"""Event lines: what is written is what is read, and damage is noticed."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcterm.runs import events
from arcterm.runs.events import Gpu, Gpus, Message, Mined, Step, decode, encode, real


def step(**changes):
    fields = {
        "step": 3,
        "epoch": 1,
        "loss": 2.5,
        "accuracy": 0.5,
        "angle": 80.0,
        "lr": 0.1,
        "images_per_second": 9.0,
        "samples": 24,
        "data_wait": 0.0,
    }
    return Step(**{**fields, **changes})


def test_a_line_is_json_whose_last_key_is_the_crc_of_what_is_before_it():
    line = encode(step(t=12.5))
    assert line.endswith(b"\n")
    parsed = json.loads(line)
    assert list(parsed)[-1] == "crc"
    assert parsed["k"] == "step"
    assert parsed["t"] == 12.5
    before = line[: line.rindex(b',"crc":"')]
    assert parsed["crc"] == f"{zlib.crc32(before):08x}"


def test_what_is_written_is_read():
    for event in (
        step(t=1.0, times={"data": 1.5}),
        step(t=1.0, active=0.25),
        Mined(t=1.0, step=9, round=2, bags=1, images=50, pairs=9, triplets=8, steps=2, seconds=0.5),
        Message(t=1.0, level="info", text='a "quoted" ,"crc":"00"} tail'),
    ):
        assert decode(encode(event)) == event
    gpus = Gpus(t=1.0, host="h", gpus=[Gpu(index=0, name="A", utilisation=None, power=1.5)])
    assert decode(encode(gpus)) == gpus


def test_numbers_that_are_not_finite_stay_json():
    line = encode(step(loss=real(float("nan")), angle=real(float("-inf"))))
    assert json.loads(line)["loss"] == "nan"
    event = decode(line)
    assert isinstance(event, Step)
    assert float(event.loss) != float(event.loss)
    assert float(event.angle) == float("-inf")


def test_every_flipped_bit_is_noticed():
    line = encode(step(t=1.0))
    for position in range(len(line) - 1):
        for bit in range(8):
            damaged = bytearray(line)
            damaged[position] ^= 1 << bit
            assert decode(bytes(damaged)) is None


@given(st.binary(max_size=200))
def test_no_line_raises(line):
    assert decode(line) is None or isinstance(decode(line), events.Event)


@pytest.mark.parametrize("body", [b"[]", b'{"k":"unknown"', b'{"k":"step"', b"{", b""])
def test_a_valid_crc_does_not_make_an_event(body):
    assert decode(b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))) is None
