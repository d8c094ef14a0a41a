// The command line of pxkernel and pxengine.
//
// Options are those that kernelspecs and managers pass to ipykernel: the connection file, ports,
// ip, transport. Whatever is not known here is left for Python (IPython's own configuration), in
// order, so that `--IPCompleter.use_jedi=False` works.

#include "options.h"

#include "io/need.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help_text[] =
    "usage: pxkernel [-f FILE] [options]\n"
    "\n"
    "A Jupyter kernel for Python. Front ends start it with a connection file:\n"
    "\n"
    "  -f FILE, --f=FILE    connection file to read; made when it does not exist. A name without\n"
    "                       a folder is looked for here, then in Jupyter's runtime folder.\n"
    "                       Without -f: kernel-<pid>.json in the runtime folder\n"
    "  --ip=ADDRESS         address to bind (127.0.0.1)\n"
    "  --transport=tcp|ipc  kind of sockets (tcp)\n"
    "  --shell=PORT --iopub=PORT --stdin=PORT --control=PORT --hb=PORT\n"
    "                       ports; those not given here or in the file are chosen and written "
    "back\n"
    "  --log-level=LEVEL    debug, info, warning or error (warning); to standard error\n"
    "  --no-capture         leave file descriptors 1 and 2 alone\n"
    "  --no-warm            start from nothing, and keep nothing ready (also: PX_WARM=0)\n"
    "  --version, --help\n"
    "\n"
    "Other options are IPython's: --matplotlib=inline, --IPCompleter.use_jedi=False, ….\n";

static const char engine_help_text[] =
    "usage: pxengine [--cluster NAME | --cluster-file FILE] [--id N] [--token TEXT]\n"
    "       pxengine --zygote …\n"
    "\n"
    "A worker of a cluster: the kernel, connected to a controller. Clusters start their engines\n"
    "themselves (pxcluster start -n N); this adds one by hand to a cluster that runs here.\n";

typedef struct parse {
    int argc;
    char **argv;
    int at;
    px_options *options;
    px_error *reterr;
} parse;

// value_of tells if the argument is `name`, as `name=value` or as `name value`.
static bool value_of(parse *p, const char *name, const char **ret_value)
{
    const char *argument = p->argv[p->at];
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0) {
        return false;
    }
    if (argument[length] == '=') {
        *ret_value = argument + length + 1;
        return true;
    }
    if (argument[length] == '\0' && p->at + 1 < p->argc) {
        *ret_value = p->argv[++p->at];
        return true;
    }
    return false;
}

static px_err number_of(parse *p, const char *name, const char *text, long long *ret_number)
{
    if (px_parse_number(text, 0, 4294967295, ret_number) != PX_OK) {
        return px_error_set(p->reterr, PX_EINVAL, "%s must be a number, not '%s'", name, text);
    }
    return PX_OK;
}

static px_err take_port(parse *p, bool *ret_taken)
{
    static const char *const names[] = {"--shell", "--iopub", "--stdin", "--control", "--hb"};
    const char *value = NULL;
    for (size_t i = 0; i < 5; i++) {
        if (value_of(p, names[i], &value)) {
            *ret_taken = true;
            PX_TRY(number_of(p, names[i], value, &p->options->ports[i]));
            if (p->options->ports[i] > UINT16_MAX) {
                return px_error_set(p->reterr, PX_EINVAL, "%s=%s is no port (0 to 65535)", names[i],
                                    value);
            }
        }
    }
    return PX_OK;
}

static bool take_text(parse *p)
{
    px_options *o = p->options;
    return value_of(p, "-f", &o->connection) || value_of(p, "--f", &o->connection) ||
           value_of(p, "--IPKernelApp.connection_file", &o->connection) ||
           value_of(p, "--ip", &o->ip) || value_of(p, "--IPKernelApp.ip", &o->ip) ||
           value_of(p, "--transport", &o->transport) ||
           value_of(p, "--IPKernelApp.transport", &o->transport);
}

