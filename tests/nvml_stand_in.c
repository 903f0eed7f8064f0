/* A library with the driver's NVML entry points. GPU 0 answers everything; GPU 1, like a MIG slice,
   answers NVML_ERROR_NOT_SUPPORTED (3) to most of it. */
#include <string.h>

typedef struct { unsigned int gpu, memory; } rates_t;
typedef struct { unsigned long long total, free, used; } memory_t;
static int devices[2] = {0, 1};
#define NOT_SUPPORTED 3
#define GPU(device) (*(int *)(device))

int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned int flags) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == NOT_SUPPORTED ? "Not Supported" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index > 1) return 2;
    *device = &devices[index];
    return 0;
}
int nvmlDeviceGetName(void *device, char *name, unsigned int size) {
    strncpy(name, GPU(device) ? "Stand-in MIG" : "Stand-in H200", size);
    return 0;
}
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned int size) {
    strncpy(uuid, GPU(device) ? "GPU-0001" : "GPU-0000", size);
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, rates_t *rates) {
    if (GPU(device)) return NOT_SUPPORTED;
    rates->gpu = 87;
    rates->memory = 40;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    if (GPU(device)) return NOT_SUPPORTED;
    memory->total = 140ULL << 30;
    memory->used = 31ULL << 30;
    memory->free = memory->total - memory->used;
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
