/*
 * tool.c: what a busybox guest lacks, as one static program.
 *
 *   tool tcp HOST PORT BYTES            send that many over TCP to an echo, verify each byte that comes back
 *   tool udp HOST PORT COUNT SIZE       the same with datagrams, one at a time
 *   tool serve PORT                     be such an echo, for both
 *   tool capture start IF FILE          every frame of IF into a pcap file, in the background
 *   tool capture stop FILE              end that, and tell how many frames were written and lost
 *   tool channels IF N                  use N queue pairs
 *   tool offloads IF 0|1                checksums and segmentation by the device, or not
 *
 * Exit 0 when all is well, 1 with a line when not, 2 for wrong arguments.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, BLOCK = 65536, RECEIVE_BUFFER = 16 << 20 };

static _Noreturn void fail(const char *what) {
    printf("%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

/* A byte of the stream by its place, so that a repeated, missing or moved byte shows. */
static uint8_t pattern(uint64_t at) {
    uint64_t word = (at / 8 + 1) * 0x9e3779b97f4a7c15u;
    return (uint8_t)((word ^ word >> 29) >> (at % 8 * 8));
}

static int open_socket(int kind, const char *host, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int sock = socket(AF_INET, kind, 0);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) {
        printf("%s is no address\n", host);
        exit(2);
    }
    if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof to)) fail("connect");
    return sock;
}

static int tcp(const char *host, const char *port, uint64_t bytes) {
    static uint8_t out[BLOCK], in[BLOCK];
    int sock = open_socket(SOCK_STREAM, host, port);
    uint64_t sent = 0, received = 0;
    if (fcntl(sock, F_SETFL, O_NONBLOCK)) fail("fcntl");
    while (received < bytes) {
        struct pollfd ready = {sock, (short)(POLLIN | (sent < bytes ? POLLOUT : 0)), 0};
        errno = 0;
        if (poll(&ready, 1, PATIENCE_MS) <= 0) {
            printf("stuck: sent %llu received %llu\n", (unsigned long long)sent,
                   (unsigned long long)received);
            return 1;
        }
        if (ready.revents & POLLOUT && sent < bytes) {
            uint64_t left = bytes - sent < BLOCK ? bytes - sent : BLOCK;
            for (uint64_t i = 0; i < left; i++) out[i] = pattern(sent + i);
            ssize_t n = send(sock, out, left, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN) fail("send");
            sent += n > 0 ? (uint64_t)n : 0;
        }
        if (ready.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(sock, in, sizeof in, 0);
            if (n == 0) {
                printf("closed: sent %llu received %llu\n", (unsigned long long)sent,
                       (unsigned long long)received);
                return 1;
            }
            if (n < 0 && errno != EAGAIN) fail("recv");
            for (ssize_t i = 0; i < n; i++)
                if (in[i] != pattern(received + (uint64_t)i)) {
                    printf("altered at byte %llu\n", (unsigned long long)(received + (uint64_t)i));
                    return 1;
                }
            received += n > 0 ? (uint64_t)n : 0;
        }
    }
    printf("sent %llu received %llu\n", (unsigned long long)sent, (unsigned long long)received);
    return received != bytes;
}

static int udp(const char *host, const char *port, uint64_t count, uint64_t size) {
    static uint8_t out[BLOCK], in[BLOCK];
    int sock = open_socket(SOCK_DGRAM, host, port);
    uint64_t received = 0, altered = 0;
    if (size < 8 || size > 65507) {
        printf("a datagram has 8 to 65507 bytes\n");
        return 2;
    }
    for (uint64_t number = 0; number < count; number++) {
        for (uint64_t i = 8; i < size; i++) out[i] = pattern(number * size + i);
        memcpy(out, &number, 8);
        if (send(sock, out, size, 0) < 0) fail("send");
        for (;;) {
            struct pollfd ready = {sock, POLLIN, 0};
            uint64_t echoed;
            if (poll(&ready, 1, PATIENCE_MS) <= 0) break;
            ssize_t n = recv(sock, in, sizeof in, 0);
            if (n < 0) fail("recv");
            memcpy(&echoed, in, 8);
            if (n >= 8 && echoed < number) continue; /* one that was given up */
            received++;
            altered += (uint64_t)n != size || memcmp(in, out, size) != 0;
            break;
        }
    }
    printf("sent %llu received %llu altered %llu\n", (unsigned long long)count, (unsigned long long)received,
           (unsigned long long)altered);
    return received != count || altered;
}

static void echo_stream(int sock) {
    static uint8_t data[BLOCK];
    ssize_t n;
    while ((n = recv(sock, data, sizeof data, 0)) > 0)
        for (ssize_t done = 0, m; done < n; done += m)
            if ((m = send(sock, data + done, (size_t)(n - done), MSG_NOSIGNAL)) <= 0) return;
}

static int serve(const char *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int stream = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    setsockopt(stream, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(stream, (struct sockaddr *)&at, sizeof at) || listen(stream, 16) ||
        bind(datagrams, (struct sockaddr *)&at, sizeof at))
        fail("serve");
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child > 0) return 0; /* whoever waits for us may connect now */
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        struct pollfd ready[] = {{stream, POLLIN, 0}, {datagrams, POLLIN, 0}};
        if (poll(ready, 2, -1) < 0) return 1;
        if (ready[0].revents) {
            int sock = accept(stream, NULL, NULL);
            if (sock >= 0 && fork() == 0) {
                echo_stream(sock);
                _exit(0);
            }
            close(sock);
        }
        if (ready[1].revents) {
            static uint8_t data[BLOCK];
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            ssize_t n = recvfrom(datagrams, data, sizeof data, 0, (struct sockaddr *)&from, &length);
            if (n >= 0) sendto(datagrams, data, (size_t)n, 0, (struct sockaddr *)&from, length);
        }
    }
}