static px_log_level level_named(const char *name)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (int level = PX_LOG_DEBUG; level <= PX_LOG_ERROR; level++) {
        // traitlets also takes Python's numbers: 10, 20, 30, 40
        if (strcasecmp(name, names[level]) == 0 || (name[0] == '1' + level && name[1] == '0')) {
            return (px_log_level)level;
        }
    }
    return PX_LOG_WARNING;
}

static bool take_switch(parse *p)
{
    const char *argument = p->argv[p->at];
    const char *value = NULL;
    if (strcmp(argument, "--no-capture") == 0) {
        p->options->no_capture = true;
        return true;
    }
    if (strcmp(argument, "--no-warm") == 0) {
        p->options->no_warm = true;
        return true;
    }
    if (strcmp(argument, "--debug") == 0) {
        p->options->log_level = PX_LOG_DEBUG;
        return true;
    }
    if (value_of(p, "--IPKernelApp.capture_fd_output", &value)) {
        p->options->no_capture = strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0;
        return true;
    }
    if (value_of(p, "--log-level", &value)) {
        p->options->log_level = level_named(value);
        return true;
    }
    return false;
}

static px_err take_engine(parse *p, bool *ret_taken)
{
    px_options *o = p->options;
    const char *value = NULL;
    if (strcmp(p->argv[p->at], "--zygote") == 0) {
        o->mode = PX_MODE_ZYGOTE;
        *ret_taken = true;
    } else if (value_of(p, "--id", &value)) {
        *ret_taken = true;
        return number_of(p, "--id", value, &o->engine_id);
    } else {
        *ret_taken = value_of(p, "--cluster-file", &o->cluster_file) ||
                     value_of(p, "--cluster", &o->cluster) || value_of(p, "--token", &o->token);
    }
    return PX_OK;
}

// take_one reads the argument at p->at.
static px_err take_one(parse *p)
{
    px_options *o = p->options;
    const char *argument = p->argv[p->at];
    bool taken = false;
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        (void)fputs(o->mode == PX_MODE_KERNEL ? help_text : engine_help_text, stdout);
        o->mode = PX_MODE_DONE;
        return PX_OK;
    }
    if (strcmp(argument, "--version") == 0) {
        (void)puts("pxkernel " PX_VERSION);
        o->mode = PX_MODE_DONE;
        return PX_OK;
    }
    if (o->mode != PX_MODE_KERNEL) {
        PX_TRY(take_engine(p, &taken));
    } else {
        PX_TRY(take_port(p, &taken));
    }
    if (strcmp(argument, "-f") == 0 && p->at + 1 == p->argc) {
        return px_error_set(p->reterr, PX_EINVAL, "-f needs the name of a connection file");
    }
    if (!taken && !take_text(p) && !take_switch(p)) {
        o->rest[o->n_rest++] = p->argv[p->at];
    }
    return PX_OK;
}

px_err px_options_read(int argc, char **argv, px_options *ret_options, px_error *reterr)
{
    const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
    name = name != NULL ? name + 1 : argc > 0 ? argv[0] : "";
    bool named = argc > 1 && strcmp(argv[1], "pxengine") == 0; // python -m pxkernel pxengine …
    *ret_options = (px_options){
        .mode = strncmp(name, "pxengine", 8) == 0 || named ? PX_MODE_ENGINE : PX_MODE_KERNEL,
        .engine_id = -1,
        .log_level = PX_LOG_WARNING,
        .rest = px_need_zeroed((size_t)(argc + 1) * sizeof(char *)),
    };
    parse p = {
        .argc = argc, .argv = argv, .at = named ? 2 : 1, .options = ret_options, .reterr = reterr};
    for (; p.at < argc && ret_options->mode != PX_MODE_DONE; p.at++) {
        PX_TRY(take_one(&p));
    }
    return PX_OK;
}

// --- the connection file ------------------------------------------------------------------------

static bool given(const char *value)
{
    return value != NULL && value[0] != '\0';
}

