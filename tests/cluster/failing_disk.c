/* Preloaded into one process: its system calls on the files under one folder fail for as long as a control page says so.
 *
 * The page, shared with the test (failing_disk.py): errno or 0, the kinds of calls that fail, the folder.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, READ = 4, CHANGE = 8 };

struct page {
    volatile int error;
    volatile int kinds;
    char folder[4096 - 2 * sizeof(int)];
};

static struct page *control;

__attribute__((constructor)) static void open_control(void) {
    const char *path = getenv("KOPS_TEST_FAILING_DISK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        control = page;
}

static int fails_by_name(int kind, const char *path) {
    if (!control || !control->error || !(control->kinds & kind) || strncmp(path, control->folder, strlen(control->folder)))
        return 0;
    errno = control->error;
    return 1;
}

static int fails(int kind, int fd) {
    char link[40], path[PATH_MAX];
    if (!control || !control->error)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return fails_by_name(kind, path);
}

#define CALL(type, name, failed, named, given)      \
    type name named {                               \
        static type(*next) named;                   \
        if (!next)                                  \
            next = dlsym(RTLD_NEXT, #name);         \
        return failed ? -1 : next given;            \
    }
#define OPEN(name)                                                                                \
    int name(const char *path, int flags, ...) {                                                  \
        static int (*next)(const char *, int, ...);                                               \
        if (!next)                                                                                \
            next = dlsym(RTLD_NEXT, #name);                                                       \
        va_list more;                                                                             \
        va_start(more, flags);                                                                    \
        int mode = va_arg(more, int);                                                             \
        va_end(more);                                                                             \
        return (flags & O_CREAT) && fails_by_name(CHANGE, path) ? -1 : next(path, flags, mode);   \
    }

CALL(ssize_t, write, fails(WRITE, fd), (int fd, const void *data, size_t size), (fd, data, size))
CALL(ssize_t, writev, fails(WRITE, fd), (int fd, const struct iovec *parts, int count), (fd, parts, count))
CALL(ssize_t, pwrite, fails(WRITE, fd), (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
CALL(ssize_t, pwrite64, fails(WRITE, fd), (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
CALL(ssize_t, read, fails(READ, fd), (int fd, void *data, size_t size), (fd, data, size))
CALL(ssize_t, pread, fails(READ, fd), (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
CALL(ssize_t, pread64, fails(READ, fd), (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
CALL(int, fsync, fails(SYNC, fd), (int fd), (fd))
CALL(int, fdatasync, fails(SYNC, fd), (int fd), (fd))
CALL(int, ftruncate, fails(CHANGE, fd), (int fd, off_t size), (fd, size))
CALL(int, ftruncate64, fails(CHANGE, fd), (int fd, off64_t size), (fd, size))
CALL(int, rename, fails_by_name(CHANGE, path), (const char *path, const char *to), (path, to))
CALL(int, unlink, fails_by_name(CHANGE, path), (const char *path), (path))
CALL(int, mkdir, fails_by_name(CHANGE, path), (const char *path, mode_t mode), (path, mode))
OPEN(open)
OPEN(open64)
