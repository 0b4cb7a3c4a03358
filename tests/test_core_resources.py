"""Who gets which GPU, and who waits: cases, and properties that hold whatever is asked and whoever ends when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_core_race import Story, spec, with_worker
from wtrace.config.load import parse
from wtrace.config.spec import RaceSpec
from wtrace.errors import ConfigError
from wtrace.race import events as ev
from wtrace.race import policy, resources
from wtrace.race.phases import BUSY, Ended, Launching
from wtrace.race.reduce import evolve
from wtrace.race.resources import Device, Grant, Lack, Machine, Room, Taken
from wtrace.race.scheduling import MOST_OFTEN_PASSED, SETTLED_AFTER_S, impossible
from wtrace.race.state import begin

GIB = 2**30


def box(gpus: int = 2, cores: int = 8, memory_gib: int = 64) -> Machine:
    devices = tuple(Device(str(n), 40 * GIB) for n in range(gpus))
    return Machine(cores, devices, memory_gib * GIB, by_bus=True)


def asking(race: RaceSpec, **gpus: float) -> RaceSpec:
    for name, count in gpus.items():
        race = with_worker(race, name, gpus=count)
    return race


class Shop(Story):
    """A race whose supervisor knows the machine."""

    def __init__(self, race: RaceSpec, machine: Machine, room: Room | None = None) -> None:
        self.machine, self.room = machine, room
        super().__init__(race)

    def __post_init__(self) -> None:
        self.state = evolve(begin(self.spec, self.now), ev.MachineFound(self.now, self.machine))
        self.settle()

    def settle(self) -> list[policy.Action]:
        while (fact := policy.conclude(self.state, self.now)) is not None:
            self.note(fact)
        actions = policy.decide(self.state, self.now, self.room)
        for action in actions:
            event = policy.intent(action, self.now)
            if event is not None:
                self.note(event)
        self.deeds += actions
        return actions

    def given(self, name: str) -> tuple[str, ...] | None:
        grant = self.state.workers[name].grant
        assert grant is not None
        return grant.devices

    def busy(self) -> list[str]:
        return [name for name, worker in self.state.workers.items() if isinstance(worker.phase, BUSY)]

    def ends(self, name: str) -> None:
        if isinstance(self.state.workers[name].phase, Launching):
            self.started(name)
        self.exited(name)


def test_each_gets_a_gpu_of_its_own_and_the_next_one_waits_for_it() -> None:
    race = asking(spec("a", "b", "c"), a=1, b=1, c=1)
    shop = Shop(race, box(gpus=2))
    assert shop.busy() == ["a", "b"]
    assert (shop.given("a"), shop.given("b")) == (("0",), ("1",))
    shop.ends("b")
    assert shop.busy() == ["a", "c"]
    assert shop.given("c") == ("1",)


def test_shares_go_where_the_least_is_used_and_make_room_where_whole_gpus_are_asked_for() -> None:
    shares = asking(spec("a", "b", "c"), a=0.5, b=0.25, c=0.25)
    shop = Shop(shares, box(gpus=2))
    assert [shop.given(name) for name in "abc"] == [("0",), ("1",), ("1",)]
    shop = Shop(asking(spec("a", "b", "w"), a=0.25, b=0.25, w=1), box(gpus=2))
    assert [shop.given(name) for name in "abw"] == [("0",), ("0",), ("1",)]


def test_ten_tenths_of_a_gpu_are_one() -> None:
    names = [f"w{n}" for n in range(11)]
    race = asking(spec(*names, max_parallel=11), **dict.fromkeys(names, 0.1))
    assert Shop(race, box(gpus=1)).busy() == names[:10]


def test_auto_counts_gpus_and_a_share_of_one_is_a_share_of_a_place() -> None:
    names = ["a", "b", "c", "d", "e"]
    auto = spec(*names, max_parallel=None)
    assert Shop(auto, box(gpus=2)).busy() == ["a", "b"]
    assert Shop(auto, box(gpus=0)).busy() == names
    shares = Shop(asking(auto, **dict.fromkeys(names, 0.5)), box(gpus=2, cores=8))
    assert shares.busy() == names[:4]
    assert [shares.state.workers[name].grant.threads for name in names[:4]] == [2] * 4  # type: ignore[union-attr]


def test_cores_and_memory_are_set_aside() -> None:
    race = with_worker(with_worker(spec("a", "b", "c"), "a", cpus=6), "b", cpus=4)
    assert Shop(race, box(cores=8)).busy() == ["a", "c"]
    heavy = spec("a", "b", "c")
    for name in "ab":
        heavy = with_worker(heavy, name, memory_bytes=40 * GIB)
    assert Shop(heavy, box(memory_gib=64)).busy() == ["a", "c"]


def test_threads_are_divided_among_those_that_run_at_once() -> None:
    race = with_worker(spec("a", "b", "c", "d"), "a", cpus=3)
    shop = Shop(race, box(cores=8))
    threads = [grant.threads for worker in shop.state.workers.values() if (grant := worker.grant)]
    assert threads == [3, 2, 2, 2]
    lone = Shop(spec("a", max_parallel=4), box(cores=8))
    assert lone.state.workers["a"].grant == Grant(threads=8, by_bus=True)
    assert resources.default_variables(lone.state.workers["a"].grant)["OMP_NUM_THREADS"] == "8"
    assert resources.variables(lone.state.workers["a"].grant) == {}, "what the user set otherwise stays"
    assert resources.variables(shop.state.workers["a"].grant)["OMP_NUM_THREADS"] == "3"


def test_who_asks_for_no_gpu_sees_none_where_gpus_are_handed_out_and_all_elsewhere() -> None:
    shop = Shop(asking(spec("a", "b"), a=1), box(gpus=2))
    given_a, given_b = (shop.state.workers[name].grant for name in "ab")
    expected = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert (resources.variables(given_a), resources.device_variables(given_a)) == ({}, expected)
    assert resources.variables(given_b) == {"CUDA_VISIBLE_DEVICES": ""}
    nobody = Shop(spec("a", "b"), box(gpus=2)).state.workers["a"].grant
    assert (resources.variables(nobody), resources.device_variables(nobody)) == ({}, {})


def test_a_worker_of_another_engine_takes_a_place_and_nothing_of_this_machine() -> None:
    race = with_worker(asking(spec("a", "far"), a=1, far=8), "far", runner="ray")
    shop = Shop(race, box(gpus=1))
    assert shop.busy() == ["a", "far"]
    assert shop.state.workers["far"].grant == Grant(by_bus=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpus": 3.0}, "asks for 3 GPUs, and this machine has 2"),
        ({"cpus": 9.0}, "asks for 9 cores, and this machine has 8"),
        ({"memory_bytes": 65 * GIB}, "asks for 65.0 GiB of memory, and this machine has 64.0 GiB"),
    ],
)
def test_what_this_machine_can_never_give_ends_the_worker_and_keeps_nobody_waiting(
    changes: dict[str, float], words: str
) -> None:
    shop = Shop(with_worker(spec("a", "b"), "a", priority=9, **changes), box())
    assert shop.busy() == ["b"]
    assert shop.outcome("a") == "failed"
    assert words in str(shop.state.workers["a"].note)


def test_smaller_ones_go_ahead_of_one_that_does_not_fit_but_not_for_ever() -> None:
    """`big` waits for two GPUs while one is always in use; each that ends would let in another small one."""
    names = [f"s{n}" for n in range(9)]
    race = asking(spec("first", "big", *names, max_parallel=20), first=1, big=2, **dict.fromkeys(names, 1.0))
    race = with_worker(with_worker(race, "first", priority=99), "big", priority=50)
    shop = Shop(race, box(gpus=2))
    assert shop.busy() == ["first", "s0"]
    started = ["first", "s0"]
    while "big" not in shop.busy():
        shop.ends(started[-2])
        started += [name for name in shop.busy() if name not in started]
        assert len(started) < 20
        if not shop.busy() or len(shop.busy()) == 1:
            shop.ends(shop.busy()[0])
            started += [name for name in shop.busy() if name not in started]
    small = [name for name in started if name.startswith("s")]
    assert len(small) == MOST_OFTEN_PASSED
    assert shop.given("big") == ("0", "1")


def test_who_waits_for_a_gpu_does_not_hold_up_who_needs_none() -> None:
    names = [f"c{n}" for n in range(8)]
    race = asking(spec("first", "gpu", *names, max_parallel=3), first=1, gpu=1)
    race = with_worker(with_worker(race, "first", priority=9), "gpu", priority=8)
    shop = Shop(race, box(gpus=1))
    for name in names:
        assert "gpu" not in shop.busy()
        shop.ends(name)
    assert shop.state.workers["gpu"].passed_over == 0


def test_a_gpu_whose_memory_others_use_is_not_handed_out_and_holds_nobody_up() -> None:
    race = asking(spec("a", "b", wait_for_gpu_memory_bytes=10 * GIB), a=1)
    shop = Shop(race, box(gpus=2), Room(None, {"0": 2 * GIB, "1": 30 * GIB}))
    assert shop.given("a") == ("1",)
    shop = Shop(race, box(gpus=2), Room(None, {"0": 2 * GIB, "1": 9 * GIB}))
    assert shop.busy() == ["b"]
    shop.room = Room(None, {"0": 2 * GIB, "1": 10 * GIB})
    shop.settle()
    assert shop.given("a") == ("1",)


def test_memory_that_a_worker_has_not_taken_yet_is_not_given_twice() -> None:
    race = asking(spec("a", "b", "c", wait_for_gpu_memory_bytes=10 * GIB), a=0.25, b=0.25, c=0.25)
    shop = Shop(race, box(gpus=1), Room(None, {"0": 25 * GIB}))
    assert shop.busy() == ["a", "b"]
    shop.start_all()
    shop.now += SETTLED_AFTER_S
    shop.room = Room(None, {"0": 9 * GIB})
    shop.settle()
    assert shop.busy() == ["a", "b"]
    shop.room = Room(None, {"0": 11 * GIB})
    shop.settle()
    assert shop.busy() == ["a", "b", "c"]


def test_the_memory_floor_keeps_the_next_one_waiting() -> None:
    race = spec("a", "b", memory_floor_bytes=8 * GIB)
    for name in "ab":
        race = with_worker(race, name, memory_bytes=10 * GIB)
    shop = Shop(race, box(), Room(20 * GIB))
    assert shop.busy() == ["a"]
    shop.room = Room(40 * GIB)
    shop.settle()
    assert shop.busy() == ["a", "b"]


def test_a_supervisor_that_resumes_hands_out_the_same() -> None:
    shop = Shop(asking(spec("a", "b", "c"), a=1, b=1, c=1), box(gpus=2))
    shop.started("a")
    again = begin(shop.spec, 1000.0)
    for event in [ev.MachineFound(1000.0, shop.machine), *shop.journal]:
        again = evolve(again, event)
    again = evolve(again, ev.MachineFound(shop.now, shop.machine))
    assert policy.decide(again, shop.now) == []
    (launch,) = [deed for deed in policy.unfinished(again) if isinstance(deed, policy.Launch)]
    assert launch.worker == "b" and launch.grant is not None
    assert launch.grant.devices == ("1",)


def test_gpus_are_whole_or_a_part_of_one() -> None:
    text = '[race]\nname = "r"\n[success]\na = "a >= 1"\n[workers.w]\nbranch = "b"\ncommand = ["x"]\ngpus = '
    assert [parse(text + count).workers[0].gpus for count in ("0.25", "1", "2.0")] == [0.25, 1, 2]
    with pytest.raises(ConfigError, match=r"workers\.w\.gpus: expected a whole number"):
        parse(text + "1.5")


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        (None, None),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0", ("0",)),
        ("2, 3", ("2", "3")),
        ("0,-1,1", ("0",)),
        ("1,1", ("1",)),
        ("GPU-8932f937,MIG-f1f2", ("GPU-8932f937", "MIG-f1f2")),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(
    value: str | None, tokens: tuple[str, ...] | None
) -> None:
    assert resources.visible_tokens(value) == tokens


shares = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 1.0, 2.0, 3.0])


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    names = [f"w{n}" for n in range(draw(st.integers(1, 7)))]
    race = spec(*names, max_parallel=draw(st.none() | st.integers(1, 8)))
    for name in names:
        race = with_worker(
            race,
            name,
            gpus=draw(shares),
            cpus=draw(st.none() | st.integers(1, 6)),
            memory_bytes=draw(st.none() | st.integers(1, 40)),
            priority=draw(st.integers(0, 3)),
        )
    machine = replace(box(gpus=draw(st.integers(0, 3)), cores=draw(st.integers(1, 6))), memory_bytes=40)
    return Shop(race, machine)


@given(shops(), st.data())
def test_nothing_is_given_twice_and_everybody_gets_a_turn(shop: Shop, data: st.DataObject) -> None:
    while shop.state.outcome is None:
        grants = [shop.state.workers[name].grant for name in shop.busy()]
        held = [grant for grant in grants if grant is not None]
        for device in shop.machine.devices:
            used = sum(grant.of_each_device for grant in held if device.id in (grant.devices or ()))
            assert used <= 1 + 1e-6
        assert sum(grant.cpus for grant in held) <= shop.machine.cores
        assert sum(grant.memory_bytes for grant in held) <= 40
        for name in shop.busy():
            grant, asked = shop.state.workers[name].grant, shop.spec.worker(name).gpus
            assert grant is not None
            assert len(grant.devices or ()) == (max(1, asked) if asked else 0)
        assert shop.busy(), "somebody waits though all is free"
        shop.ends(data.draw(st.sampled_from(shop.busy())))
    for name, worker in shop.state.workers.items():
        assert isinstance(worker.phase, Ended)
        fits = impossible(shop.state, shop.spec.worker(name)) is None
        assert worker.phase.outcome == ("finished" if fits else "failed")


def test_what_is_lacked_is_told_in_words() -> None:
    race = asking(spec("a"), a=1)
    busy = Taken([Grant(("0",), 1.0)])
    assert resources.fit(race, race.worker("a"), box(gpus=1), busy, None) == Lack("gpus", "waits for 1 GPU")
