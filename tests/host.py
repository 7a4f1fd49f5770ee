"""Run a deck in a Python host under MPI, perhaps with a fault; helper of test_insitu.py.

    mpirun -np 2 python tests/host.py DECK [--features OUT.npz] [--fault KIND] [-var name value ...]

``--fault collective`` is no fault: it makes any communication inside rank-local work one.
"""
import sys
from contextlib import contextmanager

import numpy as np
from mpi4py import MPI

from lammps import lammps

deck, arguments = sys.argv[1], sys.argv[2:]
features = fault = None
while arguments and arguments[0] in ("--features", "--fault"):
    if arguments[0] == "--features":
        features = arguments[1]
    else:
        fault = arguments[1]
    arguments = arguments[2:]

comm = MPI.COMM_WORLD
last = comm.size - 1


def poison(pointer):
    """A callback before ours that makes a coordinate NaN on the last rank."""
    inside = lammps(ptr=pointer)
    if comm.rank == last:
        inside.numpy.extract_atom("x", nelem=1)[0, 1] = np.nan


def coincide(pointer):
    inside = lammps(ptr=pointer)
    if comm.rank == last:
        x = inside.numpy.extract_atom("x", nelem=2)
        x[0] = x[1]


if fault in ("local", "exchange"):
    from lammps_mgml import pipeline
    from lammps_mgml.insitu import callbacks
    from lammps_mgml.system import route

    def after_first(original):
        def wrapped(*a, **k):
            begun = any(session.evaluator and session.evaluator.evaluations
                        for session in callbacks._sessions.values())
            if begun and comm.rank == last:
                raise ZeroDivisionError(f"injected on rank {last}")
            return original(*a, **k)
        return wrapped
    if fault == "local":
        pipeline.tessellate = after_first(pipeline.tessellate)
    else:
        route.Route.push = after_first(route.Route.push)

class Watched:
    """A communicator that refuses to communicate inside ``raise_on_all``."""

    def __init__(self, comm):
        self.comm, self.local = comm, 0

    def __getattr__(self, name):
        if self.local and name not in ("rank", "size"):
            raise RuntimeError(f"{name} inside rank-local work")
        return getattr(self.comm, name)


if fault == "collective":
    from lammps_mgml.system.mpi import MpiDomain

    plain_init, plain_context = MpiDomain.__init__, MpiDomain.raise_on_all

    def watched_init(self, comm):
        plain_init(self, comm)
        self.comm = Watched(self.comm)

    @contextmanager
    def watched_context(self):
        with plain_context(self):
            self.comm.local += 1
            try:
                yield
            finally:
                self.comm.local -= 1

    MpiDomain.__init__, MpiDomain.raise_on_all = watched_init, watched_context

if features:
    from lammps_mgml.evaluation.evaluator import Evaluator

    Evaluator._scores = lambda self, n: None         # the matrix is kept, as for columns
lmp = lammps(cmdargs=["-screen", "none", "-log", "none", *arguments])
if fault in ("poison", "coincide"):
    lmp.command(f"variable fault string {fault}")
lmp.file(deck)
if features:
    from lammps_mgml.insitu import callbacks

    session = next(iter(callbacks._sessions.values()))
    n = lmp.extract_setting("nlocal")
    tags = comm.gather(lmp.numpy.extract_atom("id", nelem=n).copy())
    rows = comm.gather(session.sites.features)
    if comm.rank == 0:
        tags, rows = np.concatenate(tags), np.concatenate(rows)
        np.savez(features, features=rows[np.argsort(tags)], names=session.evaluator.request.names)
lmp.close()
