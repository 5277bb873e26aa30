/* Which MPI this is, and what carries its messages. */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/comm.h"

const char *ls_comm_library(void) {
    static char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (name[0] == '\0') {
        MPI_Get_library_version(name, &length);
        name[strcspn(name, ",\n")] = '\0'; /* Open MPI adds package, host and date */
        for (char *tab = strchr(name, '\t'); tab; tab = strchr(tab, '\t'))
            *tab = ' '; /* MPICH's */
    }
    return name;
}

/* Of MPICH: "MPICH Device:\tch4:ucx", a line of its version. */
static bool find_device(char *device, size_t size) {
    static const char key[] = "Device:";
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(version, &length);
    const char *found = strstr(version, key);
    if (found == NULL)
        return false;
    found += strlen(key);
    found += strspn(found, " \t");
    snprintf(device, size, "%.*s", (int)strcspn(found, "\n"), found);
    return true;
}

/* Of Open MPI: it loads the components that it may use and drops the others. */
static int add_component(struct dl_phdr_info *library, size_t size, void *context) {
    static const char *const kinds[] = {"pml_", "mtl_", "btl_"};
    const char *slash = strrchr(library->dlpi_name, '/');
    (void)size;
    if (slash == NULL || strncmp(slash + 1, "mca_", 4) != 0)
        return 0;
    const char *name = slash + 1 + 4; /* "btl_tcp.so" */
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(name, kinds[i], strlen(kinds[i])) == 0)
            ls_text_add(context, "%s%.*s", ((ls_text *)context)->length ? " " : "",
                        (int)strcspn(name, "."), name);
    return 0;
}

char *ls_comm_transport(void) {
    char device[64];
    ls_text text = {0};
    if (find_device(device, sizeof device))
        return ls_strdup(device);
    dl_iterate_phdr(add_component, &text);
    return text.data;
}
