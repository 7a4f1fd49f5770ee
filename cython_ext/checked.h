/* Included before all else in the checked build (MGML_DEBUG=1, see setup.py).

   A noexcept function cannot hand an error on: Cython prints it and goes on, with wrong numbers, and in
   a thread without Python's state not even that.  Here such an error ends the process. */
#ifndef MGML_CHECKED_H
#define MGML_CHECKED_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdio.h>
#include <stdlib.h>

static void mgml_stop(PyObject *where)
{
    const char *name = where && PyUnicode_Check(where) ? PyUnicode_AsUTF8(where) : NULL;
    fprintf(stderr, "checked build: error in the kernel %s\n", name ? name : "?");
    if (PyErr_Occurred())
        PyErr_Print();
    fflush(NULL);
    abort();
}

#undef PyErr_WriteUnraisable
#define PyErr_WriteUnraisable(where) mgml_stop(where)
#endif
