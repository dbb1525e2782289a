// The few MPI calls that src/ranks/mpi.rs needs, without MPI's types: those differ between implementations, and only a C
// compiler knows them. Everything but start and end returns at once. All calls are made by one thread.

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

// Returns 0, or -1 if MPI cannot be started. `host` has room for `room` bytes.
int wgr_mpi_start(int *rank, int *size, char *host, int room) {
    int provided, length;
    char name[MPI_MAX_PROCESSOR_NAME];
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided)) return -1;
    // A connection that fails is reported, so that the others hear why the run ends.
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (MPI_Comm_rank(MPI_COMM_WORLD, rank) || MPI_Comm_size(MPI_COMM_WORLD, size)) return -1;
    if (MPI_Get_processor_name(name, &length) || length >= room) return -1;
    memcpy(host, name, length);
    host[length] = 0;
    return 0;
}

// Begins to send; the bytes must stay until wgr_mpi_done says so. Returns NULL on failure.
void *wgr_mpi_send(const void *bytes, int count, int to, int tag) {
    MPI_Request *request = malloc(sizeof *request);
    if (request && MPI_Isend(bytes, count, MPI_BYTE, to, tag, MPI_COMM_WORLD, request)) {
        free(request);
        return NULL;
    }
    return request;
}

// Whether a message with this tag has come from this rank, or from any if `from` is -1: 1 if so, 0 if not, -1 on failure.
int wgr_mpi_find(int from, int tag, int *source, int *count, void **message) {
    MPI_Message *found = malloc(sizeof *found);
    MPI_Status status;
    int there = 0;
    if (!found) return -1;
    int code = MPI_Improbe(from < 0 ? MPI_ANY_SOURCE : from, tag, MPI_COMM_WORLD, &there, found, &status);
    if (!code && there) code = MPI_Get_count(&status, MPI_BYTE, count);
    if (code || !there) {
        free(found);
        return code ? -1 : 0;
    }
    *source = status.MPI_SOURCE;
    *message = found;
    return 1;
}

// Begins to receive a message that was found; the room must stay until wgr_mpi_done says so. Returns NULL on failure.
void *wgr_mpi_receive(void *message, void *bytes, int count) {
    MPI_Request *request = malloc(sizeof *request);
    if (request && MPI_Imrecv(bytes, count, MPI_BYTE, message, request)) {
        free(request);
        request = NULL;
    }
    free(message);
    return request;
}

// Whether a message has left or arrived: 1 if so, which ends the request, 0 if not, -1 on failure.
int wgr_mpi_done(void *request) {
    int done = 0;
    if (MPI_Test(request, &done, MPI_STATUS_IGNORE)) return -1;
    if (done) free(request);
    return done;
}

void wgr_mpi_end(void) {
    MPI_Finalize();
}
