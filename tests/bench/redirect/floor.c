// The floor of the redirect bench: what the kernel alone charges for a request over a kept connection.
//
// One thread, one epoll, one fixed 302. A request is read up to its empty line and not looked at; a connection is
// kept until the client closes it. No server that reads its requests can be cheaper on the same machine.
//
// Usage: floor PORT. Prints "ready" once it listens on 127.0.0.1:PORT.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    CONNECTIONS_MAX = 65536,
    EVENTS_MAX = 512,
    READ_BYTES_MAX = 16384,
    ANSWERS_MAX = 64,
    // The end of a request may be split over two reads: this much of the first may belong to it.
    TAIL_BYTES_MAX = 3,
};

static const char END_OF_HEAD[] = "\r\n\r\n";
static const char ANSWER[] = "HTTP/1.1 302 Found\r\n"
                             "location: https://example.com/landing\r\n"
                             "content-length: 0\r\n"
                             "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                             "\r\n";

struct tail {
    unsigned char length;
    char bytes[TAIL_BYTES_MAX];
};

static struct tail tails[CONNECTIONS_MAX];
static char answers[ANSWERS_MAX * (sizeof ANSWER - 1)];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (fd < 0)
        fail("socket");
    // Accepted connections inherit TCP_NODELAY.
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        fail("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, sizeof address))
        fail("bind");
    if (listen(fd, BACKLOG))
        fail("listen");
    return fd;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void accept_all(int epoll, int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        tails[fd].length = 0;
        watch(epoll, fd);
    }
}

// Counts the requests that end in these bytes and keeps what may be the beginning of the next end.
static size_t count_requests(struct tail *tail, const char *bytes, size_t length) {
    size_t count = 0;
    const char *rest = bytes, *end = bytes + length, *found;
    while ((found = memmem(rest, (size_t)(end - rest), END_OF_HEAD, 4))) {
        rest = found + 4;
        count++;
    }
    size_t kept = (size_t)(end - rest) < TAIL_BYTES_MAX ? (size_t)(end - rest) : TAIL_BYTES_MAX;
    memcpy(tail->bytes, end - kept, kept);
    tail->length = (unsigned char)kept;
    return count;
}

// One read and one write a wake-up. A client that sends more than ANSWERS_MAX requests at once, or does not take its
// answers, is closed: that is no client of this bench.
static void serve(int fd) {
    char bytes[TAIL_BYTES_MAX + READ_BYTES_MAX];
    struct tail *tail = &tails[fd];
    size_t before = tail->length;
    memcpy(bytes, tail->bytes, before);
    ssize_t got = read(fd, bytes + before, READ_BYTES_MAX);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        close(fd);
        return;
    }
    size_t count = count_requests(tail, bytes, before + (size_t)got);
    size_t length = count * (sizeof ANSWER - 1);
    if (count > ANSWERS_MAX || (count && write(fd, answers, length) != (ssize_t)length))
        close(fd);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: floor PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ANSWERS_MAX; i++)
        memcpy(answers + i * (sizeof ANSWER - 1), ANSWER, sizeof ANSWER - 1);
    int listener = listen_on(atoi(argv[1]));
    int epoll = epoll_create1(0);
    if (epoll < 0)
        fail("epoll_create1");
    watch(epoll, listener);
    puts("ready");
    fflush(stdout);
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                serve(events[i].data.fd);
        }
    }
}
