/* An allocator of the data of NumPy's arrays whose n-th request fails: see failing.py. */

#include <stddef.h>
#include <stdlib.h>

struct counter {
    long calls, n;
};

struct counter counter;

static int fails(struct counter *counter) { return ++counter->calls == counter->n; }

static void *failing_malloc(void *counter, size_t size)
{
    return fails(counter) ? NULL : malloc(size);
}

static void *failing_calloc(void *counter, size_t n, size_t size)
{
    return fails(counter) ? NULL : calloc(n, size);
}

static void *failing_realloc(void *counter, void *old, size_t size)
{
    return fails(counter) ? NULL : realloc(old, size);
}

static void free_it(void *counter, void *old, size_t size)
{
    (void)counter;
    (void)size;
    free(old);
}

/* PyDataMem_Handler of numpy/ndarraytypes.h. */
struct {
    char name[127];
    unsigned char version;
    struct {
        void *context;
        void *(*malloc)(void *, size_t);
        void *(*calloc)(void *, size_t, size_t);
        void *(*realloc)(void *, void *, size_t);
        void (*free)(void *, void *, size_t);
    } allocator;
} handler = {
    "failing", 1, {&counter, failing_malloc, failing_calloc, failing_realloc, free_it}
};
