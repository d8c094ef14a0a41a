// The folder of output files. It may be shared by kernels and lies where its user works, so nothing
// in it is trusted: it must be a folder of ours and no link, and only regular files of ours that
// are named as we name them are taken away.

#include "io/spill_folder.h"

#include "io/need.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 1000
static const char *const endings[] = {PX_SPILL_TEXT, PX_SPILL_DISPLAYS};
static const char ignore[] = "# Output that was too long for its notebook. pxkernel takes files "
                             "away after a week.\n*\n";

void px_spill_place_find(px_spill_place *ret_place)
{
    *ret_place = (px_spill_place){0};
    if (getcwd(ret_place->start, sizeof(ret_place->start)) == NULL) {
        ret_place->start[0] = '\0';
    }
    const char *session = getenv("JPY_SESSION_NAME");
    const char *slash = session != NULL ? strrchr(session, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : session != NULL ? session : "";
    size_t n = 0;
    for (; *name != '\0' && *name != '.' && n + 1 < sizeof(ret_place->stem); name++) {
        bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                     (*name >= '0' && *name <= '9') || *name == '-' || *name == '_';
        ret_place->stem[n++] = plain ? *name : '_';
    }
    if (n == 0) {
        (void)snprintf(ret_place->stem, sizeof(ret_place->stem), "cell");
    }
}

// open_folder opens base/name, made when it is not there: a folder of ours, 0700, no link.
static int open_folder(const char *base, const char *name)
{
    int at = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) {
        return -1;
    }
    bool made = mkdirat(at, name, 0700) == 0; // it may exist: opening it says if it is good
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int cause = errno;
    (void)close(at);
    struct stat stat;
    if (fd >= 0 && (fstat(fd, &stat) != 0 || stat.st_uid != geteuid())) {
        (void)close(fd);
        fd = -1;
        cause = EPERM;
    }
    if (fd >= 0 && made) {
        int file = openat(fd, ".gitignore", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file >= 0) {
            (void)!write(file, ignore, sizeof(ignore) - 1); // a convenience
            (void)close(file);
        }
    }
    errno = cause;
    return fd;
}

// temporary gives the base and the name of the folder for when the notebook's cannot be used.
static const char *temporary(char *name, size_t size)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(name, size, "%s-%u", PX_SPILL_FOLDER, (unsigned)geteuid());
    return base != NULL && base[0] == '/' ? base : "/tmp";
}

static int open_in(px_spill_place *place, const char *ending, int folder, char *name, size_t size)
{
    time_t now = time(NULL);
    struct tm local;
    char stamp[32];
    (void)localtime_r(&now, &local);
    (void)strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &local);
    for (int tries = 0; tries < TRIES; tries++) {
        place->number++;
        (void)snprintf(name, size, "%s-%s-%u%s", place->stem, stamp, place->number, ending);
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

int px_spill_open(px_spill_place *place, const char *ending, char ret_path[PATH_MAX],
                  char ret_link[PX_SPILL_LINK])
{
    char spare[64];
    const char *const bases[] = {place->start, temporary(spare, sizeof(spare))};
    const char *const names[] = {PX_SPILL_FOLDER, spare};
    char name[PX_SPILL_LINK - sizeof(PX_SPILL_FOLDER)];
    int fd = -1;
    ret_link[0] = '\0';
    for (size_t i = 0; i < 2 && fd < 0; i++) {
        int folder = open_folder(bases[i], names[i]);
        if (folder < 0) {
            continue;
        }
        fd = open_in(place, ending, folder, name, sizeof(name));
        int cause = errno;
        (void)close(folder);
        errno = cause;
        if (fd < 0) {
            continue;
        }
        int n = snprintf(ret_path, PATH_MAX, "%s/%s/%s", bases[i], names[i], name);
        if (n >= PATH_MAX) {
            ret_path[0] = '\0';
        }
        if (i == 0) {
            (void)snprintf(ret_link, PX_SPILL_LINK, "%s/%s", names[i], name);
        }
    }
    return fd;
}

// --- taking away --------------------------------------------------------------------------------

typedef struct old_file {
    struct old_file *next; // a younger one
    char name[NAME_MAX + 1];
    time_t changed;
    uint64_t size;
} old_file;

static bool has_ending(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
        size_t size = strlen(endings[i]);
        if (length > size && strcmp(name + length - size, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_ours(int folder, const char *name, struct stat *ret_stat)
{
    return has_ending(name) && fstatat(folder, name, ret_stat, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(ret_stat->st_mode) && ret_stat->st_uid == geteuid();
}

// list gives our files, oldest first, and the bytes in them.
static old_file *list(DIR *folder, uint64_t *ret_total)
{
    old_file *oldest = NULL;
    *ret_total = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        struct stat stat;
        if (!is_ours(dirfd(folder), entry->d_name, &stat)) {
            continue;
        }
        old_file *file = px_need_zeroed(sizeof(*file));
        (void)snprintf(file->name, sizeof(file->name), "%s", entry->d_name);
        file->changed = stat.st_mtime;
        file->size = (uint64_t)stat.st_size;
        *ret_total += file->size;
        old_file **at = &oldest;
        while (*at != NULL && (*at)->changed <= file->changed) {
            at = &(*at)->next;
        }
        file->next = *at;
        *at = file;
    }
    return oldest;
}

static void purge_folder(const char *base, const char *name)
{
    int at = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = at >= 0 ? openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (at >= 0) {
        (void)close(at);
    }
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return; // there is none
    }
    uint64_t total;
    time_t now = time(NULL);
    old_file *file = list(folder, &total);
    while (file != NULL) {
        old_file *next = file->next;
        if (total > PX_SPILL_TOTAL || now - file->changed > PX_SPILL_AGE) {
            (void)unlinkat(dirfd(folder), file->name, 0); // it may be gone already
            total -= file->size;
        }
        free(file);
        file = next;
    }
    (void)closedir(folder);
}

void px_spill_purge(const px_spill_place *place)
{
    char spare[64];
    const char *base = temporary(spare, sizeof(spare));
    purge_folder(place->start, PX_SPILL_FOLDER);
    purge_folder(base, spare);
}
