// The executables pxkernel and pxengine: find Python's library, open it for everyone, open our
// module for us alone, and run.
//
// Linked with libc only. Linking libpython would need an RPATH that is right in one environment and
// wrong in every other; linking libzmq would put ours in the global scope, where pyzmq's compiled
// code would find it instead of its own. So libpython is opened RTLD_GLOBAL (extension modules
// expect its symbols there) and _kernel, with the libraries it brings, RTLD_LOCAL.
//
// Where to look: the environment is the folder above ours, bin/; if it has a pyvenv.cfg, `home`
// there names the Python it was made from. A Python without a shared library, or one that is not
// found, is started as a program instead
// (`python -m pxkernel`): slower by an interpreter's start, otherwise the same.

#include "warm/warm.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct px_launch {
    const char *python;
    const char *site_packages;
    int argc;
    char **argv;
    const px_environment *environment;
    px_warm_hooks *hooks;
} px_launch; // as in kernel.h, which this file cannot include: it links nothing of it

#define LIBRARY "libpython" PX_PYTHON_VERSION ".so.1.0"
#define PYTHON "python" PX_PYTHON_VERSION
#define MODULE "_kernel." PX_PYTHON_SOABI ".so"

typedef struct layout {
    char bin[PATH_MAX];         // where this executable is
    char prefix[PATH_MAX];      // the environment
    char home[PATH_MAX];        // where its Python's executable is
    bool venv;                  // prefix has a pyvenv.cfg
    char python[PATH_MAX];      // the interpreter to be
    char packages[PATH_MAX];    // the folder with pxkernel/
    char library[PATH_MAX + 8]; // libpython; empty: none
} layout;

// The name of this machine's folder of libraries in Debian's layout.
#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#else
#define MULTIARCH "lib"
#endif

[[gnu::format(printf, 2, 3)]] static bool path(char ret_path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(ret_path, PATH_MAX, format, arguments);
    va_end(arguments);
    if (n < 0 || n >= PATH_MAX) {
        ret_path[0] = '\0';
        return false;
    }
    return true;
}

[[gnu::format(printf, 2, 3)]] static bool exists(char ret_path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(ret_path, PATH_MAX, format, arguments);
    va_end(arguments);
    if (n < 0 || n >= PATH_MAX || access(ret_path, R_OK) != 0) {
        ret_path[0] = '\0';
        return false;
    }
    return true;
}

static bool folder_of(const char *file, char ret_folder[PATH_MAX])
{
    const char *slash = strrchr(file, '/');
    return slash != NULL && slash != file && path(ret_folder, "%.*s", (int)(slash - file), file);
}