static volatile sig_atomic_t stopping;

static void stop(int number) {
    (void)number;
    stopping = 1;
}

static void path_of(char path[256], const char *file, const char *suffix) {
    if (snprintf(path, 256, "%s.%s", file, suffix) >= 256) {
        printf("%s: too long\n", file);
        exit(2);
    }
}

static void write_number(const char *file, const char *suffix, const char *text) {
    char path[256];
    path_of(path, file, suffix);
    FILE *to = fopen(path, "w");
    if (!to || fputs(text, to) < 0 || fclose(to)) fail(path);
}

static void record(int sock, const char *file, FILE *to) {
    static uint8_t frame[1 << 18];
    uint64_t written = 0;
    struct pollfd ready = {sock, POLLIN, 0};
    for (;;) {
        /* What came before the end of a capture belongs to it. */
        ssize_t n = recv(sock, frame, sizeof frame, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            if (stopping) break;
            poll(&ready, 1, 100);
            continue;
        }
        if (n < 0) continue;
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        uint32_t head[] = {(uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, (uint32_t)n, (uint32_t)n};
        fwrite(head, sizeof head, 1, to);
        fwrite(frame, (size_t)n, 1, to);
        written++;
    }
    fclose(to);
    struct tpacket_stats counts = {0};
    socklen_t length = sizeof counts;
    getsockopt(sock, SOL_PACKET, PACKET_STATISTICS, &counts, &length);
    char text[64];
    snprintf(text, sizeof text, "frames %llu lost %u\n", (unsigned long long)written, counts.tp_drops);
    write_number(file, "counts", text);
}

static int capture_start(const char *interface, const char *file) {
    static const uint32_t head[] = {0xa1b23c4d, 0x00040002, 0, 0, 1 << 18, 1}; /* nanoseconds, Ethernet */
    int sock = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), size = RECEIVE_BUFFER;
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex(interface)};
    setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (sock < 0 || !at.sll_ifindex || bind(sock, (struct sockaddr *)&at, sizeof at)) fail(interface);
    FILE *to = fopen(file, "w");
    if (!to || fwrite(head, sizeof head, 1, to) != 1) fail(file);
    fflush(to);
    char path[256];
    path_of(path, file, "counts");
    unlink(path);
    signal(SIGTERM, stop);
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        setsid();
        record(sock, file, to);
        _exit(0);
    }
    char text[32];
    snprintf(text, sizeof text, "%d\n", child);
    write_number(file, "pid", text);
    return 0;
}

static int capture_stop(const char *file) {
    char path[256], text[64] = "";
    int pid = 0;
    path_of(path, file, "pid");
    FILE *from = fopen(path, "r");
    if (!from || fscanf(from, "%d", &pid) != 1 || pid <= 1 || kill(pid, SIGTERM)) fail(path);
    fclose(from);
    path_of(path, file, "counts");
    for (int turns = 0; turns < PATIENCE_MS / 10; turns++) {
        if ((from = fopen(path, "r"))) {
            char *line = fgets(text, sizeof text, from);
            fclose(from);
            if (line && strchr(line, '\n')) {
                fputs(line, stdout);
                return 0;
            }
        }
        usleep(10000);
    }
    fail("the capture does not end");
}

static int ethtool(const char *interface, void *request) {
    struct ifreq ifr = {0};
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    strncpy(ifr.ifr_name, interface, IFNAMSIZ - 1);
    ifr.ifr_data = request;
    int status = ioctl(sock, SIOCETHTOOL, &ifr);
    close(sock);
    return status;
}

static int channels(const char *interface, uint32_t wanted) {
    struct ethtool_channels now = {.cmd = ETHTOOL_GCHANNELS};
    if (ethtool(interface, &now)) fail("get channels");
    now.cmd = ETHTOOL_SCHANNELS;
    if (now.combined_count != wanted) {
        now.combined_count = wanted;
        if (ethtool(interface, &now)) fail("set channels");
    }
    printf("combined %u of %u\n", now.combined_count, now.max_combined);
    return 0;
}

static int offloads(const char *interface, uint32_t on) {
    static const uint32_t commands[] = {ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_SSG,
                                        ETHTOOL_STSO,    ETHTOOL_SGSO,    ETHTOOL_SGRO};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct ethtool_value value = {commands[i], on};
        /* What a device was never given cannot be switched. */
        if (ethtool(interface, &value) && errno != EOPNOTSUPP) fail("set offload");
    }
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *verb = argc > 1 ? argv[1] : "";
    if (!strcmp(verb, "tcp") && argc == 5) return tcp(argv[2], argv[3], strtoull(argv[4], NULL, 0));
    if (!strcmp(verb, "udp") && argc == 6)
        return udp(argv[2], argv[3], strtoull(argv[4], NULL, 0), strtoull(argv[5], NULL, 0));
    if (!strcmp(verb, "serve") && argc == 3) return serve(argv[2]);
    if (!strcmp(verb, "capture") && argc == 5 && !strcmp(argv[2], "start"))
        return capture_start(argv[3], argv[4]);
    if (!strcmp(verb, "capture") && argc == 4 && !strcmp(argv[2], "stop")) return capture_stop(argv[3]);
    if (!strcmp(verb, "channels") && argc == 4) return channels(argv[2], (uint32_t)strtoul(argv[3], NULL, 0));
    if (!strcmp(verb, "offloads") && argc == 4) return offloads(argv[2], (uint32_t)strtoul(argv[3], NULL, 0));
    printf("tool: unknown or incomplete: %s\n", verb);
    return 2;
}