// runtime_folder is where Jupyter keeps connection files (jupyter_core, jupyter_runtime_dir).
static void runtime_folder(char *ret_path, size_t size)
{
    const char *named = getenv("JUPYTER_RUNTIME_DIR");
    const char *data = getenv("JUPYTER_DATA_DIR");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (given(named)) {
        (void)snprintf(ret_path, size, "%s", named);
    } else if (given(data)) {
        (void)snprintf(ret_path, size, "%s/runtime", data);
    } else if (given(xdg)) {
        (void)snprintf(ret_path, size, "%s/jupyter/runtime", xdg);
    } else {
        (void)snprintf(ret_path, size, "%s/.local/share/jupyter/runtime", given(home) ? home : "");
    }
}

// find_connection gives the absolute path of the file that name means; it need not exist.
static void find_connection(const char *name, char ret_path[PATH_MAX])
{
    char runtime[PATH_MAX - 300];
    char fresh[64];
    runtime_folder(runtime, sizeof(runtime));
    if (name == NULL) {
        (void)snprintf(fresh, sizeof(fresh), "kernel-%d.json", (int)getpid());
        (void)snprintf(ret_path, PATH_MAX, "%s/%s", runtime, fresh);
        return;
    }
    char folder[PATH_MAX - 300] = "";
    if (name[0] != '/' && access(name, F_OK) != 0 && strchr(name, '/') == NULL) {
        (void)snprintf(ret_path, PATH_MAX, "%s/%.280s", runtime, name);
        if (access(ret_path, F_OK) == 0) {
            return;
        }
    }
    if (name[0] != '/' && getcwd(folder, sizeof(folder)) != NULL) {
        (void)snprintf(ret_path, PATH_MAX, "%s/%.280s", folder, name);
    } else {
        (void)snprintf(ret_path, PATH_MAX, "%s", name);
    }
}

// make_folders makes the folders that path stands in, private.
static void make_folders(const char *path)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0700); // it may exist; writing the file says if it cannot be made
        *slash = '/';
    }
}

// own_connection_file names the file that a registered kernel writes for further clients: the
// registration file is not its own.
static void own_connection_file(px_config *config)
{
    char runtime[PATH_MAX - 300];
    runtime_folder(runtime, sizeof(runtime));
    (void)snprintf(config->connection_file, PATH_MAX, "%s/kernel-%s.json", runtime,
                   config->connection.kernel_id);
    make_folders(config->connection_file);
    config->write_connection = true;
    config->remove_connection = true;
}

static void take_ports(const px_options *options, px_config *config)
{
    px_connection *c = &config->connection;
    uint16_t *ports[5] = {&c->shell_port, &c->iopub_port, &c->stdin_port, &c->control_port,
                          &c->hb_port};
    for (size_t i = 0; i < 5; i++) {
        if (options->ports[i] != 0) {
            *ports[i] = (uint16_t)options->ports[i];
            config->write_connection = true;
        }
        config->write_connection = config->write_connection || *ports[i] == 0;
    }
}

static px_err check_address(const px_options *options, px_config *config, px_error *reterr)
{
    px_connection *c = &config->connection;
    if (options->transport != NULL) {
        if (strcmp(options->transport, "tcp") != 0 && strcmp(options->transport, "ipc") != 0) {
            return px_error_set(reterr, PX_EINVAL, "--transport must be tcp or ipc, not '%s'",
                                options->transport);
        }
        (void)snprintf(c->transport, sizeof(c->transport), "%s", options->transport);
    }
    if (options->ip != NULL) {
        (void)snprintf(c->ip, sizeof(c->ip), "%s", options->ip);
    }
    if (strcmp(c->transport, "ipc") == 0 && (c->ip[0] == '\0' || strcmp(c->ip, "127.0.0.1") == 0)) {
        const char *end = strrchr(config->connection_file, '.');
        size_t length = end != NULL && strchr(end, '/') == NULL
                            ? (size_t)(end - config->connection_file)
                            : strlen(config->connection_file);
        if (length + sizeof("-ipc") > sizeof(c->ip)) {
            return px_error_set(reterr, PX_EINVAL, "the path %s is too long for ipc sockets",
                                config->connection_file);
        }
        (void)snprintf(c->ip, sizeof(c->ip), "%.*s-ipc", (int)length, config->connection_file);
    }
    return PX_OK;
}

