// folders.c: clusters by name: what is in the folder of run folders.

#include "module.h"

#include "px/json.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

PyObject *px_cluster_root_python(PyObject *module, PyObject *unused)
{
    (void)unused;
    char path[PATH_MAX];
    px_error error = {0};
    px_err err = px_cluster_root(path, &error);
    if (err != PX_OK) {
        return px_raise(PyModule_GetState(module), err, &error);
    }
    return PyUnicode_DecodeFSDefault(path);
}

// lives tells if the folder of `name` has a living controller; a dead one's folder is removed.
static bool lives(const char *root, const char *name)
{
    char folder[PATH_MAX];
    int n = snprintf(folder, sizeof folder, "%s/%s", root, name);
    if (n < 0 || (size_t)n >= sizeof folder) {
        return false;
    }
    if (!px_cluster_alive(folder)) {
        (void)px_cluster_sweep(folder);
        return false;
    }
    return true;
}

static int add_names(PyObject *names, const char *root)
{
    DIR *folder = opendir(root);
    if (folder == NULL) {
        return 0; // nothing was ever started
    }
    int result = 0;
    const struct dirent *entry = NULL;
    while (result == 0 && (entry = readdir(folder)) != NULL) {
        if (!px_cluster_name_valid(entry->d_name) || !lives(root, entry->d_name)) {
            continue;
        }
        PyObject *name = PyUnicode_FromString(entry->d_name);
        result = name == NULL ? -1 : PyList_Append(names, name);
        Py_XDECREF(name);
    }
    (void)closedir(folder);
    return result;
}

PyObject *px_cluster_names_python(PyObject *module, PyObject *unused)
{
    (void)unused;
    char root[PATH_MAX];
    px_error error = {0};
    px_err err = px_cluster_root(root, &error);
    if (err != PX_OK) {
        return px_raise(PyModule_GetState(module), err, &error);
    }
    PyObject *names = PyList_New(0);
    if (names != NULL && (add_names(names, root) != 0 || PyList_Sort(names) != 0)) {
        Py_CLEAR(names);
    }
    return names;
}

static void write_file(const px_cluster_file *file, px_buf *out)
{
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_int(&w, "version", 1);
    px_jsonw_key_string(&w, "id", file->id);
    px_jsonw_key_int(&w, "pid", file->pid);
    px_jsonw_key_string(&w, "host", file->host);
    px_jsonw_key_string(&w, "boot_id", file->boot_id);
    px_jsonw_key_string(&w, "started", file->started);
    px_jsonw_key_int(&w, "n", file->n);
    px_jsonw_key_string(&w, "launcher", file->launcher);
    px_jsonw_key_string(&w, "signature_scheme", file->signature_scheme);
    px_jsonw_key_string(&w, "control", file->control);
    px_jsonw_key_string(&w, "work", file->work);
    px_jsonw_key_string(&w, "cwd", file->cwd);
    px_jsonw_key_string(&w, "python", file->python);
    if (file->attached_to != 0) {
        px_jsonw_key_int(&w, "attached_to", file->attached_to);
    } else {
        px_jsonw_key_string(&w, "attached_to", NULL);
    }
    px_jsonw_end_object(&w);
}

PyObject *px_cluster_file_python(PyObject *module, PyObject *name)
{
    px_module *state = PyModule_GetState(module);
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL) {
        return NULL;
    }
    px_cluster_file file;
    px_error error = {0};
    px_err err = px_cluster_file_read(text, &file, &error);
    if (err == PX_ENOENT || err == PX_EREFUSED) {
        Py_RETURN_NONE;
    }
    if (err != PX_OK) {
        return px_raise(state, err, &error);
    }
    char folder[PATH_MAX];
    err = px_cluster_folder(text, folder, &error);
    if (err != PX_OK) {
        return px_raise(state, err, &error);
    }
    if (!px_cluster_alive(folder)) {
        (void)px_cluster_sweep(folder);
        Py_RETURN_NONE;
    }
    PX_AUTO_BUF json = {0};
    write_file(&file, &json);
    return px_json_value(state, px_buf_slice(&json));
}
