// ssh.c: a zygote on another host, its line being ssh's stdin and stdout.
//
// The remote command finds pxengine by itself: on the PATH there, else where it is here. With
// --tunnel the engines' connections come back through this ssh (-R), for hosts that cannot reach
// us; the port over there is a guess, and guessed anew when it is taken.
//
// ssh asks no questions (BatchMode), and lives through a cut of the network that engines survive.

#include "nests.h"

#include "px/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define BEAT_S 3
#define MOST_WORDS 64

extern char **environ;

// words splits a command line at spaces into argv, from n on; gives the new n.
static size_t words(char *text, char **argv, size_t n)
{
    for (char *at = text; *at != '\0' && n < MOST_WORDS / 2;) {
        at += strspn(at, " ");
        if (*at == '\0') {
            break;
        }
        argv[n++] = at;
        at += strcspn(at, " ");
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
    return n;
}

// quote writes text for the remote shell.
static void quote(px_buf *out, const char *text)
{
    px_buf_append_str(out, "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            px_buf_append_str(out, "'\\''");
        } else {
            px_buf_append(out, text, 1);
        }
    }
    px_buf_append_str(out, "'");
}

static void remote_command(const px_controller *controller, const px_nest *nest, px_buf *out)
{
    if (controller->remote_engine != NULL) {
        px_buf_append_str(out, "exec ");
        quote(out, controller->remote_engine);
    } else {
        px_buf_append_str(out, "px=$(command -v pxengine) || px=");
        quote(out, controller->program);
        px_buf_append_str(out, "; exec \"$px\"");
    }
    px_buf_printf(out, " --zygote --remote %u --engines %u", 2 * controller->lease_s,
                  nest->capacity > 0 ? nest->capacity : 1);
    if (controller->preload != NULL) {
        px_buf_append_str(out, " --preload ");
        quote(out, controller->preload);
    }
    px_buf_append(out, "", 1);
}

static uint16_t guess_port(void)
{
    uint16_t number = 0;
    (void)!getrandom(&number, sizeof(number), 0); // 0 is as good a guess
    return (uint16_t)(20000 + number % 12000);    // below the ports that systems give out
}

// tell_cluster says where the controller is, as its first word.
static px_err tell_cluster(const px_controller *controller, px_zygote *zygote, uint16_t tunnel)
{
    PX_AUTO_FREE px_cluster_file *file = malloc(sizeof(*file)); // large for a stack
    PX_AUTO_BUF order = {0};
    px_jsonw w = px_jsonw_to(&order);
    if (file == NULL) {
        return PX_ENOMEM;
    }
    *file = controller->file;
    if (tunnel != 0) {
        file->port = tunnel;
        (void)snprintf(file->addresses, sizeof(file->addresses), "127.0.0.1");
    }
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "op", "cluster");
    px_jsonw_key(&w, "file");
    px_cluster_file_json(file, true, &w);
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&order));
    return px_zygote_tell(zygote, px_buf_slice(&order));
}

px_err px__ssh_start(px_nest *nest, const px_zygote_events *events, px_error *reterr)
{
    px_controller *controller = nest->controller;
    char alive[64], count[64], forward[64], own[1024], log[PATH_MAX + 320];
    char *argv[MOST_WORDS];
    size_t n = 0;
    uint16_t tunnel = controller->tunnel ? guess_port() : 0;
    PX_AUTO_BUF command = {0};
    remote_command(controller, nest, &command);
    PX_TRY(px_buf_status(&command));
    (void)snprintf(own, sizeof(own), "%s", controller->ssh != NULL ? controller->ssh : "ssh");
    (void)snprintf(alive, sizeof(alive), "ServerAliveInterval=%d", BEAT_S);
    (void)snprintf(count, sizeof(count), "ServerAliveCountMax=%u",
                   2 * controller->lease_s / BEAT_S + 1);
    n = words(own, argv, n);
    const char *options[] = {"-T", "-x",  "-o", "BatchMode=yes",     "-o", alive,
                             "-o", count, "-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        argv[n++] = (char *)options[i];
    }
    if (tunnel != 0) {
        (void)snprintf(forward, sizeof(forward), "127.0.0.1:%u:127.0.0.1:%u", tunnel,
                       controller->file.port);
        argv[n++] = "-o";
        argv[n++] = "ExitOnForwardFailure=yes";
        argv[n++] = "-R";
        argv[n++] = forward;
    }
    if (nest->host->port[0] != '\0') {
        argv[n++] = "-p";
        argv[n++] = (char *)nest->host->port;
    }
    argv[n++] = "--";
    argv[n++] = (char *)nest->host->target;
    argv[n++] = (char *)command.data;
    argv[n] = NULL;
    (void)snprintf(log, sizeof(log), "%s/ssh-%s.log", controller->folder, nest->host->target);
    int fd = px__log_open(log);
    if (fd < 0) {
        return px_error_set(reterr, PX_EIO, "cannot write %s", log);
    }
    px_zygote_config config = {.argv = argv, .log = fd, .env = environ};
    px_err err = px_zygote_start(controller->loop, &config, events, &nest->zygote, reterr);
    (void)close(fd);
    return err == PX_OK ? tell_cluster(controller, nest->zygote, tunnel) : err;
}
