// The order in which a kernel starts and stops.
//
// Start: command line and connection file; px-io, which binds; then Python. From a few milliseconds
// after main() heartbeats and kernel_info are answered and requests wait in the inbox, while Python
// and IPython still load. Stop: Python's loop returns, Python is finalised (user code's atexit and
// destructors may still print), px-io sends what is left and closes. A request to shut down has a
// deadline (io/ending.c), so the process ends even when Python does not.

#include "io/io.h"
#include "io/need.h"
#include "io/transport.h"
#include "kernel.h"
#include "options.h"
#include "py/interp.h"

#include "px/log.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

px_kernel *px_kernel_current;

static int fail(const char *program, const px_error *error)
{
    (void)fprintf(stderr, "%s: %s\n", program, error->text);
    return 1;
}

// find_ipython takes IPython's version from the name of its folder of metadata: importing it would
// take 0.2 s.
static void find_ipython(const char *site_packages, char *ret_version, size_t size)
{
    static const char prefix[] = "ipython-";
    (void)snprintf(ret_version, size, "9.0");
    DIR *folder = site_packages != NULL ? opendir(site_packages) : NULL;
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) { // NOLINT(concurrency-mt-unsafe)
        const char *name = entry->d_name;
        const char *end = strstr(name, ".dist-info");
        if (strncasecmp(name, prefix, sizeof(prefix) - 1) == 0 && end != NULL) {
            const char *version = name + sizeof(prefix) - 1;
            (void)snprintf(ret_version, size, "%.*s", (int)(end - version), version);
            break;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

static void find_versions(const char *site_packages, px_config *config)
{
    px_interp_version(config->python_version, sizeof(config->python_version));
    find_ipython(site_packages, config->implementation_version,
                 sizeof(config->implementation_version));
}

// start_kernel makes the kernel of this process and opens its transport. launch and child may be
// NULL.
static px_err start_kernel(const px_config *config, const px_launch *launch,
                           const px_warm_child *child, px_error *reterr)
{
    px_kernel *kernel = px_need_zeroed(sizeof(*kernel));
    kernel->config = *config;
    kernel->witness.environment = launch != NULL ? launch->environment : NULL;
    kernel->witness.child = child;
    px_must(px_mailbox_init(&kernel->inbox));
    px_must(px_questions_init(&kernel->questions));
    px_must(px_mailbox_init(&kernel->side));
    px_must(px_outbox_init(&kernel->outbox));
    kernel->outbox.first_wait = config->engine ? PX_STREAM_FIRST_ENGINE : PX_STREAM_FIRST;
    px_must(px_interrupt_init(&kernel->interrupt));
    px_must(px_stuck_init(&kernel->stuck));
    px_must(px_known_init(&kernel->known));
    px_must(px_waiting_init(&kernel->waiting));
    px_must(px_subshells_init(&kernel->subshells));
    px_must(px_capture_init(&kernel->capture, &kernel->outbox, config->capture_fds));
    px_transport *transport = NULL;
    if (config->engine) {
        PX_TRY(px_transport_engine_new(&kernel->config, &transport));
    } else {
        PX_TRY(px_transport_jupyter_new(&kernel->config, &transport));
    }
    px_kernel_current = kernel;
    return px_io_start(kernel, transport, reterr);
}

static void say_how_to_connect(const px_options *options, const px_config *config)
{
    if (options->connection == NULL) {
        (void)fprintf(stderr,
                      "pxkernel: no connection file was given; made %s\n"
                      "Front ends normally start the kernel themselves. To connect one to this:\n"
                      "    jupyter console --existing %s\n",
                      config->connection_file, config->connection_file);
    }
}

// report_death says on the terminal how the kernel before this one ended; Python says it in the
// first cell.
static void report_death(px_kernel *kernel)
{
    if (!kernel->config.engine) {
        kernel->note = px_death_take(kernel->config.connection_file);
    }
    if (kernel->note != NULL) {
        (void)fprintf(stderr, "pxkernel: %s", kernel->note);
    }
}

static int run(const px_launch *launch, const px_warm_child *child, const px_options *options,
               const char *program)
{
    px_error error = {0};
    px_config config;
    if (px_options_config(options, &config, &error) != PX_OK) {
        return fail(program, &error);
    }
    find_versions(launch->site_packages, &config);
    if (start_kernel(&config, launch, child, &error) != PX_OK) {
        return fail(program, &error);
    }
    px_interrupt_early(&px_kernel_current->interrupt);
    report_death(px_kernel_current);
    px_witness_begin(px_kernel_current);
    say_how_to_connect(options, &config);
    if (launch->python != NULL &&
        px_interp_init(launch, launch->argc, launch->argv, &error) != PX_OK) {
        (void)fail(program, &error);
        px_io_stop(px_kernel_current->io);
        return 1;
    }
    return px_interp_run();
}

int px_kernel_run_forked(const px_launch *launch, const px_warm_child *child,
                         bool (*start)(const px_warm_child *))
{
    px_options options;
    px_error error = {0};
    if (px_options_read(launch->argc, launch->argv, &options, &error) != PX_OK ||
        options.mode != PX_MODE_KERNEL || !px_warm_renew(child, options.n_rest, options.rest) ||
        !start(child)) {
        return 1;
    }
    px_log_setup(options.log_level, STDERR_FILENO);
    px_kernel_exit(run(launch, child, &options, "pxkernel"));
}

int px_kernel_main(const px_launch *launch)
{
    px_options options;
    px_error error = {0};
    if (launch->hooks != NULL) {
        return px_warm_load(launch, launch->hooks) ? 0 : 1;
    }
    if (px_options_read(launch->argc, launch->argv, &options, &error) != PX_OK) {
        (void)fail("pxkernel", &error);
        return 2;
    }
    px_log_setup(options.log_level, STDERR_FILENO);
    switch (options.mode) {
    case PX_MODE_DONE:
        return 0;
    case PX_MODE_ZYGOTE:
        return px_zygote_main(launch);
    default:
        break;
    }
    int status =
        run(launch, NULL, &options, options.mode == PX_MODE_ENGINE ? "pxengine" : "pxkernel");
    if (px_interp_running()) {
        px_kernel_exit(status);
    }
    return status;
}

int px_kernel_run_hosted(int argc, char **argv)
{
    const px_launch launch = {.argc = argc, .argv = argv};
    px_options options;
    px_error error = {0};
    if (px_options_read(argc, argv, &options, &error) != PX_OK) {
        (void)fail("pxkernel", &error);
        return 2;
    }
    px_log_setup(options.log_level, STDERR_FILENO);
    if (options.mode == PX_MODE_DONE) {
        return 0;
    }
    if (options.mode == PX_MODE_ZYGOTE) {
        return px_zygote_main(&launch);
    }
    return run(&launch, NULL, &options, "pxkernel");
}

int px_engine_run(const px_engine_args *args)
{
    px_error error = {0};
    px_options options = {
        .mode = PX_MODE_ENGINE,
        .log_level = PX_LOG_WARNING,
        .engine_id = args->engine,
        .token = args->token,
        .cluster_file = args->cluster_file,
    };
    px_config config;
    if (px_options_config(&options, &config, &error) != PX_OK) {
        return fail("pxengine", &error);
    }
    find_versions(NULL, &config);
    if (start_kernel(&config, NULL, NULL, &error) != PX_OK) {
        return fail("pxengine", &error);
    }
    px_interrupt_early(&px_kernel_current->interrupt);
    return px_interp_run();
}

void px_kernel_exit(int status)
{
    px_kernel *kernel = px_kernel_current;
    if (kernel != NULL) {
        px_witness_asked(kernel);
    }
    status = px_interp_finish(status);
    if (kernel != NULL && kernel->io != NULL) {
        px_capture_stop(&kernel->capture);
        px_io_stop(kernel->io);
        px_ending_group(true);
    }
    (void)fflush(NULL);
    if (kernel != NULL) {
        px_witness_leaving(kernel, status);
    }
    _exit(status);
}
