/* How this library was built: the Makefile passes the values to this file only, so that a new
 * revision recompiles nothing else. */
#include "lockstep/build.h"

#include "lockstep/lockstep.h"

#ifndef LS_GIT_REVISION
#define LS_GIT_REVISION "unknown"
#endif
#ifndef LS_COMPILER
#define LS_COMPILER "unknown"
#endif
#ifndef LS_FLAGS
#define LS_FLAGS ""
#endif

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *ls_build_version(void) {
    return VERSION_TEXT(LS_VERSION_MAJOR, LS_VERSION_MINOR, LS_VERSION_PATCH);
}

const char *ls_build_revision(void) {
    return LS_GIT_REVISION;
}

const char *ls_build_compiler(void) {
    return LS_COMPILER;
}

const char *ls_build_flags(void) {
    return LS_FLAGS;
}
