"""What LAMMPS is doing, told from what it calls: every sequence that has ever been taken for another.

A sequence is written as LAMMPS makes it: by ``Lammps``, which counts steps, elapsed steps and the
step of the last time stamp as LAMMPS does, and calls the hooks that a build has.
"""
import itertools

import pytest

from lammps_mgml.insitu.run_phase import (
    ASKED,
    BEGIN,
    DUE,
    END,
    EVALUATE,
    FINISH,
    FORCE,
    MOVED,
    NOTHING,
    SPOIL,
    Event,
    Phase,
    advance,
)


class Lammps:
    """The hooks of one LAMMPS build, called as its commands do.

    ``seen`` : for each frame that a dump would write, (what LAMMPS does, step, whether the columns
    are of the present positions, whether they are taken for a rerun's).
    """

    def __init__(self, plugin, every=10):
        self.plugin, self.every = plugin, every
        self.step = self.atimestep = self.first = 0
        self.position, self.evaluated = 0, None
        self.phase, self.seen = Phase(), []

    def tell(self, kind, rerun=None):
        event = Event(kind, self.step, self.step - self.first, self.atimestep, rerun)
        self.phase, action = advance(self.phase, event)
        if action == EVALUATE:
            self.evaluated = self.position
        elif action == SPOIL:
            self.evaluated = None

    def force(self, kind=None, rerun=False):
        """Forces are evaluated; kind: what the plugin says of it."""
        if not self.plugin:
            self.tell(FORCE)
        elif kind:
            self.tell(kind, rerun)

    def dump(self, what):
        self.seen.append((what, self.step, self.evaluated == self.position, self.phase.rerun))

    def run(self, n, pre=True):
        self.first = self.step
        self.force(BEGIN)
        self.dump("run")
        for _ in range(n):
            self.step += 1
            self.position += 1
            self.force()
            self.end()
            self.dump("run")
        if self.plugin:
            self.tell(FINISH)

    def end(self):
        self.tell(END)
        if self.step % self.every == 0:
            self.tell(DUE)

    def minimize(self, n):
        self.first = self.step
        self.force(BEGIN)
        for _ in range(n):
            self.step += 1
            for _ in range(3):                  # a line search
                self.position += 1
                self.force(MOVED)
        if self.plugin:
            self.tell(FINISH)
        else:
            self.tell(ASKED)                    # ${mgml_evaluate}
        self.dump("minimize")

    def rerun(self, steps, first=0):
        self.first = first
        for step in steps:
            self.step = self.atimestep = step   # LAMMPS resets the timestep, and so stamps the time
            self.position += 1
            self.force(BEGIN, rerun=True)
            self.end()
            self.dump("rerun")

    def reset_timestep(self, step):
        self.step = self.atimestep = step

    def change_atoms(self):
        self.position += 1


def check(lammps):
    for what, step, right, rerun in lammps.seen:
        due = what != "run" or step % lammps.every == 0
        assert right or not due, f"{what}, step {step}: the columns are not evaluated"
        assert rerun == (what == "rerun"), f"{what}, step {step}: taken for something else"


COMMANDS = {
    "run 0": lambda x: x.run(0), "run 25": lambda x: x.run(25), "run 1": lambda x: x.run(1),
    "minimize 1": lambda x: x.minimize(1), "minimize 7": lambda x: x.minimize(7),
    "minimize 0": lambda x: x.minimize(0),
    "rerun 0 10 20": lambda x: x.rerun((0, 10, 20)),
    "rerun 1 2 3": lambda x: x.rerun((1, 2, 3)),
    "rerun next": lambda x: x.rerun((x.step + 1, x.step + 2)),
    "rerun same": lambda x: x.rerun((x.step, x.step + 1)),
    "rerun first": lambda x: x.rerun((x.step + 5, x.step + 9), first=x.step + 5),
    "reset 0": lambda x: x.reset_timestep(0), "reset 100": lambda x: x.reset_timestep(100),
    "atoms": lambda x: x.change_atoms(),
}


@pytest.mark.parametrize("plugin", [True, False])
def test_every_order_of_three_commands(plugin):
    for names in itertools.product(COMMANDS, repeat=3):
        lammps = Lammps(plugin)
        for name in names:
            COMMANDS[name](lammps)
        try:
            check(lammps)
        except AssertionError as e:
            raise AssertionError(f"{', '.join(names)}: {e}") from None


@pytest.mark.parametrize("plugin", [True, False])
@pytest.mark.parametrize("every", [1, 7, 1000])
def test_steps_between_evaluations_are_undefined(plugin, every):
    lammps = Lammps(plugin, every)
    lammps.run(15)
    for _, step, right, _ in lammps.seen:
        assert right == (step % every == 0), step
    # with the plugin a run ends with an evaluation, whatever its last step
    assert (lammps.evaluated == lammps.position) == (plugin or 15 % every == 0)


def test_a_step_is_evaluated_once():
    phase, counted = Phase(), 0
    for event in (Event(BEGIN, 0, rerun=False), Event(END, 1, 1), Event(DUE, 1, 1),
                  Event(DUE, 1, 1), Event(FINISH, 1, 1)):
        phase, action = advance(phase, event)
        counted += action == EVALUATE
    assert counted == 2


def test_what_a_deck_asks_for_is_done():
    lammps = Lammps(plugin=False)
    lammps.run(10)
    lammps.change_atoms()                       # displace_atoms: no event tells of it
    lammps.tell(ASKED)
    assert lammps.evaluated == lammps.position


def test_spoiled_once():
    phase, _ = advance(Phase(), Event(BEGIN, 0, rerun=False))
    actions = []
    for step in range(1, 4):
        phase, action = advance(phase, Event(END, step, step))
        actions.append(action)
    assert actions == [SPOIL, NOTHING, NOTHING]
