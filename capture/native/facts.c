/* facts.c: ring facts as words, for people who read a comment in Wireshark and for our own reader.
 *
 *   head=12 descriptors=2 buffers=1 position=81204 indirect kick=sent call=quiet available=-12.3us
 *   used=+4.1us collected=+9us vnet=0101... gso=tcpv4/1448 csum=34+16
 *
 * Times are relative to the frame's own and exact. `gso` and `csum` say again what stands in `vnet`.
 */
#include "frames.h"

#include <string.h>

static char *put_text(char *to, const char *text) {
    size_t size = strlen(text);
    memcpy(to, text, size);
    return to + size;
}

static char *put_number(char *to, uint64_t value) {
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n) *to++ = digits[--n];
    return to;
}

static char *put_since(char *to, const char *name, uint64_t time, uint64_t origin) {
    if (!time) return to;
    uint64_t distance = time >= origin ? time - origin : origin - time;
    to = put_text(to, name);
    *to++ = time >= origin ? '+' : '-';
    to = put_number(to, distance / 1000);
    unsigned rest = (unsigned)(distance % 1000);
    if (rest) {
        *to++ = '.';
        for (unsigned unit = 100; rest; rest %= unit, unit /= 10) *to++ = (char)('0' + rest / unit);
    }
    return put_text(to, "us");
}

static const char *gso_name(uint8_t type) {
    switch (type & 0x7f) {
    case 1: return "tcpv4";
    case 3: return "udp";
    case 4: return "tcpv6";
    case 5: return "udp_l4";
    default: return NULL;
    }
}

static unsigned le16(const uint8_t *at) { return at[0] | (unsigned)at[1] << 8; }

static char *put_net_header(char *to, const struct record *row) {
    static const char hex[] = "0123456789abcdef";
    const uint8_t *h = row->net_header;
    to = put_text(to, "vnet=");
    for (size_t i = 0; i < row->net_header_length; i++) {
        *to++ = hex[h[i] >> 4];
        *to++ = hex[h[i] & 15];
    }
    if (row->net_header_length < 10) return to;
    if (h[1]) {
        const char *name = gso_name(h[1]);
        to = put_text(to, " gso=");
        to = name ? put_text(to, name) : put_number(to, h[1] & 0x7f);
        if (h[1] & 0x80) to = put_text(to, "+ecn");
        *to++ = '/';
        to = put_number(to, le16(h + 4));
    }
    if (h[0] & 1) {
        to = put_text(to, " csum=");
        to = put_number(to, le16(h + 6));
        *to++ = '+';
        to = put_number(to, le16(h + 8));
    }
    return to;
}