// read_home reads `home = …` of pyvenv.cfg.
static bool read_home(const char *config, char ret_home[PATH_MAX])
{
    char line[PATH_MAX + 64];
    bool found = false;
    FILE *file = fopen(config, "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        char *equals = strchr(line, '=');
        if (equals == NULL || strncmp(line, "home", 4) != 0 ||
            strspn(line + 4, " \t") != (size_t)(equals - line - 4)) {
            continue;
        }
        char *value = equals + 1 + strspn(equals + 1, " \t");
        value[strcspn(value, "\r\n")] = '\0';
        found = path(ret_home, "%s", value);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

static bool find_environment(layout *l)
{
    char self[PATH_MAX];
    char config[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0) {
        return false;
    }
    self[n] = '\0';
    if (!folder_of(self, l->bin) || !folder_of(l->bin, l->prefix)) {
        return false;
    }
    l->venv = exists(config, "%s/pyvenv.cfg", l->prefix) && read_home(config, l->home);
    if (!l->venv) {
        (void)path(l->home, "%s", l->bin);
    }
    return true;
}

// find_python finds the interpreter that sys.executable shall be.
static bool find_python(layout *l)
{
    if (exists(l->python, "%s/" PYTHON, l->bin) || exists(l->python, "%s/python3", l->bin) ||
        exists(l->python, "%s/python", l->bin)) {
        return true;
    }
    // Not in an environment's bin: ~/.local, say. The system's Python then.
    if (exists(l->python, "/usr/local/bin/" PYTHON) || exists(l->python, "/usr/bin/" PYTHON)) {
        return folder_of(l->python, l->home);
    }
    return false;
}

static bool find_packages(layout *l)
{
    char module[PATH_MAX];
    const char *home = getenv("PX_HOME");
    if (home != NULL && home[0] != '\0') {
        return exists(module, "%s/pxkernel/" MODULE, home) && path(l->packages, "%s", home);
    }
    static const char *const places[] = {
        "lib/" PYTHON "/site-packages", "lib64/" PYTHON "/site-packages",
        "lib/" PYTHON "/dist-packages", "local/lib/" PYTHON "/dist-packages",
        "lib/python3/dist-packages"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (exists(module, "%s/%s/pxkernel/" MODULE, l->prefix, places[i])) {
            return path(l->packages, "%s/%s", l->prefix, places[i]);
        }
    }
    return false;
}

static bool library_in(layout *l, const char *folder)
{
    return exists(l->library, "%s/" LIBRARY, folder);
}

// find_library looks beside the Python that the environment was made from, then where that one's
// executable really is. A library elsewhere belongs to another Python, whose standard library is
// not ours.
static bool find_library(layout *l)
{
    char prefix[PATH_MAX];
    char folder[PATH_MAX];
    char real[PATH_MAX];
    char bins[2][PATH_MAX] = {"", ""};
    (void)path(bins[0], "%s", l->home);
    if (path(folder, "%s/" PYTHON, l->home) && realpath(folder, real) != NULL) {
        (void)folder_of(real, bins[1]);
    }
    static const char *const places[] = {"lib", "lib64", "lib/" MULTIARCH, "lib/" PYTHON "/config"};
    for (int i = 0; i < 2; i++) {
        if (!folder_of(bins[i], prefix) && strcmp(bins[i], "/bin") != 0) {
            continue;
        }
        if (strcmp(bins[i], "/bin") == 0) {
            prefix[0] = '\0';
        }
        for (size_t place = 0; place < sizeof(places) / sizeof(places[0]); place++) {
            if (path(folder, "%s/%s", prefix, places[place]) && library_in(l, folder)) {
                return true;
            }
        }
    }
    return false;
}

// run_python is the way without a shared libpython. Does not return, unless it fails.
static int run_python(const layout *l, int argc, char **argv)
{
    char **arguments = calloc((size_t)argc + 5, sizeof(char *));
    if (arguments == NULL) {
        return 1;
    }
    const char *name = strrchr(argv[0], '/');
    bool engine = strncmp(name != NULL ? name + 1 : argv[0], "pxengine", 8) == 0;
    arguments[0] = (char *)(size_t)l->python;
    arguments[1] = (char *)(size_t) "-m";
    arguments[2] = (char *)(size_t) "pxkernel";
    int n = 3;
    if (engine) {
        arguments[n++] = (char *)(size_t) "pxengine"; // options.c knows it
    }
    for (int i = 1; i < argc; i++) {
        arguments[n++] = argv[i];
    }
    (void)execv(l->python, arguments);
    (void)fprintf(stderr, "pxkernel: cannot run %s: %s\n", l->python, strerror(errno));
    free(arguments);
    return 1;
}

static px_environment environment; // as found, for kernels to come

static bool describe(const layout *l)
{
    static char file[PATH_MAX];
    environment = (px_environment){
        .python = l->python, .packages = l->packages, .library = l->library, .module = file};
    return path(file, "%s/pxkernel/" MODULE, l->packages);
}

static int run_module(const layout *l, int argc, char **argv, px_warm_hooks *hooks)
{
    const char *file = environment.module;
    void *module = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        (void)fprintf(stderr, "pxkernel: cannot load %s: %s\n", file, dlerror());
        return 1;
    }
    int (*run)(const px_launch *) = NULL;
    *(void **)&run = dlsym(module, "px_kernel_main");
    if (run == NULL) {
        (void)fprintf(stderr, "pxkernel: %s is not of this version: install pxkernel again\n",
                      file);
        return 1;
    }
    const px_launch launch = {.python = l->python,
                              .site_packages = l->packages,
                              .argc = argc,
                              .argv = argv,
                              .environment = &environment,
                              .hooks = hooks};
    return run(&launch);
}

// --- warm starts ---------------------------------------------------------------------------------

static layout found;

// load_python is how a keeper gets Python into its process.
static bool load_python(px_warm_hooks *ret_hooks)
{
    static char *arguments[] = {(char *)(uintptr_t) "pxkernel", NULL};
    return dlopen(found.library, RTLD_NOW | RTLD_GLOBAL) != NULL &&
           run_module(&found, 1, arguments, ret_hooks) == 0;
}

static bool is_kernel(const char *program)
{
    const char *name = strrchr(program, '/');
    return strncmp(name != NULL ? name + 1 : program, "pxengine", 8) != 0;
}

int main(int argc, char **argv)
{
    layout *l = &found;
    if (argc < 1 || !find_environment(l) || !find_python(l)) {
        (void)fprintf(stderr,
                      "pxkernel: no " PYTHON " beside this executable (%s): install pxkernel "
                      "into an environment of Python " PX_PYTHON_VERSION "\n",
                      l->bin);
        return 1;
    }
    if (!find_packages(l)) {
        (void)fprintf(stderr,
                      "pxkernel: no pxkernel/" MODULE " in the packages of %s: install "
                      "pxkernel there, or set PX_HOME to the folder it is in\n",
                      l->prefix);
        return 1;
    }
    if (!find_library(l) || !describe(l)) {
        return run_python(l, argc, argv);
    }
    if (argc > 1 && strcmp(argv[1], "--keeper") == 0) {
        return px_keeper_main(&environment, argc, argv, load_python);
    }
    if (is_kernel(argv[0])) {
        px_shim_try(&environment, argc, argv); // does not return if there is a warm kernel
    }
    if (dlopen(l->library, RTLD_NOW | RTLD_GLOBAL) == NULL) {
        return run_python(l, argc, argv);
    }
    return run_module(l, argc, argv, NULL);
}
