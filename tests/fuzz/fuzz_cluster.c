// A cluster file: refused with a sentence, or what is needed is there.
#include "fuzz.h"

#include "px/cluster.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static px_cluster_file file;
    px_error error = {0};

    if (px_cluster_file_parse(px_slice_of(data, size), "fuzz.json", &file, &error) != PX_OK) {
        must(strncmp(error.text, "fuzz.json", 9) == 0);
        return 0;
    }
    must(px_cluster_name_valid(file.id));
    must(file.pid > 0 && file.control[0] == '/' && file.work[0] == '/');
    return 0;
}
