// spec.c: reading --engines.

#include "spec.h"

#include "px/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KNOWN "local, ssh:HOST=N,…, mpi, slurm, pbs, sge, lsf, htcondor"

static const struct {
    const char *name;
    px_launch_kind kind;
} kinds[] = {{"local", PX_LAUNCH_LOCAL}, {"ssh", PX_LAUNCH_SSH},       {"mpi", PX_LAUNCH_MPI},
             {"slurm", PX_LAUNCH_BATCH}, {"pbs", PX_LAUNCH_BATCH},     {"sge", PX_LAUNCH_BATCH},
             {"lsf", PX_LAUNCH_BATCH},   {"htcondor", PX_LAUNCH_BATCH}};

void px_launch_done(px_launch_spec *spec)
{
    free(spec->hosts);
    *spec = (px_launch_spec){0};
}

// read_host takes "user@host:port=n".
static px_err read_host(const char *text, size_t length, px_launch_host *host, px_error *reterr)
{
    char word[256];
    long long n = 0, port = 0;
    if (length == 0 || length >= sizeof(host->target)) {
        return px_error_set(reterr, PX_EINVAL, "a host's name is empty or too long in --engines");
    }
    memcpy(word, text, length);
    word[length] = '\0';
    char *count = strchr(word, '=');
    if (count != NULL) {
        *count++ = '\0';
        if (px_parse_number(count, 1, 4096, &n) != PX_OK) {
            return px_error_set(reterr, PX_EINVAL,
                                "host %.80s needs a number of engines from 1 to 4096, not "
                                "\"%.40s\"",
                                word, count);
        }
    }
    char *colon = strrchr(word, ':');
    if (colon != NULL) {
        *colon++ = '\0';
        if (px_parse_number(colon, 1, UINT16_MAX, &port) != PX_OK) {
            return px_error_set(reterr, PX_EINVAL, "\"%.40s\" is no port of host %.80s", colon,
                                word);
        }
        (void)snprintf(host->port, sizeof(host->port), "%lld", port);
    }
    if (word[0] == '\0' || word[0] == '-') { // ssh would take it for an option
        return px_error_set(reterr, PX_EINVAL, "\"%.80s\" is no host", word);
    }
    (void)snprintf(host->target, sizeof(host->target), "%s", word);
    host->n = (uint32_t)n;
    return PX_OK;
}

static px_err read_hosts(const char *text, px_launch_spec *spec, px_error *reterr)
{
    spec->hosts = calloc(PX_MOST_HOSTS, sizeof(*spec->hosts));
    if (spec->hosts == NULL) {
        return PX_ENOMEM;
    }
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        if (spec->n_hosts == PX_MOST_HOSTS) {
            return px_error_set(reterr, PX_EINVAL, "more than %d hosts", PX_MOST_HOSTS);
        }
        PX_TRY(read_host(text, length, &spec->hosts[spec->n_hosts], reterr));
        spec->n_hosts++;
        text += length;
        text += *text == ',';
    }
    if (spec->n_hosts == 0) {
        return px_error_set(reterr, PX_EINVAL,
                            "ssh needs hosts: --engines ssh:HOST=N,HOST=N (they may be "
                            "user@host:port)");
    }
    return PX_OK;
}

px_err px_launch_parse(const char *text, px_launch_spec *ret_spec, px_error *reterr)
{
    size_t length = strcspn(text, ":");
    *ret_spec = (px_launch_spec){0};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strlen(kinds[i].name) != length || strncasecmp(kinds[i].name, text, length) != 0) {
            continue;
        }
        ret_spec->kind = kinds[i].kind;
        (void)snprintf(ret_spec->name, sizeof(ret_spec->name), "%s", kinds[i].name);
        const char *rest = text[length] == ':' ? text + length + 1 : "";
        if (ret_spec->kind == PX_LAUNCH_SSH) {
            px_err err = read_hosts(rest, ret_spec, reterr);
            if (err != PX_OK) {
                px_launch_done(ret_spec);
            }
            return err;
        }
        return *rest == '\0'
                   ? PX_OK
                   : px_error_set(reterr, PX_EINVAL, "launcher %s takes no hosts", ret_spec->name);
    }
    return px_error_set(reterr, PX_EINVAL, "there is no launcher \"%.40s\"; there are " KNOWN,
                        text);
}

uint32_t px_launch_total(const px_launch_spec *spec)
{
    uint32_t total = 0;
    for (size_t i = 0; i < spec->n_hosts; i++) {
        total += spec->hosts[i].n > 0 ? spec->hosts[i].n : 1;
    }
    return total;
}
