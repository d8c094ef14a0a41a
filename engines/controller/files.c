// files.c: the run folder while its controller lives.
//
// The folder's lock is the truth about who runs a cluster: it is taken first and let go last, after
// everything in the folder was removed. cluster.json appears when both sockets listen, so whoever
// reads it can connect.

#include "../launch/host.h"
#include "controller.h"

#include "px/connection.h"
#include "px/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int px__log_open(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// use_log sends what we, and libraries under us, print to controller.log.
static px_err use_log(const px_controller *controller, px_error *reterr)
{
    char path[PATH_MAX + 32];
    (void)snprintf(path, sizeof(path), "%s/controller.log", controller->folder);
    int log = px__log_open(path);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool good =
        log >= 0 && null >= 0 && dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2;
    int errnum = errno;
    if (log >= 0) {
        (void)close(log);
    }
    if (null >= 0) {
        (void)close(null);
    }
    return good ? PX_OK
                : px_error_set(reterr, px_err_from_errno(errnum), "cannot write %s: %s", path,
                               strerror(errnum));
}

static void fill_file(px_controller *controller)
{
    px_cluster_file *file = &controller->file;
    (void)snprintf(file->id, sizeof(file->id), "%s", controller->name);
    file->pid = getpid();
    if (gethostname(file->host, sizeof(file->host)) != 0) {
        file->host[0] = '\0';
    }
    file->host[sizeof(file->host) - 1] = '\0';
    px_host_boot_id(file->boot_id, sizeof(file->boot_id));
    px_stamp_now(file->started);
    file->n = controller->n;
    (void)snprintf(file->launcher, sizeof(file->launcher), "%s", controller->launcher.name);
    (void)snprintf(file->signature_scheme, sizeof(file->signature_scheme), "hmac-sha256");
    (void)snprintf(file->control, sizeof(file->control), "%.*s/control.sock", PATH_MAX - 32,
                   controller->folder);
    (void)snprintf(file->work, sizeof(file->work), "%.*s/work.sock", PATH_MAX - 32,
                   controller->folder);
    if (getcwd(file->cwd, sizeof(file->cwd)) == NULL) {
        (void)snprintf(file->cwd, sizeof(file->cwd), "/");
    }
    (void)snprintf(file->python, sizeof(file->python), "%s", controller->program);
    file->attached_to = controller->attach;
}

px_err px__files_open(px_controller *controller, px_error *reterr)
{
    PX_TRY(px_cluster_folder(controller->name, controller->folder, reterr));
    px_err err = px_cluster_lock(controller->folder, &controller->lock_fd, reterr);
    if (err == PX_EEXIST) {
        return px_error_set(reterr, err,
                            "cluster \"%s\" runs already; use it, stop it with `pxcluster stop "
                            "%s`, or start another under a name of its own",
                            controller->name, controller->name);
    }
    PX_TRY(err);
    fill_file(controller);
    err = px_random_hex(controller->file.key, 32);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "the system gives no random numbers for the key");
    }
    PX_TRY(use_log(controller, reterr));
    PX_TRY(px_link_listen(controller->file.control, &controller->control_fd, reterr));
    return px_link_listen(controller->file.work, &controller->work_fd, reterr);
}

// make_folders makes a folder and those above it, each 0700.
static bool make_folders(char *path)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
            *at = '/';
            if (!made) {
                return false;
            }
        }
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

px_err px__files_results(const px_controller *controller, char ret_path[PATH_MAX], px_error *reterr)
{
    char folder[PATH_MAX];
    const char *data = getenv("PX_DATA_DIR");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (data != NULL && data[0] == '/') {
        (void)snprintf(folder, sizeof(folder), "%s", data);
    } else if (xdg != NULL && xdg[0] == '/') {
        (void)snprintf(folder, sizeof(folder), "%s/pxkernel/results", xdg);
    } else if (home != NULL && home[0] == '/') {
        (void)snprintf(folder, sizeof(folder), "%s/.local/share/pxkernel/results", home);
    } else {
        return px_error_set(reterr, PX_ENOENT,
                            "there is no folder for results: name one in PX_DATA_DIR");
    }
    if (!make_folders(folder)) {
        return px_error_set(reterr, px_err_from_errno(errno), "cannot make %.400s: %s", folder,
                            strerror(errno));
    }
    (void)snprintf(ret_path, PATH_MAX, "%.*s/%s.db", PATH_MAX - 80, folder, controller->name);
    return PX_OK;
}

px_err px__files_publish(px_controller *controller, px_error *reterr)
{
    controller->file.n = px_roster_wanted(controller->roster);
    return px_cluster_file_write(&controller->file, reterr);
}

void px__files_remove(px_controller *controller)
{
    if (controller->lock_fd < 0) {
        return; // not ours
    }
    DIR *folder = opendir(controller->folder);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lock") != 0) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder != NULL) {
        (void)unlinkat(dirfd(folder), "lock", 0);
        (void)closedir(folder);
    }
    (void)rmdir(controller->folder);
    (void)close(controller->lock_fd);
    controller->lock_fd = -1;
}
