/* The recorder of events. */
#include "lockstep/record.h"

void ls_record(ls_recorder *recorder, ls_event_kind kind, int64_t index, double start, double end) {
    if (recorder->failed || ls_grow(&recorder->events, recorder->count, &recorder->capacity,
                                    sizeof *recorder->events) != LS_OK) {
        recorder->failed = true;
        return;
    }
    recorder->events[recorder->count++] = (ls_event){kind, (int32_t)index, start, end};
}

void ls_recorder_free(ls_recorder *recorder) {
    ls_free(recorder->events);
    *recorder = (ls_recorder){0};
}
