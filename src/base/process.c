/* What the system tells of this process: proc(5) of Linux. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lockstep/base.h"

void ls_host_name(char host[LS_HOST_SIZE]) {
    memset(host, 0, LS_HOST_SIZE);
    if (gethostname(host, LS_HOST_SIZE - 1) != 0)
        strcpy(host, "a host without a name");
}

enum { START_TIME = 22, AFTER_NAME = 3 }; /* fields of /proc/self/stat, from 1 */

double ls_process_age(void) {
    char line[1024] = "";
    FILE *file = fopen("/proc/self/stat", "r");
    if (file == NULL)
        return 0;
    char *got = fgets(line, sizeof line, file);
    fclose(file);
    char *field = got ? strrchr(line, ')') : NULL; /* the name may hold anything */
    for (int i = AFTER_NAME - 1; field && i < START_TIME; i++)
        field = strchr(field + 1, ' ');
    if (field == NULL)
        return 0;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    double ticks = strtod(field, NULL);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - ticks / (double)sysconf(_SC_CLK_TCK);
}

double ls_process_cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The line "NAME:   123 kB" of a file. */
static size_t read_kilobytes(const char *path, const char *name) {
    char line[256];
    size_t bytes = 0, length = strlen(name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (bytes == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            bytes = (size_t)strtoull(line + length + 1, NULL, 10) * 1024;
    fclose(file);
    return bytes;
}

ls_process_memory ls_process_memory_now(void) {
    return (ls_process_memory){
        .peak_resident = read_kilobytes("/proc/self/status", "VmHWM"),
        .proportional = read_kilobytes("/proc/self/smaps_rollup", "Pss"),
    };
}