static px_err kernel_config(const px_options *options, px_config *config, px_error *reterr)
{
    config->engine_id = -1;
    config->capture_fds = !options->no_capture;
    config->no_warm = options->no_warm;
    find_connection(options->connection, config->connection_file);
    px_err err = px_connection_read(config->connection_file, &config->connection, reterr);
    if (err == PX_ENOENT) {
        PX_TRY(px_connection_defaults(&config->connection));
        make_folders(config->connection_file);
        config->write_connection = true;
        config->remove_connection = true;
    } else if (err != PX_OK) {
        return err;
    } else if (config->connection.registration_port != 0) {
        own_connection_file(config);
    }
    take_ports(options, config);
    return check_address(options, config, reterr);
}

static px_err engine_config(const px_options *options, px_config *config, px_error *reterr)
{
    config->engine = true;
    config->engine_id = options->engine_id;
    config->capture_fds = !options->no_capture;
    (void)snprintf(config->token, sizeof(config->token), "%s",
                   options->token != NULL ? options->token : "");
    if (options->cluster_file != NULL) {
        return px_cluster_file_load(options->cluster_file, &config->cluster, reterr);
    }
    const char *name = options->cluster != NULL ? options->cluster : PX_CLUSTER_DEFAULT;
    return px_cluster_file_read(name, &config->cluster, reterr);
}

px_err px_options_config(const px_options *options, px_config *ret_config, px_error *reterr)
{
    *ret_config = (px_config){.n_arguments = options->n_rest,
                              .arguments = options->rest,
                              .log_level = options->log_level};
    px_uuid_new(ret_config->ident);
    char session[PX_ID_SIZE];
    px_id_new(session);
    (void)snprintf(ret_config->session_id, sizeof(ret_config->session_id), "%s", session);
    if (options->mode == PX_MODE_ENGINE) {
        return engine_config(options, ret_config, reterr);
    }
    return kernel_config(options, ret_config, reterr);
}

// --- an engine's doors ---------------------------------------------------------------------------

px_err px_options_doors(const px_config *engine, const char *ip, px_config *ret_config,
                        px_error *reterr)
{
    char folder[PATH_MAX] = "";
    px_error error = {0};
    *ret_config = *engine;
    ret_config->engine = false;
    ret_config->write_connection = true;
    ret_config->remove_connection = true;
    PX_TRY(px_connection_defaults(&ret_config->connection));
    if (ip != NULL && strlen(ip) >= sizeof(ret_config->connection.ip)) {
        return px_error_set(reterr, PX_EINVAL, "\"%.40s…\" is too long for an address", ip);
    }
    if (ip != NULL) {
        (void)snprintf(ret_config->connection.ip, sizeof(ret_config->connection.ip), "%s", ip);
    }
    // The run folder goes with the cluster, and what an engine that is killed leaves in it, too.
    // On another host there is none.
    char *file = ret_config->connection_file;
    if (px_cluster_folder(engine->cluster.id, folder, &error) == PX_OK &&
        access(folder, W_OK) == 0) {
        (void)snprintf(file, PATH_MAX, "%.*s/kernel-%lld.json", PATH_MAX - 40, folder,
                       (long long)engine->engine_id);
        return PX_OK;
    }
    char runtime[PATH_MAX - 300];
    runtime_folder(runtime, sizeof(runtime));
    (void)snprintf(file, PATH_MAX, "%s/kernel-%.64s-%lld.json", runtime, engine->cluster.id,
                   (long long)engine->engine_id);
    make_folders(file);
    return PX_OK;
}
