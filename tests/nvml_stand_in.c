/* A library with the driver's NVML entry points. GPU 0 answers everything; GPU 1, like a MIG slice,
   answers NVML_ERROR_NOT_SUPPORTED (3) to most of it.
   NVML_STAND_IN in the environment: "mig" cuts GPU 1 into two slices, "uncut" puts it into MIG mode without
   any, "allmig" cuts both; "mismatch", "unloaded" and "none" are drivers that don't work, "lost" has lost GPU 1,
   "old" knows CUDA 11.8, "busy" has a process of an id in NVML_STAND_IN_PID on GPU 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned int gpu, memory; } rates_t;
typedef struct { unsigned long long total, free, used; } memory_t;
static int devices[2] = {0, 1};
static int parts[4] = {10, 11, 12, 13};
#define NOT_SUPPORTED 3
#define GPU(device) (*(int *)(device))
#define PART(device) (GPU(device) >= 10)

static int is(const char *mode) {
    const char *set = getenv("NVML_STAND_IN");
    return set && !strcmp(set, mode);
}
static int cut(int gpu) { return is("allmig") || (gpu == 1 && is("mig")); }

int nvmlInitWithFlags(unsigned int flags) {
    return is("mismatch") ? 18 : is("unloaded") ? 9 : 0;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) {
    return code == NOT_SUPPORTED ? "Not Supported" : code == 18 ? "Driver/library version mismatch"
         : code == 9 ? "Driver Not Loaded" : "Unknown Error";
}
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = is("old") ? 11080 : 13000; return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = is("none") ? 0 : 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index > 1) return 2;
    if (index == 1 && is("lost")) return 15;
    *device = &devices[index];
    return 0;
}
int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending) {
    *current = *pending = cut(GPU(device)) || (GPU(device) == 1 && is("uncut"));
    return *current || !GPU(device) ? 0 : NOT_SUPPORTED;
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count) { *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **part) {
    if (!cut(GPU(device)) || index > 2 || index == 1) return 6; /* slices have gaps in their numbers */
    *part = &parts[2 * GPU(device) + index / 2];
    return 0;
}
int nvmlDeviceGetGpuInstanceId(void *device, unsigned int *id) { *id = 7 + GPU(device) % 2; return 0; }
int nvmlDeviceGetComputeInstanceId(void *device, unsigned int *id) { *id = 0; return 0; }
int nvmlDeviceGetName(void *device, char *name, unsigned int size) {
    strncpy(name, PART(device) ? "Stand-in MIG 1g.18gb" : GPU(device) ? "Stand-in MIG" : "Stand-in H200", size);
    return 0;
}
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned int size) {
    snprintf(uuid, size, PART(device) ? "MIG-c%03d" : "GPU-%04d", GPU(device));
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, rates_t *rates) {
    if (GPU(device)) return NOT_SUPPORTED;
    rates->gpu = 87;
    rates->memory = 40;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    if (GPU(device) == 1) return NOT_SUPPORTED;
    memory->total = (PART(device) ? 18ULL : 140ULL) << 30;
    memory->used = (PART(device) ? 2ULL : 31ULL) << 30;
    memory->free = memory->total - memory->used;
    return 0;
}
typedef struct { unsigned int pid; unsigned long long used; unsigned int instance, part; } process_t;
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process_t *found) {
    if (!is("busy") || GPU(device)) { *count = 0; return 0; }
    unsigned int room = *count;
    *count = 1;
    if (!room) return 7; /* that is how the number is asked for */
    found[0] = (process_t){atoi(getenv("NVML_STAND_IN_PID")), 30ULL << 30, 0, 0};
    return 0;
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *degrees) {
    *degrees = GPU(device) ? 44 : 61;
    return 0;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned int *milliwatts) {
    if (GPU(device)) return NOT_SUPPORTED;
    *milliwatts = 302500;
    return 0;
}
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *milliwatts) {
    if (GPU(device)) return NOT_SUPPORTED;
    *milliwatts = 700000;
    return 0;
}
int nvmlDeviceGetClockInfo(void *device, int type, unsigned int *megahertz) {
    if (GPU(device)) return NOT_SUPPORTED;
    *megahertz = 1980;
    return 0;
}
