// spill_folder.h: where files of output lie, what they are called, and which are taken away. Used
// by one thread at a time; touches the disk.
#ifndef PX_KERNEL_SPILL_FOLDER_H
#define PX_KERNEL_SPILL_FOLDER_H

#include "io/spill.h"

#include <limits.h>

typedef struct px_spill_place {
    char start[PATH_MAX]; // the folder that the kernel was started in; "": not known
    char stem[80];        // names begin with it: the notebook's name
    unsigned number;      // of the last file
} px_spill_place;

// px_spill_place_find takes the current folder and the name of the notebook (JPY_SESSION_NAME).
void px_spill_place_find(px_spill_place *ret_place);
// px_spill_open makes a new file (0600) whose name has this ending and gives a descriptor for
// appending, its path and its link; -1 with errno.
int px_spill_open(px_spill_place *place, const char *ending, char ret_path[PATH_MAX],
                  char ret_link[PX_SPILL_LINK]);
// px_spill_purge takes away files that are too old, and the oldest ones of too many bytes.
void px_spill_purge(const px_spill_place *place);

#endif