size_t facts_write(char *to, const struct record *row, const struct stages *stages) {
    char *at = to;
    if (row->descriptors) {
        at = put_number(put_text(at, "head="), row->head);
        at = put_number(put_text(at, " descriptors="), row->descriptors);
        at = put_number(put_text(at, " buffers="), row->buffers);
        at = put_number(put_text(at, " position="), row->position);
        if (row->flags & FRAME_INDIRECT) at = put_text(at, " indirect");
        if (row->flags & FRAME_FIXED) at = put_text(at, " fixed");
    }
    if (row->descriptors && stages) {
        if (stages->notices & KICK_SENT)
            at = put_text(at, " kick=sent");
        else if (stages->notices & KICK_QUIET)
            at = put_text(at, " kick=quiet");
        if (stages->notices & CALL_SENT)
            at = put_text(at, " call=sent");
        else if (stages->notices & CALL_QUIET)
            at = put_text(at, " call=quiet");
        at = put_since(at, " available=", stages->available, row->time);
        at = put_since(at, " used=", stages->used, row->time);
        at = put_since(at, " collected=", stages->collected, row->time);
    }
    if (row->net_header_length) {
        if (at > to) *at++ = ' ';
        at = put_net_header(at, row);
    }
    return (size_t)(at - to);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

struct word {
    const uint8_t *at, *end;
};

static bool is(struct word word, const char *text) {
    size_t size = strlen(text);
    return (size_t)(word.end - word.at) == size && !memcmp(word.at, text, size);
}

/* Whether a word begins with `name`; what follows is then `*value`. */
static bool begins(struct word word, const char *name, struct word *value) {
    size_t size = strlen(name);
    if ((size_t)(word.end - word.at) <= size || memcmp(word.at, name, size) != 0) return false;
    *value = (struct word){word.at + size, word.end};
    return true;
}

/* Decimal digits at word->at, at most `most`; word->at moves behind them. */
static bool take_number(struct word *word, uint64_t most, uint64_t *value) {
    const uint8_t *start = word->at;
    *value = 0;
    for (; word->at < word->end && *word->at >= '0' && *word->at <= '9'; word->at++) {
        unsigned digit = *word->at - '0';
        if (*value > (most - digit) / 10) return false;
        *value = *value * 10 + digit;
    }
    return word->at > start;
}

static bool whole_number(struct word word, uint64_t most, uint64_t *value) {
    return take_number(&word, most, value) && word.at == word.end;
}

/* "+4.1us" from `origin`; 0 where it is no such thing or leads before the epoch. */
static uint64_t time_since(struct word word, uint64_t origin) {
    if (word.at == word.end || (*word.at != '+' && *word.at != '-')) return 0;
    bool before = *word.at++ == '-';
    uint64_t micros, rest = 0;
    if (!take_number(&word, UINT64_MAX / 1000 - 1, &micros)) return 0;
    if (word.at < word.end && *word.at == '.') {
        const uint8_t *start = ++word.at;
        if (!take_number(&word, 999, &rest) || word.at - start > 3) return 0;
        for (long digits = word.at - start; digits < 3; digits++) rest *= 10;
    }
    if (!is(word, "us")) return 0;
    uint64_t distance = micros * 1000 + rest;
    if (before) return distance <= origin ? origin - distance : 0;
    return distance <= UINT64_MAX - origin ? origin + distance : 0;
}

static int nibble(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take_net_header(struct word word, struct record *row) {
    uint8_t header[sizeof row->net_header] = {0};
    size_t size = (size_t)(word.end - word.at) / 2;
    if ((word.end - word.at) % 2 || (size != 10 && size != 12 && size != 20)) return;
    for (size_t i = 0; i < size; i++) {
        int high = nibble(word.at[2 * i]), low = nibble(word.at[2 * i + 1]);
        if (high < 0 || low < 0) return;
        header[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(row->net_header, header, sizeof header);
    row->net_header_length = (uint16_t)size;
}

static uint8_t notice(struct word word, uint8_t sent, uint8_t quiet) {
    return is(word, "sent") ? sent : is(word, "quiet") ? quiet : 0;
}

void facts_read(const uint8_t *text, size_t size, struct record *row, struct stages *stages) {
    const uint8_t *end = text + size;
    struct stages found = {0};
    uint64_t head = 0, descriptors = 0, buffers = 0, position = 0;
    unsigned known = 0;
    uint8_t flags = 0;
    struct word word, value;
    for (word.at = text; word.at < end; word.at = word.end + 1) {
        const uint8_t *space = memchr(word.at, ' ', (size_t)(end - word.at));
        word.end = space ? space : end;
        if (begins(word, "head=", &value))
            known |= whole_number(value, UINT16_MAX, &head) ? 1u : 0u;
        else if (begins(word, "descriptors=", &value))
            known |= whole_number(value, UINT16_MAX, &descriptors) ? 2u : 0u;
        else if (begins(word, "buffers=", &value))
            known |= whole_number(value, UINT16_MAX, &buffers) ? 4u : 0u;
        else if (begins(word, "position=", &value))
            known |= whole_number(value, UINT64_MAX, &position) ? 8u : 0u;
        else if (is(word, "indirect"))
            flags |= FRAME_INDIRECT;
        else if (is(word, "fixed"))
            flags |= FRAME_FIXED;
        else if (begins(word, "kick=", &value))
            found.notices |= notice(value, KICK_SENT, KICK_QUIET);
        else if (begins(word, "call=", &value))
            found.notices |= notice(value, CALL_SENT, CALL_QUIET);
        else if (begins(word, "available=", &value))
            found.available = time_since(value, row->time);
        else if (begins(word, "used=", &value))
            found.used = time_since(value, row->time);
        else if (begins(word, "collected=", &value))
            found.collected = time_since(value, row->time);
        else if (begins(word, "vnet=", &value))
            take_net_header(value, row);
    }
    if (known != 15 || !descriptors) return; /* somebody else's words */
    row->head = (uint16_t)head;
    row->descriptors = (uint16_t)descriptors;
    row->buffers = (uint16_t)buffers;
    row->position = position;
    row->flags = flags;
    *stages = found;
}
